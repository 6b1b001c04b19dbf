import Foundation
import RetNetText
import Testing

/// Real tokenizers against what the reference library makes of the same texts.
@Suite(.enabled(if: SharedData.folder != nil, "there is no ../shared/data")) struct HuggingFaceVectorTests {
    private struct Vector: Decodable {
        let text: String
        let ids: [Int32]
        let decoded: String?
    }

    @Test(arguments: [
        ("gpt2/encoder.json", "gpt2/vectors_generated.jsonl", 246),
        ("gpt2/vocab.bpe", "gpt2/vectors_llamacpp.jsonl", 46),
        ("gpt2", "gpt2/vectors_hf.jsonl", 19),
        ("gpt-neox-20b/tokenizer.json", "gpt-neox-20b/vectors_generated.jsonl", 246),
    ])
    func `Texts become the tokens of the reference, and these its texts`(
        name: String, file: String, count: Int
    ) throws {
        let folder = try #require(SharedData.folder) + "/tokenizers/"
        let tokenizer = try TokenizerLoader.load(named: folder + name)
        let data = try Data(contentsOf: URL(fileURLWithPath: folder + file))
        let vectors = try data.split(separator: 0x0A).map { try JSONDecoder().decode(Vector.self, from: $0) }
        #expect(vectors.count == count)
        for vector in vectors {
            #expect(tokenizer.encode(vector.text) == vector.ids, "\(vector.text.debugDescription)")
            let counted = tokenizer.encodeCountingBytes(vector.text)
            #expect(counted.tokens == vector.ids)
            #expect(counted.byteCounts.reduce(0, +) == vector.text.utf8.count)
            #expect(tokenizer.encodeWithOffsets(vector.text).tokens == vector.ids)
            // The vectors show special tokens, which decoding leaves out.
            let special = name.hasPrefix("gpt-neox") ? "<|endoftext|>" : "no token"
            if let decoded = vector.decoded?.replacingOccurrences(of: special, with: "") {
                #expect(tokenizer.decode(vector.ids) == decoded, "\(vector.text.debugDescription)")
            }
        }
    }

    @Test func `Special tokens in text are text where that is asked for`() throws {
        let folder = try #require(SharedData.folder) + "/tokenizers/gpt-neox-20b"
        let tokenizer = try TokenizerLoader.load(named: folder)
        #expect(tokenizer.encode("a<|endoftext|>").last == tokenizer.endToken)
        let plain = tokenizer.with(.text)
        #expect(plain.identity == tokenizer.identity)
        #expect(!plain.encode("a<|endoftext|>").contains(try #require(tokenizer.endToken)))
        #expect(plain.decode(plain.encode("a<|endoftext|>")) == "a<|endoftext|>")
        // Runs of spaces are added tokens too, but not special.
        #expect(plain.encode("a    b") == tokenizer.encode("a    b"))
        let stream = try TokenStream(texts: ["a<|endoftext|>b"], tokenizer: tokenizer)
        let expected = plain.encode("a<|endoftext|>b")
        #expect(try stream.tokens(in: 0..<stream.tokenCount).suffix(expected.count) == expected[...])
    }
}
