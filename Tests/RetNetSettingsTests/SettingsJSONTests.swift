import Foundation
import RetNetSettings
import Testing

struct SettingsJSONTests {
    @Test func `values are read exactly`() throws {
        let text = """
            \u{FEFF}{"a": [1, -0, 2.5e-3, 1E2], "b": {"c": null, "d": true, "e": false},
              "s": "\\u00e4\\ud83d\\ude00\\n\\/", "big": 9007199254740993, "huge": 9223372036854775808, "": []}
            """
        let document = try SettingsDocument(json: text)
        #expect(
            document.tree == [
                "a": [1, 0, 2.5e-3, 100.0], "b": ["c": .null, "d": true, "e": false],
                "s": "\u{e4}\u{1F600}\n/", "big": 9_007_199_254_740_993, "huge": 9.223372036854775808e18,
                "": [],
            ])
        #expect(document.positions["s"] == SettingsPosition(line: 2, column: 8))
        #expect(document.positions["a[1]"] == SettingsPosition(line: 1, column: 11))
    }

    @Test func `names and texts that differ only in their composition are different`() throws {
        let document = try SettingsDocument(json: "{\"\u{e9}\": 1,\n \"e\u{301}\": \"\u{212A}\", \"K\": 3}")
        let object = try #require(document.tree.object)
        #expect(object.entries.count == 3)
        #expect(object["\u{e9}"] == 1)
        #expect(object["e\u{301}"] == .string("\u{212A}"))
        #expect(object["e\u{301}"] != .string("K"))
        #expect(document.positions["\u{e9}"]?.line == 1)
        #expect(document.positions["e\u{301}"]?.line == 2)
        #expect(try SettingsTree(json: document.tree.jsonText()) == document.tree)
        // A setting is known by its own name only.
        let reader = document.reader
        _ = reader.int("\u{e9}", default: 0)
        _ = reader.int("K", default: 0)
        let error = #expect(throws: SettingsError.self) { try reader.finish() }
        #expect(error?.problems.count == 1)
        #expect(error?.problems.first?.position?.line == 2)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "01", "1.", ".5", "+1", "1e", "-", "NaN",
        "Infinity", "tru",
        "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "1 2",
        "[1 2]",
        "{\"a\" 1}", "{\"a\":1 \"b\":2}", "1e999", "{\"a\":1,\"a\":2}", "// c\n1", "nulll", "\"\\u12g4\"",
        "]", ":",
    ])
    func `texts that are not JSON are refused`(text: String) {
        let error = #expect(throws: SettingsError.self) { try SettingsTree(json: text) }
        #expect(error?.problems.first?.position != nil)
    }

    @Test func `errors name the line, the column and the setting`() throws {
        let error = #expect(throws: SettingsError.self) {
            try SettingsDocument(
                json: "{\n  \"a\": {\"\u{e4}\": 1, \"b\": tru}\n}", sourceName: "config.json")
        }
        #expect(
            error?.description.hasPrefix("config.json: line 2, column 22: a.b: this is not a JSON value")
                == true)
        let twice = #expect(throws: SettingsError.self) { try SettingsTree(json: "{\"a\": 1, \"a\": 2}") }
        #expect(twice?.description.contains("'a' is given twice") == true)
    }

    @Test func `deep nesting and every prefix of a text are refused without a trap`() async throws {
        for count in [70, 100_000] {
            let text = String(repeating: "[", count: count) + String(repeating: "]", count: count)
            await Task.detached { _ = #expect(throws: SettingsError.self) { try SettingsTree(json: text) } }
                .value
        }
        let text = "{\"a\": [1, -2.5e3, \"\\ud83d\\ude00x\"], \"b\": {\"c\": null}}"
        for count in 0..<text.count {
            #expect(throws: SettingsError.self) { try SettingsTree(json: String(text.prefix(count))) }
        }
    }

    @Test func `one very long line is read in time that grows with its length`() throws {
        let text = "[" + Array(repeating: "1", count: 100_000).joined(separator: ",") + "]"
        #expect(try SettingsTree(json: text).array?.count == 100_000)
    }

    @Test func `written JSON keeps the order and reads back the same`() throws {
        let tree: SettingsTree = [
            "z": 1, "a": [1.0, 0.1, 1e-7, "x\u{1}\"\\\u{1F600}"], "o": ["k": .null, "e": [:], "l": []],
            "m": [["x": 1], ["y": [2]]],
        ]
        let text = try tree.jsonText()
        #expect(try SettingsTree(json: text) == tree)
        #expect(try SettingsTree(json: text).object?.keys == ["z", "a", "o", "m"])
        #expect(
            text.hasPrefix(
                "{\n  \"z\": 1,\n  \"a\": [1.0, 0.1, 1e-07, \"x\\u0001\\\"\\\\\u{1F600}\"],\n  \"o\": {\n"))
        #expect(text.hasSuffix("}\n"))
        let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        #expect(parsed?.count == 4)
        let error = #expect(throws: SettingsError.self) {
            try (["a": .double(.nan)] as SettingsTree).jsonText()
        }
        #expect(error?.problems.first?.path == "a")
    }

    @Test func `Python's numbers that are not finite are read where they are expected, and nowhere else`()
        throws
    {
        let text = "[0.0, Infinity, -Infinity, NaN, -1]"
        let values = try #require(SettingsDocument(pythonJSON: text).tree.array).map(\.double)
        #expect(values.prefix(3) == [0, .infinity, -.infinity] && values.last == -1)
        #expect(values[3]?.isNaN == true)
        #expect(throws: SettingsError.self) { try SettingsDocument(json: text) }
        for wrong in ["[Infinit]", "[- Infinity]", "{Infinity: 1}", "[nan]"] {
            #expect(throws: SettingsError.self) { try SettingsDocument(pythonJSON: wrong) }
        }
    }
}
