import Foundation
import RetNetGeneration
import RetNetText
import Testing

@Suite struct SamplingTests {
    private func candidates(_ probabilities: [Double]) throws -> TokenCandidates {
        try #require(TokenCandidates(logits: probabilities.map { log($0) }))
    }

    private func applied(_ step: any SamplingStep, _ probabilities: [Double], recent: [Int32] = []) throws
        -> TokenCandidates
    {
        var result = try candidates(probabilities)
        step.apply(to: &result, recent: recent[...])
        return result
    }

    @Test("top-k keeps the most probable tokens, the lowest numbers of equal ones")
    func topK() throws {
        #expect(try applied(TopK(2), [0.1, 0.4, 0.2, 0.3]).tokens == [1, 3])
        #expect(try applied(TopK(3), [0.2, 0.2, 0.2, 0.2, 0.2]).tokens == [0, 1, 2])
        #expect(try applied(TopK(0), [0.5, 0.5]).tokens == [0, 1])
        #expect(try applied(TopK(9), [0.5, 0.5]).tokens == [0, 1])
        var generator = SeededGenerator(seed: 5)
        for count in [1, 7, 63, 64, 99] {
            let logits = (0..<100).map { _ in Double(generator.integer(below: 30)) }
            var kept = try #require(TokenCandidates(logits: logits))
            TopK(count).apply(to: &kept, recent: [])
            let order = logits.indices.sorted {
                logits[$0] == logits[$1] ? $0 < $1 : logits[$0] > logits[$1]
            }
            #expect(kept.tokens == order.prefix(count).sorted().map { Int32($0) })
        }
    }

    @Test("top-p keeps the smallest set that reaches the share")
    func topP() throws {
        #expect(try applied(TopP(0.6), [0.1, 0.4, 0.2, 0.3]).tokens == [1, 3])
        #expect(try applied(TopP(0.75), [0.1, 0.4, 0.2, 0.3]).tokens == [1, 2, 3])
        #expect(try applied(TopP(0.01), [0.1, 0.4, 0.2, 0.3]).tokens == [1])
        #expect(try applied(TopP(1), [0.1, 0.4, 0.2, 0.3]).tokens == [0, 1, 2, 3])
        #expect(try applied(TopP(0.4), [0.25, 0.25, 0.25, 0.25]).tokens == [0, 1])
    }

    @Test("min-p keeps what has a share of the largest probability")
    func minP() throws {
        #expect(try applied(MinP(0.4), [0.1, 0.5, 0.15, 0.25]).tokens == [1, 3])
        #expect(try applied(MinP(0), [0.1, 0.9]).tokens == [0, 1])
        #expect(try applied(MinP(1), [0.1, 0.9]).tokens == [1])
    }

    @Test("temperature sharpens, flattens and never overflows")
    func temperature() throws {
        let sharp = try applied(Temperature(0.5), [0.2, 0.8]).probabilities()
        #expect(abs(sharp[0] - 0.04 / 0.68) < 1e-12)
        let flat = try applied(Temperature(1e12), [0.2, 0.8]).probabilities()
        #expect(abs(flat[0] - 0.5) < 1e-9)
        #expect(try applied(Temperature(1e-300), [0.2, 0.8]).probabilities() == [0, 1])
    }

    @Test("the repetition penalty counts each token of the window once")
    func repetitionPenalty() throws {
        let step = RepetitionPenalty(penalty: 2, window: 2)
        var result = try #require(TokenCandidates(logits: [3, -3, 4, 1]))
        step.apply(to: &result, recent: [2, 0, 1, 1][1...])
        #expect(result.logits == [3, -6, 4, 1])
        step.apply(to: &result, recent: [0, 99])
        #expect(result.logits == [1.5, -6, 4, 1])
    }

    @Test("samples follow the distribution")
    func distribution() {
        let probabilities = [0.5, 0.3, 0.15, 0.05]
        let logits = probabilities.map { log($0) + 3 }
        var sampler = Sampler(SamplingParameters(), generator: SeededGenerator(seed: 1))
        var counts = [Double](repeating: 0, count: 4)
        for _ in 0..<20_000 {
            if let choice = sampler.choose(logits, recent: []) { counts[Int(choice.token)] += 1 }
        }
        for (count, probability) in zip(counts, probabilities) {
            // Five standard deviations.
            #expect(abs(count - 20_000 * probability) < 5 * (20_000 * probability).squareRoot())
        }
    }

    @Test("the steps are applied in their documented order")
    func order() {
        var parameters = SamplingParameters()
        parameters.topK = 2
        parameters.topP = 0.7
        // Among the two that top-k leaves, 0.35 / 0.65 is not enough for top-p, so both stay.
        let logits = [0.35, 0.3, 0.2, 0.15].map { log($0) }
        var sampler = Sampler(parameters, generator: SeededGenerator(seed: 1))
        let tokens = Set((0..<200).compactMap { _ in sampler.choose(logits, recent: [])?.token })
        #expect(tokens == [0, 1])
    }

    @Test("log-probabilities are those of the model itself, and greedy takes the lowest of equals")
    func greedy() throws {
        var parameters = SamplingParameters.greedy(maxTokens: 1)
        parameters.recordsLogProbabilities = true
        parameters.repetitionPenalty = 10
        var sampler = Sampler(parameters, generator: SeededGenerator(seed: 1))
        let chosen = sampler.choose([log(0.25), log(0.25), log(0.5)], recent: [2])
        let choice = try #require(chosen)
        #expect(choice.token == 0)
        #expect(abs(try #require(choice.logProbability) - log(0.25)) < 1e-12)
        #expect(sampler.generator == SeededGenerator(seed: 1))
    }

    @Test("logits that are not numbers give no token")
    func notFinite() {
        var sampler = Sampler(SamplingParameters(), generator: SeededGenerator(seed: 1))
        #expect(sampler.choose([1, .nan], recent: []) == nil)
        #expect(sampler.choose([1, .infinity], recent: []) == nil)
        #expect(sampler.choose([-.infinity, -.infinity], recent: []) == nil)
        #expect(sampler.choose([Double](), recent: []) == nil)
        #expect(sampler.choose([-.infinity, 0], recent: [])?.token == 1)
    }

    @Test("all parameters out of range are named at once")
    func validation() throws {
        try SamplingParameters().validate()
        try SamplingParameters.greedy(maxTokens: 0).validate()
        var bad = SamplingParameters()
        bad.temperature = -.infinity
        bad.topK = -1
        bad.topP = 0
        bad.minP = .nan
        bad.repetitionPenalty = 0
        bad.repetitionWindow = 0
        bad.maxTokens = -1
        bad.stopStrings = ["ok", ""]
        bad.endTokens = [-1]
        let error = #expect(throws: GenerationError.self) { try bad.validate() }
        guard case .invalidParameters(let problems) = error else {
            Issue.record("unexpected error \(String(describing: error))")
            return
        }
        #expect(problems.count == 9)
    }

    @Test("settings of a model folder survive the way there and back")
    func defaults() {
        var parameters = SamplingParameters.greedy(maxTokens: 9)
        parameters.topK = 4
        parameters.endTokens = [3]
        #expect(SamplingParameters(defaults: parameters.defaults) == parameters)
        parameters.temperature = 0.5
        #expect(SamplingParameters(defaults: parameters.defaults) == parameters)
        #expect(SamplingParameters(defaults: .init()) == SamplingParameters())
    }
}
