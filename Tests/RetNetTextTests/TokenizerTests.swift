import Foundation
import Testing

@testable import RetNetText

@Suite struct TokenizerTests {
    let tokenizer = ByteTokenizer()

    @Test(arguments: ["", "plain", "Grüße, 世界! \u{1F600}\r\n\0"])
    func `text survives encoding and decoding`(text: String) {
        let tokens = tokenizer.encode(text)
        #expect(tokens == text.utf8.map { Int32($0) })
        #expect(tokenizer.decode(tokens) == text)
    }

    @Test func `special tokens are in the vocabulary and stand for no bytes`() throws {
        let special = [tokenizer.beginToken, tokenizer.endToken, tokenizer.paddingToken].compactMap { $0 }
        #expect(special == [255, 254, 253])
        #expect(tokenizer.vocabularySize == 256)
        #expect(special.allSatisfy { tokenizer.bytes(of: $0).isEmpty })
        #expect(tokenizer.decode([255, 72, 105, 254, 253, 253]) == "Hi")
        #expect(tokenizer.decode([-5, 72, 256, Int32.max, Int32.min]) == "H")
        #expect(tokenizer.bytes(of: -1).isEmpty && tokenizer.bytes(of: 256).isEmpty)
    }

    @Test func `no bytes encode to a special token`() {
        let bytes = (0...255).map { UInt8($0) }
        let tokens = bytes.withUnsafeBytes { tokenizer.encode(utf8: $0) }
        #expect(tokens.allSatisfy { $0 < 253 })
        #expect(tokenizer.decode(tokens) == String(decoding: bytes, as: UTF8.self))
    }

    @Test func `the default methods agree with those of the byte tokenizer`() {
        let other = OffsetTokenizer(offset: 0)
        #expect(other.decode(other.encode("Grüße")) == "Grüße")
        #expect(other.encodeCountingBytes("Grüße").byteCounts == Array(repeating: 1, count: 7))
    }

    @Test func `a saved tokenizer is loaded again`() throws {
        try withTemporaryFolder { folder in
            try tokenizer.save(to: folder)
            let loaded = try TokenizerLoader.load(folder: folder)
            #expect(loaded.identity == tokenizer.identity)
            #expect(loaded.vocabularySize == 256)
            let text = try String(contentsOfFile: folder + "/tokenizer_config.json", encoding: .utf8)
            #expect(text.contains("\"kind\" : \"byte\"") && text.hasSuffix("}\n"))
        }
    }

    @Test(arguments: [
        ("{\"kind\": \"magic\"}", "unknown tokenizer kind 'magic'"),
        ("{\"tokenizer_class\": \"LlamaTokenizer\"}", "LlamaTokenizer"),
        ("{}", "'kind' is missing"), ("[1]", "not a JSON object"), ("{", "not JSON"),
        ("{\"kind\": 3}", "wrong type"), ("{\"kind\": \"byte\", \"vocab_size\": 300}", "vocab_size is 300"),
        ("{\"kind\": \"byte\", \"bos_token_id\": 1}", "bos_token_id is 1"), ("", "not JSON"),
    ])
    func `a configuration that cannot be used is refused with its path`(text: String, piece: String) throws {
        try withTemporaryFolder { folder in
            try put(text, at: folder + "/tokenizer_config.json")
            expectTextError(piece, folder) { _ = try TokenizerLoader.load(folder: folder) }
        }
    }

    @Test func `a missing configuration is an error`() throws {
        try withTemporaryFolder { folder in
            #expect(throws: (any Error).self) { try TokenizerLoader.load(folder: folder) }
        }
    }
}
