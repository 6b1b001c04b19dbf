import Foundation
import Testing

@testable import RetNetText

/// Small tokenizers of every kind against what the reference library makes of difficult texts.
///
/// `Benchmarks/tokenizers/make_fixtures.py` made the fixtures.
struct HuggingFaceTokenizerTests {
    struct Fixture: Decodable {
        struct Vector: Decodable {
            let text: String
            let ids: [Int32]
            let offsets: [[Int]]
            let decoded: String
        }
        let tokenizer: String
        let vectors: [Vector]

        static let folder =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures/huggingface"

        init(named name: String) throws {
            let data = try Data(contentsOf: URL(fileURLWithPath: Self.folder + "/\(name).json"))
            self = try JSONDecoder().decode(Self.self, from: data)
        }

        func load(_ choice: SpecialTokensInText = .recognized) throws -> HuggingFaceTokenizer {
            try HuggingFaceTokenizer(json: Array(tokenizer.utf8), specialTokensInText: choice)
        }
    }

    private static let names = [
        "gpt2", "roberta", "neox", "llama3", "qwen", "marks", "gpt4o", "deepseek", "falcon", "starcoder",
        "byte-normalizer", "llama2", "llama2-metaspace", "gemma", "clip", "prefix-bpe", "bert", "bert-cased",
        "t5",
        "xlm", "unigram-bytes", "words", "pieces",
    ]

    /// The ranges in code points, as the reference gives them.
    private func codePoints(_ ranges: [Range<Int>], of text: String) -> [[Int]] {
        var counts = [0]
        for scalar in text.unicodeScalars {
            let count = (counts.last ?? 0) + 1
            counts += Array(repeating: count - 1, count: UTF8.width(scalar) - 1) + [count]
        }
        return ranges.map { [counts[$0.lowerBound], counts[$0.upperBound]] }
    }

