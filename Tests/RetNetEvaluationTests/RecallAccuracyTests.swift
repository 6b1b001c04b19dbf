import RetNetEvaluation
import RetNetMixers
import RetNetModels
import RetNetStories
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@Suite struct RecallAccuracyTests {
    private func stories(_ count: Int) -> [Story] {
        var generator = StoryGenerator(seed: 11)
        return (0..<count).map { _ in generator.story() }
    }

    @Test func `An untrained model recalls nothing and every answer is counted`() throws {
        let stories = stories(3)
        let result = try RecallAccuracy(try Tiny.model(), tokenizer: ByteTokenizer()).measure(stories)
        let count = stories.reduce(0) { $0 + $1.recalls.count }
        #expect(result.overall.total == count)
        #expect(result.overall.correct == 0)
        #expect(result.byDistance.reduce(0) { $0 + $1.count.total } == count)
        #expect(result.byKind.values.reduce(0) { $0 + $1.total } == count)
        for (a, b) in zip(result.byDistance, result.byDistance.dropFirst()) {
            #expect(a.distances.upperBound <= b.distances.lowerBound)
        }
    }

    @Test func `Answers agree with the most probable tokens of one long pass`() throws {
        let model = try Tiny.model()
        let tokenizer = ByteTokenizer()
        let story = stories(1)[0]
        let tokens = [Int32(255)] + tokenizer.encode(story.text)
        let logits = try withoutGradients {
            try model(Tensor.from(tokens, [1, tokens.count]).to(.int64), form: .parallel).logits
        }
        let best = try logits.argmax(axis: -1).values(as: Int64.self)
        // Recalls whose answers are what this model happens to say, byte for byte, must count as right.
        let runs = (0..<tokens.count - 1).filter { best[$0] == Int64(tokens[$0 + 1]) }
        let answers = try RecallAccuracy(model, tokenizer: tokenizer, form: .chunkwise(8), windowLength: 37)
            .answers(to: story)
        for (recall, answer) in zip(story.recalls, answers) {
            #expect(answer == recall.range.allSatisfy { runs.contains($0) })
        }
    }

    @Test func `A context as long as the story gives the answers of the whole story`() throws {
        let story = stories(1)[0]
        // A model trained for a moment on this one story gets something right.
        let model = try Tiny.model()
        try model.parameters.setRequiresGradient(true)
        let tokens = [Int32(255)] + ByteTokenizer().encode(story.text)
        let inputs = try Tensor.from(Array(tokens.dropLast()), [1, tokens.count - 1]).to(.int64)
        let targets = try Tensor.from(Array(tokens.dropFirst()), [1, tokens.count - 1]).to(.int64)
        for _ in 0..<60 {
            let loss = try model.lossSum(inputs, targets: targets, form: .chunkwise(64)).loss
            try (loss * (1 / Double(tokens.count))).backward()
            for tensor in model.parameters.tensors {
                let gradient = try #require(try tensor.gradient())
                try tensor.add(gradient, factor: -0.5)
            }
            try model.parameters.clearGradients()
        }
        try model.parameters.setRequiresGradient(false)
        func answers(_ context: Int?) throws -> [Bool] {
            try RecallAccuracy(model, tokenizer: ByteTokenizer(), contextTokenCount: context).answers(
                to: story)
        }
        let whole = try answers(nil)
        #expect(try answers(story.text.utf8.count) == whole)
        #expect(try answers(0).count == whole.count)
    }

    @Test func `A control leaves out the answers that its context states`() throws {
        var generator = StoryGenerator(seed: 3, level: .simple)
        let story = generator.story()
        let all = try RecallAccuracy(Tiny.model(), tokenizer: ByteTokenizer()).measure([story])
        #expect(all.overall.total == story.recalls.count)
        // A token is a byte.
        let context = story.recalls.map(\.distance).sorted()[story.recalls.count / 2]
        let far = story.recalls.filter { $0.introduction.upperBound <= $0.range.lowerBound - context }
        #expect(!far.isEmpty && far.count < story.recalls.count)
        let control = try RecallAccuracy(
            Tiny.model(), tokenizer: ByteTokenizer(), contextTokenCount: context
        ).measure([story])
        #expect(control.overall.total == far.count)
        #expect(throws: EvaluationError.noQuestions) {
            try RecallAccuracy(
                Tiny.model(), tokenizer: ByteTokenizer(), contextTokenCount: story.text.utf8.count
            ).measure([story])
        }
    }

    @Test func `Stories without questions cannot be measured`() throws {
        #expect(throws: EvaluationError.noQuestions) {
            try RecallAccuracy(try Tiny.model(), tokenizer: ByteTokenizer()).measure([])
        }
    }

    @Test func `Answers are found in the text, not in what its tokens decode to`() throws {
        // Unknown words are joined: by their decoded text all later answers would stand at other places.
        let tokenizer = try SentencePieceTokenizer(
            bytes: SentencePieceFile(pieces: ["a", "e", "o", "n", "r", "t", "."]).bytes)
        let story = stories(1)[0]
        let encoded = tokenizer.encodeCountingBytes(story.text)
        #expect(encoded.byteCounts.reduce(0, +) == story.text.utf8.count)
        let model = try Tiny.model()
        let tokens = [1] + encoded.tokens
        let logits = try withoutGradients {
            try model(Tensor.from(tokens, [1, tokens.count]).to(.int64), form: .parallel).logits
        }
        let best = try logits.argmax(axis: -1).values(as: Int64.self)
        var end = 0
        let ranges = encoded.byteCounts.map { count in
            defer { end += count }
            return end..<(end + count)
        }
        let answers = try RecallAccuracy(model, tokenizer: tokenizer).answers(to: story)
        for (recall, answer) in zip(story.recalls, answers) {
            let places = ranges.indices.filter { ranges[$0].overlaps(recall.range) }
            #expect(!places.isEmpty)
            #expect(answer == places.allSatisfy { best[$0] == Int64(tokens[$0 + 1]) })
        }
    }
}
