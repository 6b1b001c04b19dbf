import Foundation
import RetNetCheckpoints
import RetNetGeneration
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@Suite struct ResumingTests {
    private func parameters(_ maxTokens: Int, temperature: Double) -> SamplingParameters {
        var parameters = SamplingParameters()
        parameters.maxTokens = maxTokens
        parameters.temperature = temperature
        parameters.repetitionPenalty = 1.3
        parameters.seed = 8
        parameters.stopStrings = ["never to be seen", "\u{1}\u{2}"]
        return parameters
    }

    private var options: GenerationOptions {
        var options = GenerationOptions()
        options.keepsUnfinishedText = true
        return options
    }

    @Test(
        "a run in two parts with a file between them equals one run",
        arguments: [ElementType.float64, .float32], [0.0, 1.0])
    func twoParts(type: ElementType, temperature: Double) throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel(type: type)
            let prompts = ["once", "upon a time", "there"]
            let whole = try session(model).generate(prompts, parameters(23, temperature: temperature))
            for cut in [1, 7, 16, 22] {
                let first = try session(model, options)
                let begun = try first.generate(prompts, parameters(cut, temperature: temperature))
                let path = folder + "/state"
                try StateFile.write(try #require(try first.savedState()), of: model, to: path)
                let saved = try StateFile.read(path, for: model, tokenizerIdentity: "plain")
                let second = try GenerationSession(
                    model: model, tokenizer: PlainTokenizer(), resuming: saved)
                #expect(second.tokenCounts == first.tokenCounts)
                let ended = try second.generate(
                    ["", "", ""], parameters(23 - cut, temperature: temperature))
                for row in prompts.indices {
                    #expect(begun[row].tokens + ended[row].tokens == whole[row].tokens)
                    #expect(begun[row].text + ended[row].text == whole[row].text)
                }
            }
        }
    }

    @Test("a prompt may follow a saved state, and a state of one row may go on as several")
    func followingPrompts() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            let path = folder + "/state"
            let first = try session(model)
            let begun = try first.generate(["start"], .greedy(maxTokens: 4))[0]
            try StateFile.write(try #require(try first.savedState()), of: model, to: path)
            let saved = try StateFile.read(path, for: model)
            let second = try GenerationSession(model: model, tokenizer: PlainTokenizer(), resuming: saved)
            let results = try second.generate([" and", " or else"], .greedy(maxTokens: 6))
            let start = Array("start".utf8).map { Int32($0) } + begun.tokens
            for (prompt, result) in zip([" and", " or else"], results) {
                let expected = try session(model).generate(
                    tokens: [start + prompt.utf8.map { Int32($0) }], .greedy(maxTokens: 6))[0]
                #expect(result.tokens == expected.tokens)
            }
            // Forks of one row draw different numbers.
            let third = try GenerationSession(model: model, tokenizer: PlainTokenizer(), resuming: saved)
            var free = SamplingParameters()
            free.maxTokens = 12
            let forks = try third.generate(["", "", ""], free)
            #expect(Set(forks.map(\.tokens)).count == 3)
        }
    }

    @Test("a state without logits goes on with a prompt")
    func withoutLogits() throws {
        let model = try tinyModel()
        let tokens = try Tensor.from([Int64(1), 2, 3], [1, 3])
        let (_, state) = try withoutGradients { try model(tokens, form: .parallel) }
        let session = try GenerationSession(
            model: model, tokenizer: PlainTokenizer(), resuming: SavedState(state: state))
        #expect(session.logits == nil)
        #expect(throws: GenerationError.emptyPrompt(row: 0)) { try session.generate([""]) }
        let logits = try session.prefill([4, 5]).doubles()
        #expect(relativeDifference(logits, try wholeLogits(model, [1, 2, 3, 4, 5])) < 1e-10)
        #expect(session.logits != nil)
    }

    @Test("a saved state that does not hold together is refused")
    func malformed() throws {
        let model = try tinyModel()
        let first = try session(model)
        _ = try first.generate(["ab"], .greedy(maxTokens: 2))
        let good = try #require(try first.savedState())
        func expectRefusal(_ reason: String, _ change: (inout SavedState) throws -> Void) throws {
            var saved = good
            try change(&saved)
            let error = #expect(throws: GenerationError.self) {
                try GenerationSession(model: model, tokenizer: PlainTokenizer(), resuming: saved)
            }
            #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
        }
        try expectRefusal("pending tokens for 0") { $0.pendingTokens = [] }
        try expectRefusal("the shape [1, 3]") { $0.logits = try Tensor.zeros([1, 3]) }
        try expectRefusal("describes 0") { $0.metadata["generation.rows"] = "[]" }
        for text in ["", "{}", "[{}]", "[{\"recentTokens\": [1e99], \"heldBytes\": []}]"] {
            try expectRefusal("is not a list of rows") { $0.metadata["generation.rows"] = text }
        }
    }

    @Test("a model folder that was loaded generates the text of the model that was saved")
    func loadedFolder() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel(type: .float32)
            var parameters = SamplingParameters.greedy(maxTokens: 15)
            try ModelFolder.save(
                model, tokenizer: ByteTokenizer(), to: folder + "/m", generationDefaults: parameters.defaults)
            let loaded = try ModelFolder.load(folder + "/m")
            parameters = SamplingParameters(defaults: loaded.generationDefaults)
            #expect(parameters == .greedy(maxTokens: 15))
            let prompt = "caf\u{e9} \u{1f600}"
            let texts = try [model, loaded.model].map { model in
                try GenerationSession(model: model, tokenizer: loaded.tokenizer)
                    .generate([prompt], parameters)[0].text
            }
            #expect(texts[0] == texts[1])
        }
    }

    @Test("nothing is saved before anything was read")
    func nothingRead() throws {
        #expect(try session(tinyModel()).savedState() == nil)
    }
}