    @Test(arguments: names) func `Tokens, offsets and decoded texts are those of the reference`(name: String)
        throws
    {
        let fixture = try Fixture(named: name)
        let tokenizer = try fixture.load()
        #expect(fixture.vectors.count > 40)
        for vector in fixture.vectors {
            let text = vector.text
            #expect(tokenizer.encode(text) == vector.ids, "\(text.debugDescription)")
            let located = tokenizer.encodeWithOffsets(text)
            #expect(located.tokens == vector.ids)
            #expect(codePoints(located.ranges, of: text) == vector.offsets, "\(text.debugDescription)")
            #expect(
                tokenizer.decode(vector.ids).utf8.elementsEqual(vector.decoded.utf8),
                "\(text.debugDescription)")
            let counted = tokenizer.encodeCountingBytes(text)
            #expect(counted.tokens == vector.ids && counted.byteCounts.allSatisfy { $0 >= 0 })
            #expect(counted.tokens.isEmpty || counted.byteCounts.reduce(0, +) == text.utf8.count)
        }
    }

    @Test(arguments: names) func `Decoding token by token gives the same text`(name: String) throws {
        let fixture = try Fixture(named: name)
        let tokenizer = try fixture.load()
        for vector in fixture.vectors {
            // A token between two texts begins the next one anew.
            if vector.ids.contains(where: { $0 == tokenizer.beginToken || $0 == tokenizer.endToken }) {
                continue
            }
            var (place, decoder, text) = (TextPlace.beginning, UTF8StreamDecoder(), "")
            for token in vector.ids { text += decoder.append(tokenizer.bytes(of: token, at: &place)) }
            text += decoder.finish()
            #expect(text.utf8.elementsEqual(vector.decoded.utf8), "\(vector.text.debugDescription)")
        }
    }

    @Test(arguments: names) func `In plain text, no text becomes a special token`(name: String) throws {
        let fixture = try Fixture(named: name)
        let tokenizer = try fixture.load(.text)
        let special = Set(tokenizer.core.added.tokens.filter(\.isSpecial).map(\.number))
        let recognizing = try fixture.load()
        for vector in fixture.vectors {
            let tokens = tokenizer.encode(vector.text).filter { $0 != tokenizer.unknownToken }
            #expect(special.isDisjoint(with: tokens), "\(vector.text.debugDescription)")
            // Without special tokens in it, a text has the same tokens either way.
            let known = vector.ids.filter { $0 != tokenizer.unknownToken }
            if special.isDisjoint(with: known), !vector.text.contains("<"), !vector.text.contains("[") {
                #expect(tokenizer.encode(vector.text) == recognizing.encode(vector.text))
            }
        }
    }

    @Test(arguments: names) func `Saved tokenizers load as equal ones, with their files unchanged`(
        name: String
    ) throws {
        let fixture = try Fixture(named: name)
        let tokenizer = try fixture.load()
        try withTemporaryFolder { folder in
            try tokenizer.save(to: folder)
            #expect(
                try String(contentsOfFile: folder + "/tokenizer.json", encoding: .utf8) == fixture.tokenizer)
            let loaded = try TokenizerLoader.load(folder: folder)
            #expect(
                loaded.identity == tokenizer.identity && loaded.vocabularySize == tokenizer.vocabularySize)
            #expect(loaded.beginToken == tokenizer.beginToken && loaded.endToken == tokenizer.endToken)
            for vector in fixture.vectors { #expect(loaded.encode(vector.text) == vector.ids) }
        }
    }

    @Test func `Parts of a text have the tokens of the whole`() throws {
        for name in ["gpt2", "roberta", "llama2", "llama2-metaspace", "t5", "bert"] {
            let tokenizer = try Fixture(named: name).load()
            let (first, second) = ("The quick brown fox.\n", "jumps over the lazy dog")
            var place = TextPlace.beginning
            let parts = tokenizer.encode(first, at: &place) + tokenizer.encode(second, at: &place)
            #expect(parts == tokenizer.encode(first + second), "\(name)")
        }
    }

    @Test func `Invalid bytes are encoded as U+FFFD, and their ranges are those of the bytes`() throws {
        for name in ["gpt2", "neox", "llama2", "bert-cased", "unigram-bytes"] {
            let tokenizer = try Fixture(named: name).load()
            let bytes: [UInt8] = [0x61, 0xFF, 0x62, 0xE3, 0x81, 0x20, 0x63]
            var place = TextPlace.beginning
            let located = bytes.withUnsafeBytes { tokenizer.encodeWithOffsets(utf8: $0, at: &place) }
            #expect(located.tokens == tokenizer.encode(String(decoding: bytes, as: UTF8.self)), "\(name)")
            #expect(located.ranges.allSatisfy { $0.upperBound <= bytes.count })
            place = .beginning
            let counted = bytes.withUnsafeBytes { tokenizer.encodeCountingBytes(utf8: $0, at: &place) }
            #expect(counted.byteCounts.reduce(0, +) == bytes.count)
        }
    }

    @Test func `Tokens around texts are known and not added`() throws {
        #expect(try Fixture(named: "bert").load().tokensAround == ([2], [3]))
        #expect(try Fixture(named: "roberta").load().tokensAround == ([0], [1]))
        #expect(try Fixture(named: "llama2").load().tokensAround == ([1], [2]))
        #expect(try Fixture(named: "t5").load().tokensAround == ([], [1]))
        let llama3 = try Fixture(named: "llama3").load()
        #expect(llama3.tokensAround == ([0], []) && llama3.beginToken == 0)
        let t5 = try Fixture(named: "t5").load()
        #expect(t5.sentinels.count == 2 && t5.endToken == 1 && t5.paddingToken == 0)
        #expect(t5.encodeWithSentinels("a <extra_id_0>").last == t5.sentinels.first)
    }

    @Test func `Long words take time in proportion to their length`() throws {
        let tokenizer = try Fixture(named: "gpt2").load()
        let word = String(repeating: "abcdefghij", count: 20_000)
        let tokens = tokenizer.encode(word)
        #expect(tokenizer.decode(tokens) == word)
        #expect(Array(tokenizer.encode(word + word).prefix(1_000)) == Array(tokens.prefix(1_000)))
    }

    @Test func `Names of special tokens come from the files beside the tokenizer`() throws {
        let fixture = try Fixture(named: "gpt2")
        try withTemporaryFolder { folder in
            try put(fixture.tokenizer, at: folder + "/tokenizer.json")
            try put(
                #"{"tokenizer_class": "GPT2TokenizerFast", "bos_token": {"content": "a", "lstrip": false}, "eos_token": "b"}"#,
                at: folder + "/tokenizer_config.json")
            try put(
                #"{"pad_token": {"content": "c"}, "eos_token": "d"}"#, at: folder + "/special_tokens_map.json"
            )
            let tokenizer = try #require(try TokenizerLoader.load(folder: folder) as? HuggingFaceTokenizer)
            #expect(tokenizer.beginToken == tokenizer.token(named: "a"))
            #expect(tokenizer.endToken == tokenizer.token(named: "b"))
            #expect(tokenizer.paddingToken == tokenizer.token(named: "c"))
            try put(#"{"eos_token": "no such token"}"#, at: folder + "/tokenizer_config.json")
            expectTextError("'no such token'", "not in the vocabulary") {
                _ = try TokenizerLoader.load(folder: folder)
            }
        }
    }
}
