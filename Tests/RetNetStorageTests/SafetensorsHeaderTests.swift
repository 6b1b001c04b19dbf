import Foundation
import Testing

@testable import RetNetStorage

/// One malformed file and a piece of the message that refuses it.
struct MalformedFile: Sendable, CustomTestStringConvertible {
    let file: Data
    let reason: String
    var testDescription: String { reason }

    init(_ header: String, _ reason: String, dataByteCount: Int = 0) {
        file = safetensorsData(header: header, data: Data(repeating: 0, count: dataByteCount))
        self.reason = reason
    }

    init(file: Data, _ reason: String) {
        self.file = file
        self.reason = reason
    }

    /// A header with one tensor "a".
    static func tensor(
        dtype: String = "\"F32\"", shape: String = "[2]", offsets: String = "[0,8]", _ reason: String
    ) -> MalformedFile {
        MalformedFile(
            "{\"a\":{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":\(offsets)}}", reason,
            dataByteCount: 8)
    }
}

@Suite struct SafetensorsHeaderTests {
    static let malformedFiles: [MalformedFile] = [
        MalformedFile(file: Data(), "holds 0 bytes, fewer than the 8"),
        MalformedFile(file: Data([1, 0, 0, 0, 0, 0, 0]), "holds 7 bytes, fewer than the 8"),
        MalformedFile(file: Data([1, 0, 0, 0, 0, 0, 0, 0x80]), "more than the 100000000 allowed"),
        MalformedFile(file: Data([1, 0xE1, 0xF5, 5, 0, 0, 0, 0]), "claims 100000001 bytes"),
        MalformedFile(file: Data([0, 0xE1, 0xF5, 5, 0, 0, 0, 0]), "100000000 bytes after the first 8, but"),
        MalformedFile(file: Data([3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D]), "the file holds only 10"),
        MalformedFile(file: safetensorsData(header: Data([0x7B, 0x22, 0xFF])), "not UTF-8 at byte 10"),
        MalformedFile(file: safetensorsData(header: Data([0x7B, 0xED, 0xA0, 0x80])), "not UTF-8 at byte 9"),
        MalformedFile("", "not a JSON object: no '{' at byte 8"),
        MalformedFile("[]", "not a JSON object: no '{' at byte 8"),
        MalformedFile("\u{FEFF}{}", "not a JSON object"),
        MalformedFile("{", "not JSON at byte 9: a name in double quotes is missing"),
        MalformedFile("{}x", "not JSON at byte 10: something follows"),
        MalformedFile("{}\0", "something follows"),
        MalformedFile("{\"a\":1,}", "tensor 'a' at byte 13: expected an object"),
        MalformedFile("{\"a\" 1}", "':' is missing"),
        MalformedFile("{\"a\":{\"dtype\":\"F32\",}}", "a name in double quotes is missing"),
        MalformedFile("{\"a\nb\":1}", "a text contains a control character"),
        MalformedFile("{\"\\x\":1}", "an unknown escape"),
        MalformedFile("{\"\\uD800\":1}", "half of a surrogate pair"),
        MalformedFile("{\"\\uD800\\u0041\":1}", "half of a surrogate pair"),
        MalformedFile("{\"\\u12G4\":1}", "four hexadecimal digits"),
        MalformedFile("{\"__metadata__\":{},\"__metadata__\":{}}", "'__metadata__' occurs twice"),
        MalformedFile("{\"__metadata__\":{\"a\":1}}", "__metadata__ must be an object of strings"),
        MalformedFile("{\"__metadata__\":{\"a\":null}}", "__metadata__ must be an object of strings"),
        MalformedFile("{\"__metadata__\":\"a\"}", "expected an object at byte 24"),
        MalformedFile("{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}", "the key 'a' occurs twice"),
        MalformedFile(
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
                + "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
            "the name 'a' occurs twice"),
        MalformedFile("{\"a\":{}}", "has no 'dtype'"),
        MalformedFile("{\"a\":{\"dtype\":\"F32\"}}", "has no 'shape'"),
        MalformedFile("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", "has no 'data_offsets'"),
        MalformedFile("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", "the key occurs twice"),
        .tensor(dtype: "\"F33\"", "the unknown element type 'F33'"),
        .tensor(dtype: "7", "'dtype' at byte 22: expected a text"),
        .tensor(shape: "2", "'shape' at byte 36: expected an array"),
        .tensor(shape: "[-2]", "negative dimension at byte 37"),
        .tensor(shape: "[2.0]", "expected an integer"),
        .tensor(shape: "[2e0]", "expected an integer"),
        .tensor(shape: "[02]", "begins with a zero"),
        .tensor(shape: "[\"2\"]", "expected a number"),
        .tensor(shape: "[true]", "expected a number"),
        .tensor(shape: "[9223372036854775808]", "the integer exceeds 64 bits"),
        .tensor(shape: "[-9223372036854775809]", "the integer exceeds 64 bits"),
        .tensor(shape: "[-9223372036854775808]", "negative dimension"),
        .tensor(shape: "[9223372036854775807]", "exceeds what 64 bits can count"),
        .tensor(shape: "[4294967296,4294967296]", "exceeds what 64 bits can count"),
        .tensor(shape: "[3]", "has 8 bytes, but its shape and element type need 12"),
        .tensor(offsets: "[8,0]", "ends at 0, before it begins at 8"),
        .tensor(offsets: "[0]", "expected two integers"),
        .tensor(offsets: "[0,8,8]", "expected two integers"),
        .tensor(offsets: "[-8,0]", "expected two integers"),
        .tensor(offsets: "[4,12]", "ends at data byte 12, but the file holds only 8"),
        .tensor(offsets: "[9223372036854775799,9223372036854775807]", "the file holds only 8"),
        .tensor(shape: "[1]", offsets: "[0,4]", "4 bytes from byte 66 to the end belong to no tensor"),
        .tensor(shape: "[1]", offsets: "[4,8]", "4 bytes at byte 62, before tensor 'a'"),
        MalformedFile(
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                + "\"b\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[3,8]}}",
            "tensor 'b' overlaps tensor 'a'", dataByteCount: 8),
        MalformedFile("{}", "1 bytes from byte 10 to the end", dataByteCount: 1),
        MalformedFile("{\"a\":" + String(repeating: "[", count: 100_000), "expected an object"),
        MalformedFile("{\"a\":{\"x\":" + String(repeating: "[", count: 100_000), "nested more than 64 deep"),
    ]

