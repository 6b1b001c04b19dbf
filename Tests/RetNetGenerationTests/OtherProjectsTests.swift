import Foundation
import RetNetCheckpoints
import RetNetGeneration
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

/// Checkpoints of other projects generate as models of this package do.
@Suite struct OtherProjectsTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appendingPathComponent("RetNetCheckpointsTests/Fixtures/dialects").path
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        .filter { !$0.hasPrefix(".") }.sorted()

    private func best(_ logits: [Double]) -> Int32 {
        Int32(logits.indices.max { logits[$0] < logits[$1] } ?? 0)
    }

    @Test(arguments: names)
    func `Greedy text begins as their logits say, and goes on as whole passes do`(name: String) throws {
        let path = "\(Self.folder)/\(name)"
        let model = try ModelFolder.load(path, elementType: .float64).model
        let peer = try SafetensorsTensors(file: path + "/expected.safetensors")
        let tokens = try peer.tensor(named: "tokens").sliced(0, 0..<1).doubles().map { Int32($0) }
        let prompt = Array(tokens.prefix(9))
        let tokenizer = PlainTokenizer(vocabularySize: model.configuration.vocabularySize)
        let session = try GenerationSession(model: model, tokenizer: tokenizer)
        var parameters = SamplingParameters.greedy(maxTokens: 6)
        parameters.stopsAtEndToken = false
        let found = try session.generate(tokens: [prompt], parameters)[0].tokens
        let logits = try peer.tensor(named: "logits").selected(0, 0).selected(0, 8).doubles()
        #expect(found.first == best(logits))
        var all = prompt
        for _ in 0..<6 { all.append(best(try wholeLogits(model, all))) }
        #expect(found == Array(all.dropFirst(9)))
    }

    @Test func `Generation beyond learned positions ends with the limit`() throws {
        let model = try ModelFolder.load(Self.folder + "/gpt2", elementType: .float32).model
        let tokenizer = PlainTokenizer(vocabularySize: model.configuration.vocabularySize)
        let session = try GenerationSession(model: model, tokenizer: tokenizer)
        let error = #expect(throws: MixerError.self) {
            try session.generate(tokens: [[Int32](repeating: 3, count: 20)], .greedy(maxTokens: 30))
        }
        #expect(error?.description.contains("was made for 24 positions") == true)
    }
}
