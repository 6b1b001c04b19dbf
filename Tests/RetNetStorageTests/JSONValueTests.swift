import Foundation
import RetNetStorage
import Testing

/// JSON as a value: what is read is what was written, in the order in which it stood.
@Suite struct JSONValueTests {
    private static let value: JSONValue = [
        "b": [1, 2.5, true, nil, "naïve \u{1}\u{8}\u{C}\n\r\t\"\\/ \u{1F98A}"], "a": [:], "": [[], -3],
        "large": .int(.max), "small": 1e-300,
    ]

    @Test func `What is written is read again, with the order of names`() throws {
        for bytes in [
            Self.value.bytes, Array(Self.value.text().utf8), Array(Self.value.text(indent: 2).utf8),
        ] {
            let found = try JSONValue(reading: bytes)
            #expect(found == Self.value)
            #expect(found.bytes == Self.value.bytes)
        }
        let text = String(decoding: Self.value.bytes, as: UTF8.self)
        #expect(
            text == #"{"b":[1,2.5,true,null,"naïve \u0001\b\f\n\r\t\"\\/ 🦊"],"a":{},"":[[],-3],"#
                + #""large":9223372036854775807,"small":1e-300}"#)
        // As Foundation reads it.
        let other = try JSONSerialization.jsonObject(with: Data(Self.value.bytes)) as? [String: Any]
        #expect((other?["b"] as? [Any])?.last as? String == "naïve \u{1}\u{8}\u{C}\n\r\t\"\\/ \u{1F98A}")
        #expect(JSONValue.array([.double(.nan), .double(.infinity)]).text() == "[null, null]")
        #expect(JSONValue.object([("x", [1])]).text(indent: 1) == "{\n \"x\": [\n  1\n ]\n}")
    }

    @Test func `Equal is what Python calls equal`() {
        let (a, b): (JSONValue, JSONValue) = (["x": 1, "y": "é"], ["y": "é", "x": 1.0])
        #expect(a == b)
        // The same to a reader, but other scalars.
        #expect(a != ["x": 1, "y": "e\u{301}"])
        #expect(a["x"] == 1 && a["z"] == nil && JSONValue.null["x"] == nil)
        #expect(JSONValue.int(1) != true)
    }

    @Test(arguments: [
        ("", "ends where"), ("[1,]", "not a JSON value"), ("{\"a\": 1, \"a\": 2}", "occurs twice"),
        ("[1] 2", "something follows"), ("nul", "not a JSON value"), ("\"\\ud800\"", "surrogate"),
        ("[01]", "begins with a zero"), ("1e999", "outside the range"), ("\"\u{1}\"", "control character"),
        (String(repeating: "[", count: 100_000), "nested more than 64"),
    ]) func `What is no JSON is refused with the place`(text: String, words: String) {
        let fault = #expect(throws: JSONFault.self) { try JSONValue(reading: Data(text.utf8)) }
        #expect(fault?.description.contains(words) == true, "\(fault?.description ?? "")")
        #expect(fault?.description.contains("at byte") == true)
    }

    @Test func `Bytes that are not UTF-8 are refused`() {
        #expect(throws: JSONFault.notUTF8(byteOffset: 2)) {
            try JSONValue(reading: [0x22, 0x61, 0xFF, 0x22])
        }
    }
}
