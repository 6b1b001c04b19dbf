import Foundation
import RetNetSettings
import Testing

struct SettingsYAMLTests {
    @Test func `scalars follow the core schema of YAML 1 2`() throws {
        let cases: [(String, SettingsTree)] = [
            ("12", .int(12)), ("-7", .int(-7)), ("+7", .int(7)), ("0x1F", .int(31)), ("0o17", .int(15)),
            ("3e-4", .double(3e-4)), ("1e3", .double(1000)), (".5", .double(0.5)), ("5.", .double(5)),
            ("-.5e1", .double(-5)), ("1.e2", .double(100)), ("true", .bool(true)), ("False", .bool(false)),
            ("yes", .string("yes")), ("on", .string("on")), ("null", .null), ("~", .null), ("", .null),
            (".inf", .double(.infinity)), ("'12'", .string("12")), ("\"a\\n\"", .string("a\n")),
            ("!!str 12", .string("12")), ("1_000", .string("1_000")), ("1:30", .string("1:30")),
            ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("e5", .string("e5")),
            ("+", .string("+")), (".", .string(".")), ("1e", .string("1e")), ("0x", .string("0x")),
        ]
        for (text, tree) in cases { #expect(try SettingsTree(yaml: text) == tree, "\(text)") }
        guard case .double(let value) = try SettingsTree(yaml: ".nan") else {
            Issue.record("not a number")
            return
        }
        #expect(value.isNaN)
    }

    @Test func `structure, order and positions are kept`() throws {
        let text = """
            b: 1
            a:
              - x: [1, 2.5]
                y: text # with a comment
              - null
            """
        let document = try SettingsDocument(yaml: text)
        #expect(document.tree == ["b": 1, "a": [["x": [1, 2.5], "y": "text"], .null]])
        #expect(document.tree.object?.keys == ["b", "a"])
        #expect(document.positions["a[0].y"] == SettingsPosition(line: 4, column: 5))
        #expect(document.positions["b"] == SettingsPosition(line: 1, column: 1))
    }

    @Test func `anchors are expanded but cannot explode`() throws {
        #expect(try SettingsTree(yaml: "a: &x [1]\nb: *x") == ["a": [1], "b": [1]])
        var bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        for level in 1...12 {
            bomb +=
                "a\(level): &a\(level) ["
                + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            bomb += "]\n"
        }
        let error = #expect(throws: SettingsError.self) { try SettingsTree(yaml: bomb) }
        #expect(error?.description.contains("too large") == true)
    }

    @Test(arguments: [
        ("a: 1\na: 2", "given twice"), ("1: x\n\"1\": y", "given twice"), ("a: [1", "not YAML"),
        ("a: 1\n---\nb: 2", "another document"), ("a: !date 2020-01-01", "tag"),
        ("? [1]\n: 2", "name must be"),
        ("<<: {a: 1}", "merge keys"), ("a: 1e999", "outside the range"), ("a: *missing", "alias"),
        ("a:\n\t- 1", "not YAML"), ("a: \u{1}", "not YAML"), ("a: 0xFFFFFFFFFFFFFFFFFF", "outside the range"),
    ])
    func `what is not sound is refused with the place`(text: String, reason: String) throws {
        let error = #expect(throws: SettingsError.self) {
            try SettingsDocument(yaml: text, sourceName: "f.yaml")
        }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
        #expect(error?.description.hasPrefix("f.yaml: ") == true)
    }

    @Test func `a syntax error names line and column`() throws {
        let error = #expect(throws: SettingsError.self) { try SettingsTree(yaml: "a: 1\nb: [1, }\n") }
        #expect(error?.problems.first?.position?.line == 2)
    }

    @Test func `deep nesting is refused and never overflows a stack`() async throws {
        for count in [70, 900, 5000, 200_000] {
            let flow = String(repeating: "[", count: count) + String(repeating: "]", count: count)
            let block = String(repeating: "- ", count: count) + "1"
            let maps = String(repeating: "{a: ", count: count) + "1" + String(repeating: "}", count: count)
            for text in [flow, block, maps] {
                await Task.detached {
                    _ = #expect(throws: SettingsError.self) { try SettingsTree(yaml: text) }
                }.value
            }
        }
    }

    @Test func `written YAML reads back as the same tree in the same order`() throws {
        let tree: SettingsTree = [
            "name": "retnet 3m", "yes": "yes", "quoted": "12", "colon": "a: b #c", "empty": "",
            "space": " x ",
            "unicode": "\u{e4}\u{1F600}\u{85}\u{2028}", "control": "\u{1}\u{7}\t\n\"\\", "tiny": 1e-5,
            "third": 0.1,
            "whole": 2.0, "big": 1e22, "inf": .double(-.infinity), "n": -3, "none": .null, "flag": true,
            "list": [1, "two", 3.5, .null],
            "objects": [["a": 1, "b": ["c": []]], [], [:], [[1], [["x": 2]]]],
            "nested": ["deep": ["er": "x"]], "null": "null", "1": 1, "": "", "- x": "- y", "path": "/a/b.c",
            "date": "2020-01-01", "star": "*a", "hex": "0x10",
        ]
        let text = tree.yamlText()
        let back = try SettingsTree(yaml: text)
        #expect(back == tree, "\(text)")
        #expect(back.object?.keys == tree.object?.keys)
        #expect(text.contains("tiny: 1.0e-05\n"))
        #expect(text.contains("list: [1, two, 3.5, null]\n"))
        for scalar in [SettingsTree.null, [], [:], "x", 1] {
            #expect(try SettingsTree(yaml: scalar.yamlText()) == scalar)
        }
    }
}
