import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetServing
import ServerTestSupport
import Testing

/// Encoder-decoders in the engine.
@Suite struct EncoderDecoderTests {
    private static func parameters(_ index: Int) -> SamplingParameters {
        var parameters = SamplingParameters.greedy(maxTokens: 12 + index % 5)
        if index % 2 == 1 {
            (parameters.temperature, parameters.topK, parameters.seed) = (0.9, 40, UInt64(index))
            parameters.repetitionPenalty = 1.2
        }
        parameters.endTokens = [1]
        return parameters
    }

    private static let prompts = (0..<9).map {
        String(storyText(7 + $0 * $0 * 11, seed: $0)) + ($0 % 3 == 0 ? " <extra_id_\($0)>" : "")
    }

    @Test(arguments: [1, 4, 16])
    func `outputs are those of the runtime, whatever else is read and generated`(_ rows: Int) async throws {
        let folder = try SmallT5()
        let engine = try folder.engine(rows: rows)
        defer { engine.stop() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, prompt) in Self.prompts.enumerated() {
                let expected = try folder.expected(prompt, Self.parameters(index))
                group.addTask {
                    let found = try await engine.outcome(engine.request(prompt, Self.parameters(index)))
                    #expect(found.text == expected.text && found.reasons == [expected.finishReason])
                    #expect(found.report?.tokenCount == expected.promptTokenCount)
                    #expect(found.report?.cachedTokenCount == 0)
                }
            }
            try await group.waitForAll()
        }
        #expect(await engine.becomesIdle())
        #expect(engine.status.stateByteCount == 0 && engine.store.statistics.count == 0)
        let tokens = Self.prompts.reduce(0) { $0 + engine.model.tokens(of: $1).tokens.count }
        #expect(engine.metrics.current.promptTokens == tokens && engine.metrics.current.cachedTokens == 0)
    }

    @Test func `several texts share a source and have their seeds; scores are the model's`() async throws {
        let folder = try SmallT5()
        let engine = try folder.engine(rows: 3)
        defer { engine.stop() }
        var parameters = Self.parameters(1)
        var request = engine.request("The hen sees the fox.", parameters)
        (request.choiceCount, request.topCount) = (4, 2)
        let found = try await engine.outcome(request)
        parameters.recordsLogProbabilities = true
        for choice in 0..<4 {
            parameters.seed = 1 + UInt64(choice)
            let alone = try folder.expected("The hen sees the fox.", parameters)
            #expect(alone.text == found.texts[choice])
            let scores = found.tokens[choice].map { $0.score.logProbability ?? 0 }
            let expected = try #require(alone.logProbabilities)
            #expect(zip(scores, expected).allSatisfy { abs($0 - $1) < 1e-9 } && !scores.isEmpty)
        }
        #expect(Set(found.texts).count == 4)
    }

    @Test func `a long source holds texts up by a part of it at a time, and leaves with its client`()
        async throws
    {
        let folder = try SmallT5()
        let engine = try folder.engine { $0.contextLimit = 20_000 }
        defer { engine.stop() }
        var long = engine.request(storyText(16_000), maxTokens: 1)
        long.deadline = .now + .seconds(120)
        var stream: AsyncThrowingStream<ServingEvent, any Error>? = try engine.submit(long)
        // Both are at work at once; the source is far from read when the text has ended.
        let text = try await engine.outcome(engine.request("The owl", Self.parameters(2)))
        #expect(text.text == (try folder.expected("The owl", Self.parameters(2))).text)
        #expect(engine.status.reading == 1 && engine.status.stateByteCount > 0)
        withExtendedLifetime(stream) {}
        stream = nil
        #expect(await engine.becomesIdle())
    }

    @Test func `what only language models have is refused`() async throws {
        let folder = try SmallT5()
        let engine = try folder.engine()
        defer { engine.stop() }
        var request = engine.request("x")
        request.keepsState = true
        #expect(throws: ServingError.noStates(of: engine.model)) { try engine.check(request) }
        request = engine.request("x")
        request.scoresPrompt = true
        #expect(throws: ServingError.self) { try engine.check(request) }
        #expect(throws: ServingError.tooLong(promptCount: 4001, maxTokens: 200, limit: 4096)) {
            try engine.check(engine.request(storyText(4000), maxTokens: 200))
        }
    }
}
