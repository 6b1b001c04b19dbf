import Foundation
import RetNetGeneration
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch
import Testing

@Suite struct GenerateTests {
    private func sampling(_ maxTokens: Int, seed: UInt64 = 5) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.maxTokens = maxTokens
        parameters.seed = seed
        parameters.topK = 20
        parameters.topP = 0.95
        parameters.repetitionPenalty = 1.2
        return parameters
    }

    @Test("greedy text does not depend on the form or the pieces in which the prompt was read")
    func formsAgree() throws {
        let prompt = String(decoding: someTokens(50, below: 128).map { UInt8($0) }, as: UTF8.self)
        for type in [ElementType.float64, .float32] {
            let model = try tinyModel(type: type)
            var texts: Set<[Int32]> = []
            for form in [MixerForm.parallel, .recurrent, .chunkwise(1), .chunkwise(16), .chunkwise(512)] {
                for piece in [3, 1024] {
                    var options = GenerationOptions()
                    options.prefillForm = form
                    options.prefillPieceLength = piece
                    let results = try session(model, options).generate([prompt], .greedy(maxTokens: 30))
                    #expect(results[0].finishReason == .length)
                    texts.insert(results[0].tokens)
                }
            }
            #expect(texts.count == 1)
        }
    }

    @Test("greedy text is what feeding back the best token of whole passes gives")
    func matchesWholePasses() throws {
        let model = try tinyModel()
        var tokens = someTokens(8)
        let results = try session(model).generate(tokens: [tokens], .greedy(maxTokens: 12))
        for token in results[0].tokens {
            let logits = try wholeLogits(model, tokens)
            let best = logits.indices.max { logits[$0] < logits[$1] }
            #expect(token == best.map { Int32($0) })
            tokens.append(token)
        }
        #expect(results[0].promptTokenCount == 8)
        #expect(results[0].tokens.count == 12)
    }

    @Test("a row of a batch gives the text that it gives alone")
    func batchRows() throws {
        let model = try tinyModel()
        let prompts = ["first", "the second prompt", "3", "four times", "the last one of all"]
        var parameters = sampling(25)
        parameters.stopStrings = ["e", "\u{11}"]
        let together = try session(model).generate(prompts, parameters)
        #expect(Set(together.map(\.tokens)).count == prompts.count)
        for (row, prompt) in prompts.enumerated() {
            parameters.seed = together[row].seed
            let alone = try session(model).generate([prompt], parameters)[0]
            #expect(alone.tokens == together[row].tokens)
            #expect(alone.text == together[row].text)
            #expect(alone.finishReason == together[row].finishReason)
        }
    }

    @Test("what is streamed is the text of the result, and the seed decides it")
    func streaming() throws {
        let model = try tinyModel()
        var streamed = ["", ""]
        let results = try session(model).generate(["ab", "cd"], sampling(40)) { streamed[$0] += $1 }
        #expect(streamed == results.map(\.text))
        #expect(try session(model).generate(["ab", "cd"], sampling(40)).map(\.text) == streamed)
        #expect(try session(model).generate(["ab", "cd"], sampling(40, seed: 99)).map(\.text) != streamed)
        var parameters = sampling(40)
        parameters.seed = nil
        let drawn = try session(model).generate(["ab"], parameters)[0]
        parameters.seed = drawn.seed
        #expect(try session(model).generate(["ab"], parameters)[0].tokens == drawn.tokens)
    }

    @Test("stop strings and end tokens end a row exactly")
    func ends() throws {
        let model = try tinyModel()
        let free = try session(model).generate(["prompt"], .greedy(maxTokens: 20))[0]
        // Every token is a byte, so two in the middle make a stop string across a token boundary if they are text.
        let all = free.tokens.map { UInt8($0) }
        for place in 1..<18 {
            guard let stop = String(validating: all[place..<place + 2], as: UTF8.self) else { continue }
            var parameters = SamplingParameters.greedy(maxTokens: 20)
            parameters.stopStrings = [stop]
            let result = try session(model).generate(["prompt"], parameters)[0]
            let expected = all.indices.first { all[$0...].starts(with: Array(stop.utf8)) }
            #expect(result.finishReason == .stop)
            #expect(result.stopString == stop)
            #expect(result.text == String(decoding: all[..<(expected ?? 0)], as: UTF8.self))
        }
        var parameters = SamplingParameters.greedy(maxTokens: 20)
        parameters.endTokens = [free.tokens[6], 1000]
        let ended = try session(model).generate(["prompt"], parameters)[0]
        let place = try #require(free.tokens.firstIndex(of: free.tokens[6]))
        #expect(ended.finishReason == .endToken)
        #expect(ended.tokens == Array(free.tokens[...place]))
        #expect(ended.text == String(decoding: all[..<place], as: UTF8.self))
        parameters.stopsAtEndToken = false
        #expect(try session(model).generate(["prompt"], parameters)[0].tokens == free.tokens)
    }

    @Test("log-probabilities and counts are recorded")
    func records() throws {
        let model = try tinyModel()
        var parameters = sampling(5)
        parameters.recordsLogProbabilities = true
        let result = try session(model).generate(["abc"], parameters)[0]
        let values = try #require(result.logProbabilities)
        #expect(values.count == 5)
        let logits = try wholeLogits(model, [97, 98, 99])
        let normalizer = log(logits.reduce(0) { $0 + exp($1) })
        #expect(abs(values[0] - (logits[Int(result.tokens[0])] - normalizer)) < 1e-9)
        #expect(result.promptTokenCount == 3)
        #expect(result.decodeSeconds >= 0)
        #expect(try session(model).generate(["abc"], sampling(5))[0].logProbabilities == nil)
    }

    @Test("cancelling keeps what was generated, and reading that is cancelled changes nothing")
    func cancelling() throws {
        let model = try tinyModel()
        let whole = try session(model).generate(["abc", "d"], sampling(10))
        let cancelled = try session(model)
        var checks = 0
        // Reading asks twice: the rows differ in length.
        let results = try cancelled.generate(["abc", "d"], sampling(10)) {
            _, _ in
        } isCancelled: {
            checks += 1
            return checks > 6
        }
        #expect(results.allSatisfy { $0.finishReason == .cancelled && $0.tokens.count == 4 })
        #expect(results.map(\.tokens) == whole.map { Array($0.tokens.prefix(4)) })
        let rest = try cancelled.generate(["", ""], sampling(6))
        #expect(zip(results, rest).map { $0.tokens + $1.tokens } == whole.map(\.tokens))
        let counts = cancelled.tokenCounts
        let none = try cancelled.generate(["x", "y"], sampling(10)) { _, _ in
        } isCancelled: {
            true
        }
        #expect(none.allSatisfy { $0.finishReason == .cancelled && $0.tokens.isEmpty })
        #expect(cancelled.tokenCounts == counts)
    }

    @Test("bad requests are refused before anything is read")
    func refusals() throws {
        let model = try tinyModel()
        let session = try session(model)
        var bad = SamplingParameters()
        bad.topP = 2
        #expect(
            throws: GenerationError.invalidParameters(["top-p is 2.0, but must be above 0 and at most 1"])
        ) { try session.generate(["a"], bad) }
        #expect(throws: GenerationError.emptyPrompt(row: 0)) { try session.generate([""]) }
        #expect(session.rowCount == 0)
        let nothing = try session.generate(["a"], .greedy(maxTokens: 0))[0]
        #expect(nothing.tokens.isEmpty && nothing.text.isEmpty && nothing.finishReason == .length)
        #expect(session.tokenCounts == [1])
    }

    @Test("tokens that the tokenizer does not have are never chosen")
    func paddedVocabulary() throws {
        let model = try tinyModel(vocabularySize: 300)
        let tokenizer = PlainTokenizer(vocabularySize: 40)
        let session = try GenerationSession(model: model, tokenizer: tokenizer)
        let result = try session.generate(tokens: [[1, 2]], sampling(50))[0]
        #expect(result.tokens.allSatisfy { $0 < 40 })
    }

    @Test("diverged weights are an error, not a text")
    func divergedWeights() throws {
        let model = try tinyModel(type: .float32)
        let weight = try #require(model.parameters["final_norm.weight"])
        try [Float](repeating: .nan, count: 16).withUnsafeBytes { try weight.assign(bytes: $0) }
        let session = try session(model)
        #expect(throws: GenerationError.logitsNotFinite(row: 0)) { try session.generate(["a"]) }
    }
}
