import Foundation
import RetNetSettings
import Testing

struct SettingsChangesTests {
    @Test func `settings are changed by dotted path`() throws {
        var tree: SettingsTree = ["optimizer": ["learning_rate": 1e-3, "betas": [0.9, 0.98]]]
        try tree.set("optimizer.learning_rate", "3e-4")
        try tree.set("optimizer.betas[1]", "0.95")
        try tree.set("optimizer.betas[2]", "1")
        try tree.set("model.mixer.head_count", "4")
        try tree.set("data[0].path", "a/b.txt")
        try tree.apply(assignment: "name=x=y")
        try tree.apply(assignment: "list=[1, {a: b}]")
        try tree.apply(assignment: "empty=")
        try tree.apply(assignment: "accent=\u{301}a")
        #expect(
            tree == [
                "optimizer": ["learning_rate": 3e-4, "betas": [0.9, 0.95, 1]],
                "model": ["mixer": ["head_count": 4]], "data": [["path": "a/b.txt"]], "name": "x=y",
                "list": [1, ["a": "b"]], "empty": .null, "accent": "\u{301}a",
            ])
        #expect(tree.value(at: "optimizer.betas[1]") == 0.95)
        #expect(tree.value(at: "optimizer.betas[9]") == nil)
        #expect(tree.value(at: "nothing.here") == nil)
    }

    @Test(arguments: [
        ("", "1"), ("a..b", "1"), (".a", "1"), ("a[", "1"), ("a[x]", "1"), ("a[-1]", "1"), ("a[0]x", "1"),
        ("a[99999999999999999999]", "1"), ("number.x", "1"), ("list.x", "1"), ("list[5]", "1"),
        ("number[0]", "1"),
        ("a", "[1"), ("a", "b: c: d"), ("new[1]", "1"),
    ])
    func `changes that do not fit are refused and leave the tree alone`(path: String, value: String) {
        let original: SettingsTree = ["number": 3, "list": [1]]
        var tree = original
        #expect(throws: SettingsError.self) { try tree.set(path, value) }
        #expect(tree == original)
    }

    @Test func `an assignment without an equals sign is explained`() {
        var tree = SettingsTree.null
        let error = #expect(throws: SettingsError.self) { try tree.apply(assignment: "steps") }
        #expect(error?.description.contains("path=value") == true)
        let nameless = #expect(throws: SettingsError.self) { try tree.apply(assignment: "=3") }
        #expect(nameless?.description.contains("path=value") == true)
        let deep = #expect(throws: SettingsError.self) {
            try tree.set(Array(repeating: "a", count: 100).joined(separator: "."), "1")
        }
        #expect(deep?.description.contains("it is too deep") == true)
    }

    @Test func `merging replaces values, joins objects and keeps the order`() {
        let base: SettingsTree = ["a": 1, "b": ["x": 1, "y": [1, 2]], "c": "old"]
        let merged = base.merging(["b": ["y": [3], "z": 4], "d": 5, "c": ["now": "object"]])
        #expect(merged == ["a": 1, "b": ["x": 1, "y": [3], "z": 4], "c": ["now": "object"], "d": 5])
        #expect(merged.object?.keys == ["a", "b", "c", "d"])
        #expect(base.merging(7) == 7)
    }

    @Test func `changed settings have no position in the file`() throws {
        var document = try SettingsDocument(yaml: "a:\n  b: [1]\n  bc: 2\nd: 3")
        try document.set("a.b", "[5]")
        #expect(document.positions["a.b"] == nil)
        #expect(document.positions["a.b[0]"] == nil)
        #expect(document.positions["a.bc"] != nil)
        document.merge(["d": 4])
        #expect(document.positions["d"] == nil)
        #expect(document.tree == ["a": ["b": [5], "bc": 2], "d": 4])
    }

    @Test func `objects keep their order when entries are removed`() {
        var object: SettingsObject = ["a": 1, "b": 2, "c": 3]
        object["b"] = nil
        object["zz"] = nil
        object["d"] = 4
        #expect(object.keys == ["a", "c", "d"])
        #expect(object["c"] == 3)
        #expect(object == ["d": 4, "a": 1, "c": 3])
    }

    @Test func `files are read by their extension`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let json = folder.appending(path: "a.json")
        let yaml = folder.appending(path: "a.yaml")
        let binary = folder.appending(path: "b.yaml")
        try Data("{\"a\": 1}".utf8).write(to: json)
        try Data("a: 1".utf8).write(to: yaml)
        try Data([0x61, 0xFF]).write(to: binary)
        #expect(try SettingsDocument(contentsOf: json).tree == ["a": 1])
        #expect(try SettingsDocument(contentsOf: yaml).tree == ["a": 1])
        for url in [binary, folder, folder.appending(path: "missing.yaml")] {
            let error = #expect(throws: SettingsError.self) { try SettingsDocument(contentsOf: url) }
            #expect(error?.sourceName == url.path)
        }
    }
}
