import RetNetGeneration
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@Suite struct GenerationSessionTests {
    @Test(
        "reading in pieces and stepping gives the logits of one parallel pass",
        arguments: [MixerForm.parallel, .chunkwise(4), .chunkwise(128), .recurrent],
        [ScoreNormalization.decay, .decayAbsSum])
    func prefillAndSteps(form: MixerForm, normalization: ScoreNormalization) throws {
        for (type, tolerance) in [(ElementType.float64, 1e-10), (.float32, 1e-4)] {
            let model = try tinyModel(type: type, normalization: normalization)
            let tokens = someTokens(29)
            var options = GenerationOptions()
            options.prefillForm = form
            options.prefillPieceLength = 7
            let session = try session(model, options)
            let read = try session.prefill(Array(tokens.prefix(23))).doubles()
            #expect(relativeDifference(read, try wholeLogits(model, Array(tokens.prefix(23)))) < tolerance)
            for count in 24...29 {
                let logits = try session.step([tokens[count - 1]]).doubles()
                #expect(
                    relativeDifference(logits, try wholeLogits(model, Array(tokens.prefix(count))))
                        < tolerance)
            }
            #expect(session.tokenCounts == [29])
        }
    }

    @Test("rows of different lengths are each as if alone, also when they go on")
    func raggedRows() throws {
        let model = try tinyModel()
        var options = GenerationOptions()
        options.prefillPieceLength = 6
        let lengths = [5, 17, 1, 17, 9]
        let rows = lengths.enumerated().map { someTokens($1, seed: UInt64($0)) }
        let more = [3, 0, 8, 1, 0].enumerated().map { someTokens($1, seed: UInt64(20 + $0)) }
        let together = try session(model, options)
        try together.prefill(rows)
        #expect(together.state?.positions.map(\.count) == lengths)
        let logits = try together.prefill(more).doubles()
        for row in rows.indices {
            let expected = try wholeLogits(model, rows[row] + more[row])
            #expect(relativeDifference(Array(logits[row * 256..<(row + 1) * 256]), expected) < 1e-10)
        }
        #expect(together.tokenCounts == zip(rows, more).map { $0.count + $1.count })
    }

    @Test("forks, snapshots and selected rows go on independently")
    func forks() throws {
        let model = try tinyModel()
        let prompt = someTokens(10)
        let session = try session(model)
        try session.prefill(prompt)
        let snapshot = session.snapshot()
        let fork = try session.fork()
        try session.step([1])
        try fork.step([2])
        #expect(
            relativeDifference(try #require(session.logits).doubles(), try wholeLogits(model, prompt + [1]))
                < 1e-10)
        #expect(
            relativeDifference(try #require(fork.logits).doubles(), try wholeLogits(model, prompt + [2]))
                < 1e-10)
        session.restore(snapshot)
        try session.step([3])
        #expect(
            relativeDifference(try #require(session.logits).doubles(), try wholeLogits(model, prompt + [3]))
                < 1e-10)
        // One row becomes as many as there are prompts.
        let branches = try session.prefill([[4, 5], [6]]).doubles()
        #expect(
            relativeDifference(Array(branches[..<256]), try wholeLogits(model, prompt + [3, 4, 5])) < 1e-10)
        #expect(relativeDifference(Array(branches[256...]), try wholeLogits(model, prompt + [3, 6])) < 1e-10)
        try session.select(rows: [1])
        #expect(session.rowCount == 1)
        #expect(
            relativeDifference(
                try session.prefill([7]).doubles(), try wholeLogits(model, prompt + [3, 6, 7])) < 1e-10
        )
        #expect(throws: GenerationError.noSuchRow(1, rowCount: 1)) { try session.select(rows: [0, 1]) }
    }

    @Test("the begin token is put before new sequences only, and once")
    func beginToken() throws {
        let model = try tinyModel()
        let tokenizer = PlainTokenizer(beginToken: 9)
        let session = try GenerationSession(model: model, tokenizer: tokenizer)
        try session.prefill([[1], [9, 1], []])
        #expect(session.tokenCounts == [2, 2, 1])
        try session.prefill([[2], [2], [2]])
        #expect(session.tokenCounts == [3, 3, 2])
        let logits = try #require(session.logits).doubles()
        #expect(relativeDifference(Array(logits[..<256]), try wholeLogits(model, [9, 1, 2])) < 1e-10)
        #expect(relativeDifference(Array(logits[512...]), try wholeLogits(model, [9, 2])) < 1e-10)
    }

    @Test("the tokens before new sequences are those of the tokenizer, unless told otherwise")
    func textStart() throws {
        let model = try tinyModel()
        for (choice, counts) in [(BeginTokenChoice.auto, [2, 2, 1]), (.yes, [2, 1, 1]), (.no, [1, 1])] {
            var options = GenerationOptions()
            options.beginToken = choice
            let tokenizer = PlainTokenizer(beginToken: 9, start: choice == .auto ? [8] : [])
            let session = try GenerationSession(model: model, tokenizer: tokenizer, options: options)
            if choice == .no {
                #expect(throws: GenerationError.emptyPrompt(row: 1)) { try session.prefill([[1], []]) }
            }
            try session.prefill(choice == .no ? [[1], [9]] : [[1], [9], []])
            #expect(session.tokenCounts == counts)
        }
        // GPT-2's prompts have nothing before them, but a text from nothing begins with the begin token.
        let session = try GenerationSession(model: model, tokenizer: PlainTokenizer(beginToken: 9, start: []))
        try session.prefill([[1], []])
        #expect(session.tokenCounts == [1, 1])
        #expect(
            relativeDifference(
                Array(try #require(session.logits).doubles()[256...]), try wholeLogits(model, [9])) < 1e-10)
    }

    @Test("requests that cannot be honoured are refused and change nothing")
    func refusals() throws {
        let model = try tinyModel()
        let session = try session(model)
        #expect(throws: GenerationError.emptyPrompt(row: 1)) { try session.prefill([[1], []]) }
        #expect(throws: GenerationError.wrongRowCount(expected: 1, found: 0)) {
            try session.prefill([[Int32]]())
        }
        #expect(throws: GenerationError.wrongRowCount(expected: 0, found: 1)) { try session.step([1]) }
        #expect(session.rowCount == 0)
        try session.prefill([[1], [2]])
        let before = try #require(session.logits).doubles()
        for token in [Int32(256), -1, .max, .min] {
            #expect(
                throws: GenerationError.tokenOutOfRange(
                    row: 1, index: 2, token: token, vocabularySize: 256)
            ) { try session.prefill([[1, 2], [3, 4, token]]) }
        }
        #expect(throws: GenerationError.wrongRowCount(expected: 2, found: 3)) {
            try session.prefill([[1], [2], [3]])
        }
        #expect(try session.logits?.doubles() == before)
        #expect(session.tokenCounts == [1, 1])
        let parallelOnly = try tinyModel(normalization: .decaySumAbs)
        let reason = try #require(parallelOnly.unsupportedReason(for: .recurrent))
        #expect(throws: GenerationError.unsupportedForm(reason: reason)) {
            try GenerationSession(model: parallelOnly, tokenizer: PlainTokenizer())
        }
        var options = GenerationOptions()
        options.prefillPieceLength = 0
        options.prefillForm = .chunkwise(0)
        let error = #expect(throws: GenerationError.self) {
            try GenerationSession(model: model, tokenizer: PlainTokenizer(), options: options)
        }
        #expect(error?.description.contains("2 values") == true)
    }

    @Test("no pass records a graph")
    func noGraph() throws {
        let model = try tinyModel(type: .float32)
        try model.parameters.setRequiresGradient(true)
        let session = try session(model)
        #expect(try !session.prefill(someTokens(4)).requiresGradient)
        #expect(try !session.step([1]).requiresGradient)
    }
}
