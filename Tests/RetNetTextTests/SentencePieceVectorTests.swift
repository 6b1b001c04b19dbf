import Foundation
import RetNetText
import Testing

/// Real models against what the reference library makes of the same texts.
@Suite(.enabled(if: SharedData.folder != nil, "there is no ../shared/data")) struct SentencePieceVectorTests {
    private struct Vector: Decodable {
        let text: String
        let ids: [Int32]
        let decoded: String?
    }

    private func vectors(_ path: String) throws -> [Vector] {
        let data = try Data(
            contentsOf: URL(fileURLWithPath: try #require(SharedData.folder) + "/tokenizers/" + path))
        return try data.split(separator: 0x0A).map { try JSONDecoder().decode(Vector.self, from: $0) }
    }

    private func tokenizer(_ path: String) throws -> SentencePieceTokenizer {
        try SentencePieceTokenizer(path: try #require(SharedData.folder) + "/tokenizers/" + path)
    }

    @Test(arguments: [
        ("albert/spiece.model", "albert/vectors_generated.jsonl", 246),
        ("sp_botchan_unigram1000/test_model.model", "sp_botchan_unigram1000/vectors_generated.jsonl", 246),
        ("llama2/tokenizer.model", "llama2/vectors_generated.jsonl", 246),
        ("llama2/tokenizer.model", "llama2/vectors_llamacpp.jsonl", 46),
        ("sp_small/test_sentencepiece_bpe.model", "sp_small/test_sentencepiece_bpe.vectors.jsonl", 246),
        (
            "sp_small/test_sentencepiece_bpe_char.model",
            "sp_small/test_sentencepiece_bpe_char.vectors.jsonl", 246
        ),
        (
            "sp_small/test_sentencepiece_with_bytefallback.model",
            "sp_small/test_sentencepiece_with_bytefallback.vectors.jsonl", 246
        ),
    ])
    func `Texts become the tokens of the reference, and these its texts`(
        model: String, file: String, count: Int
    ) throws {
        let tokenizer = try tokenizer(model)
        let vectors = try vectors(file)
        #expect(vectors.count == count)
        for vector in vectors {
            #expect(tokenizer.encode(vector.text) == vector.ids, "\(vector.text.debugDescription)")
            if let decoded = vector.decoded {
                #expect(tokenizer.decode(vector.ids) == decoded, "\(vector.text.debugDescription)")
            }
        }
    }

    @Test func `Published tokens of Llama begin with its begin token`() throws {
        let tokenizer = try tokenizer("llama2/tokenizer.model")
        let begin = try #require(tokenizer.beginToken)
        for vector in try vectors("llama2/vectors_hf.jsonl") {
            #expect([begin] + tokenizer.encode(vector.text) == vector.ids)
        }
    }

    @Test func `Special tokens are those of the files`() throws {
        let llama = try tokenizer("llama2/tokenizer.model")
        #expect(llama.vocabularySize == 32_000)
        #expect([llama.beginToken, llama.endToken, llama.paddingToken] == [1, 2, nil])
        let albert = try tokenizer("albert/spiece.model")
        #expect([albert.beginToken, albert.endToken, albert.paddingToken] == [nil, nil, 0])
        #expect(albert.unknownToken == 1)
        let characters = try tokenizer("sp_small/test_sentencepiece_bpe_char.model")
        #expect([characters.beginToken, characters.endToken, characters.paddingToken] == [0, 2, 1])
    }
}
