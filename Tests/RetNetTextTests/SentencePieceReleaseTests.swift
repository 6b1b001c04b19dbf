import Foundation
import RetNetText
import Testing

/// Small models with details in which releases of the reference library differ; see Benchmarks/sentencepiece.
@Suite struct SentencePieceReleaseTests {
    private struct Fixture: Decodable {
        struct Model: Decodable {
            let model: Data
            let vectors: [Vector]
        }

        struct Vector: Decodable {
            let text: String
            let ids: [Int32]
            let decoded: String
        }

        let sentencepiece: String
        let models: [Model]
    }

    private func fixture() throws -> Fixture {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/sentencepiece-0.2.3.json")
        return try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: path))
    }

    @Test func `Texts become the pieces of the release that the documentation names`() throws {
        let fixture = try fixture()
        #expect(fixture.sentencepiece == "0.2.3" && fixture.models.count >= 28)
        for (index, model) in fixture.models.enumerated() {
            let tokenizer = try SentencePieceTokenizer(bytes: Array(model.model))
            for vector in model.vectors {
                let place = "model \(index), \(vector.text.debugDescription)"
                #expect(tokenizer.encode(vector.text) == vector.ids, "\(place)")
                #expect(tokenizer.decode(vector.ids) == vector.decoded, "\(place)")
            }
        }
    }

    @Test func `Sums of scores are added in float32, and of equal ones the earlier start wins`() throws {
        // 0 and 00, or 00 and 0: in float64 the second sum is greater by the rounding of the first.
        for model in try fixture().models.prefix(4) {
            let tokenizer = try SentencePieceTokenizer(bytes: Array(model.model))
            let pieces = tokenizer.encode("30,000").map {
                String(decoding: tokenizer.bytes(of: $0), as: UTF8.self)
            }
            #expect(pieces == [" ", "3", "0", ",", "0", "00"])
        }
    }
}
