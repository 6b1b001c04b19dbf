import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetServing
import ServerTestSupport
import Testing

/// Texts and scores of the engine.
@Suite struct EngineTests {
    @Test(arguments: [1, 3, 16])
    func `texts are those of the LibTorch engine, whatever else is generated`(_ rows: Int) async throws {
        #expect(GoldenText.all.count == 16)
        for model in [Fixture.story, .hybrid] {
            let engine = try model.engine(rows: rows, piece: 64) { $0.reusesPrefixes = false }
            defer { engine.stop() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for golden in GoldenText.all where golden.model == model.rawValue {
                    group.addTask {
                        let found = try await engine.outcome(engine.request(golden.prompt, golden.parameters))
                        #expect(found.text == golden.text, "\(golden)")
                        #expect(found.reasons == [golden.finishReason], "\(golden)")
                    }
                }
                try await group.waitForAll()
            }
            #expect(engine.metrics.current.refused == 0)
        }
    }

    @Test func `each of several texts is the one of its seed`() async throws {
        let engine = try Fixture.story.engine(rows: 2)
        defer { engine.stop() }
        var parameters = SamplingParameters()
        (parameters.maxTokens, parameters.seed) = (24, 40)
        var request = engine.request("The hen", parameters)
        request.choiceCount = 5
        let together = try await engine.outcome(request)
        #expect(Set(together.texts).count == 5)
        for choice in 0..<5 {
            parameters.seed = 40 + UInt64(choice)
            let alone = try await engine.outcome(engine.request("The hen", parameters))
            #expect(alone.text == together.texts[choice])
        }
    }

    @Test(arguments: [Fixture.story, .hybrid])
    func `scores of prompts have the bits of one pass, however the prompt is cut`(_ fixture: Fixture)
        async throws
    {
        let prompt = storyText(300)
        let model = try fixture.model()
        let (tokens, _) = model.tokens(of: prompt)
        let network = try #require(model.languageModel)
        var states = [network.initialState()]
        let runner = try ModelRunner(network, threads: 1)
        let logits = try #require(try runner.read([tokens], &states, logits: .all))
        var expected: [Double] = []
        for (row, token) in tokens.dropFirst().enumerated() {
            let values = logits[row].map(Double.init)
            let largest = try #require(values.max())
            expected.append(
                values[Int(token)] - largest - log(values.reduce(0) { $0 + exp($1 - largest) }))
        }
        for piece in [64, 192] {
            let engine = try fixture.engine(piece: piece)
            defer { engine.stop() }
            // Another text is generated meanwhile, so that pieces are short.
            let other = try engine.submit(engine.request("The owl", maxTokens: 200))
            var request = engine.request(prompt, maxTokens: 0)
            (request.scoresPrompt, request.topCount) = (true, 2)
            let found = try await engine.outcome(request)
            let scores = try #require(found.report?.scores)
            #expect(scores.map(\.token) == tokens)
            #expect(scores.first?.logProbability == nil)
            let worst = zip(scores.dropFirst(), expected).map { abs(($0.logProbability ?? 0) - $1) }.max()
            // The sums are added in another order.
            #expect(try #require(worst) < 1e-12)
            #expect(
                scores.dropFirst().allSatisfy {
                    $0.top.count == 2 && $0.top[0].logProbability >= $0.top[1].logProbability
                })
            #expect(found.reasons == [.length] && found.text.isEmpty)
            for try await _ in other {}
        }
    }

    @Test func `log-probabilities belong to the tokens of the text, without those that a stop cuts off`()
        async throws
    {
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        var request = engine.request("The fox", maxTokens: 30)
        request.topCount = 1
        let plain = try await engine.outcome(engine.request("The fox", maxTokens: 30))
        let found = try await engine.outcome(request)
        #expect(found.text == plain.text)
        #expect(found.tokens[0].count == 30)
        for token in found.tokens[0] {
            #expect(token.score.logProbability == token.score.top[0].logProbability)
        }
        #expect(found.tokens[0].map(\.offset) == Array(0..<30))
        let stop = String(found.text.dropFirst(8).prefix(4))
        request.sampling.stopStrings = [stop]
        let stopped = try await engine.outcome(request)
        #expect(stopped.reasons == [.stop])
        #expect(stopped.tokens[0].count == stopped.text.unicodeScalars.count)
    }

    @Test func `long prompts stall neither running texts nor short prompts`() async throws {
        let engine = try Fixture.story.engine(piece: 64)
        defer { engine.stop() }
        // They take many times as long as what follows, and are cancelled at the end.
        let long = storyText(400_000)
        let streams = try (0..<2).map { try engine.submit(engine.request(long + "\($0)", maxTokens: 1)) }
        let shorts = try (0..<3).map { try engine.submit(engine.request("The dog \($0)", maxTokens: 30)) }
        for stream in shorts { for try await _ in stream {} }
        #expect(engine.status.reading == 2 && streams.count == 2)
        #expect(engine.metrics.current.generatedTokens == 90)
        #expect(engine.metrics.current.decodedRows == 87)
    }

    @Test func `a row that was used before begins from nothing`() async throws {
        let engine = try Fixture.hybrid.engine(rows: 1) { $0.reusesPrefixes = false }
        defer { engine.stop() }
        let first = try await engine.outcome(engine.request("The owl"))
        _ = try await engine.outcome(engine.request(storyText(500)))
        #expect(try await engine.outcome(engine.request("The owl")).text == first.text)
    }

    @Test func `biases and penalties change what is chosen`() async throws {
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        var request = engine.request("The fox", maxTokens: 5)
        request.adjustments.bias = [120: 100]
        #expect(try await engine.outcome(request).text == "xxxxx")
        request.adjustments.frequencyPenalty = 60
        request.adjustments.bias = [120: 100, 121: 70]
        #expect(try await engine.outcome(request).text.hasPrefix("xyx") == true)
        request.adjustments.bias = Dictionary(uniqueKeysWithValues: (97...122).map { (Int32($0), -100) })
        request.adjustments.frequencyPenalty = 0
        #expect(try await engine.outcome(request).text.contains { ("a"..."z").contains($0) } == false)
    }
}