    @Test(arguments: malformedFiles)
    func `each malformed header is refused with its own reason`(malformed: MalformedFile) {
        expectStorageError("'t' is not a valid safetensors file", malformed.reason) {
            _ = try parse(malformed.file)
        }
    }

    @Test func `a valid header gives its entries in the order of their data`() throws {
        let header =
            " {\"__metadata__\":{\"format\":\"pt\",\"\\u00e9\":\"\\ud83d\\ude00\\n\"},"
            + "\"b\":{\"data_offsets\":[4, 8],\"shape\":[1],\"dtype\":\"I32\",\"extra\":[{\"x\":-1.5e+3}]},"
            + "\"a/\u{E9}\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
            + "\"none\":{\"dtype\":\"F64\",\"shape\":[3,0],\"data_offsets\":[4,4]}}  \n"
        let file = safetensorsData(header: header, data: Data(repeating: 1, count: 8))
        let parsed = try parse(file)
        let start = 8 + header.utf8.count
        #expect(parsed.dataOffset == start)
        #expect(parsed.metadata == ["format": "pt", "\u{E9}": "\u{1F600}\n"])
        #expect(
            parsed.entries == [
                SafetensorsEntry(
                    name: "a/\u{E9}", elementType: .uint8, shape: [2, 2], byteRange: start..<(start + 4)),
                SafetensorsEntry(
                    name: "none", elementType: .float64, shape: [3, 0],
                    byteRange: (start + 4)..<(start + 4)),
                SafetensorsEntry(
                    name: "b", elementType: .int32, shape: [1], byteRange: (start + 4)..<(start + 8)),
            ])
        #expect(parsed.entries[0].elementCount == 4)
        #expect(parsed.entries[0].byteCount == 4)
    }

    @Test func `names and keys that differ only in their composition are different`() throws {
        let header =
            "{\"__metadata__\":{\"\u{E9}\":\"one\",\"e\u{301}\":\"two\"},"
            + "\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            + "\"e\u{301}\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]},"
            + "\"\u{212A}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]},"
            + "\"K\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[4,5]}}"
        let parsed = try parse(safetensorsData(header: header, data: Data([1, 2, 3, 4, 5])))
        #expect(parsed.entries.map(\.shape) == [[1], [2], [1], [1]])
        #expect(parsed.metadata == ["\u{E9}": "one", "e\u{301}": "two"])
        expectStorageError("the name '\u{E9}' occurs twice") {
            _ = try parse(
                safetensorsData(
                    header: header.replacingOccurrences(of: "e\u{301}", with: "\u{E9}", options: .literal)
                        .replacingOccurrences(of: ",\"\u{E9}\":\"two\"", with: "", options: .literal),
                    data: Data([1, 2, 3, 4, 5])))
        }
    }

    @Test func `packed elements must fill whole bytes`() throws {
        func header(_ type: String, _ shape: String, _ end: Int) -> Data {
            safetensorsData(
                header: "{\"t\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[0,\(end)]}}",
                data: Data(repeating: 0, count: end))
        }
        #expect(try parse(header("F4", "[3,2]", 3)).entries[0].elementCount == 6)
        #expect(try parse(header("F6_E3M2", "[4]", 3)).entries[0].byteCount == 3)
        expectStorageError("tensor 't' has 12 bits of type F4, which are no whole bytes") {
            _ = try parse(header("F4", "[3]", 2))
        }
    }

    @Test func `an empty header is a valid file without tensors`() throws {
        #expect(try parse(safetensorsData(header: "{}")).entries.isEmpty)
    }

    @Test func `a buffer shorter than the claimed file does not trap`() throws {
        let file = safetensorsData(header: "{}")
        expectStorageError("header claims") {
            _ = try file.prefix(9).withUnsafeBytes {
                try SafetensorsHeader.parse($0, fileByteCount: 10, path: "t")
            }
        }
        expectStorageError("fewer than the 8") {
            _ = try file.prefix(3).withUnsafeBytes {
                try SafetensorsHeader.parse($0, fileByteCount: 10, path: "t")
            }
        }
    }

    @Test func `a hundred thousand entries are parsed`() throws {
        let count = 100_000
        let members = (0..<count).map {
            "\"model.layers.\($0).w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[\($0),\($0 + 1)]}"
        }
        let header = "{" + members.joined(separator: ",") + "}"
        let parsed = try parse(safetensorsData(header: header, data: Data(repeating: 0, count: count)))
        #expect(parsed.entries.count == count)
    }

    @Test func `element types have their sizes and the format's names`() {
        let names = StoredElementType.allCases.map(\.rawValue)
        #expect(
            names == [
                "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64",
                "C64", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "F6_E2M3", "F6_E3M2",
                "F4",
            ])
        #expect(
            StoredElementType.allCases.map(\.bitCount) == [
                8, 8, 8, 16, 16, 32, 32, 64, 64, 16, 16, 32, 64, 64, 8, 8, 8, 8, 8, 6, 6, 4,
            ])
        #expect(StoredElementType.float6E2M3.byteCount(shape: [3, 4]) == 9)
        #expect(StoredElementType.float8E4M3.summary == "floating-point numbers of 8 bits")
        #expect(StoredElementType.uint16.summary == "integers of 16 bits")
        #expect(StoredElementType.float32.byteCount(shape: []) == 4)
        #expect(StoredElementType.float32.byteCount(shape: [-1]) == nil)
    }
}
