import RetNetMixers
import RetNetModels
import RetNetStories
import RetNetText
import RetNetTorch

/// A model that names the most probable token after each token of a text.
public protocol TokenPredictor {
    /// V, the number of tokens.
    var vocabularySize: Int { get }

    /// Returns the most probable token after each of the tokens, given those before it; throws the errors of the model.
    func mostProbable(after tokens: [Int32]) throws -> [Int32]
}

/// Predictions of a language model in LibTorch, which reads windows with a carried state.
public struct LanguageModelPredictor: TokenPredictor {
    private let model: LanguageModel
    private let form: MixerForm
    private let windowLength: Int

    /// Creates a predictor that reads `windowLength` tokens per pass in a form.
    ///
    /// Throws ``EvaluationError`` when the model lacks the form.
    public init(_ model: LanguageModel, form: MixerForm = .chunkwise(256), windowLength: Int = 2048) throws {
        if let reason = model.unsupportedReason(for: form) {
            throw EvaluationError.unsupportedForm(form: form.description, reason: reason)
        }
        self.model = model
        self.form = form
        self.windowLength = max(1, windowLength)
    }

    /// V of the model.
    public var vocabularySize: Int { model.configuration.vocabularySize }

    /// Returns the most probable token after each token; throws `TorchError`.
    public func mostProbable(after tokens: [Int32]) throws -> [Int32] {
        try withoutGradients {
            var state: LanguageModelState?
            var result: [Int32] = []
            for start in stride(from: 0, to: tokens.count, by: windowLength) {
                let end = min(start + windowLength, tokens.count)
                let window = try Tensor.from(Array(tokens[start..<end]), [1, end - start])
                    .to(.int64, on: model.device)
                let (logits, next) = try model(window, state: state, form: form)
                state = next
                result += try logits.argmax(axis: -1).values(as: Int64.self).map { Int32(clamping: $0) }
            }
            return result
        }
    }
}

/// The measurement of recall: facts that stories state early and need again later.
///
/// An answer is right if every token that holds a byte of it is the model's most probable one, given the true
/// text before. Each story is read on its own, after `<bos>` where the tokenizer has one.
public struct RecallAccuracy {
    private let predictor: any TokenPredictor
    private let tokenizer: any Tokenizer
    private let contextTokenCount: Int?

    /// Creates a measurement of one model in LibTorch that reads `windowLength` tokens per pass, carrying the state.
    ///
    /// Throws ``EvaluationError`` when the model lacks the form or some of the tokenizer's tokens.
    public init(
        _ model: LanguageModel, tokenizer: any Tokenizer, form: MixerForm = .chunkwise(256),
        windowLength: Int = 2048, contextTokenCount: Int? = nil
    ) throws {
        try self.init(
            LanguageModelPredictor(model, form: form, windowLength: windowLength), tokenizer: tokenizer,
            contextTokenCount: contextTokenCount)
    }

    /// Creates a measurement of what predicts the tokens.
    ///
    /// With `contextTokenCount` the model reads only so many tokens before each answer instead of the whole story, and
    /// ``measure(_:progress:)`` leaves out answers which that context states itself: the share of right answers is the
    /// control, since the model can only guess.
    /// Throws ``EvaluationError`` when the model lacks some of the tokenizer's tokens.
    public init(_ predictor: any TokenPredictor, tokenizer: any Tokenizer, contextTokenCount: Int? = nil)
        throws
    {
        guard tokenizer.vocabularySize <= predictor.vocabularySize else {
            throw EvaluationError.tokenOutOfRange(
                token: tokenizer.vocabularySize - 1, vocabularySize: predictor.vocabularySize)
        }
        self.predictor = predictor
        self.tokenizer = tokenizer
        self.contextTokenCount = contextTokenCount.map { max(0, $0) }
    }

    /// Reads stories and counts right answers.
    ///
    /// `progress` gets the number of stories read and ends the measurement by returning false. Throws
    /// ``EvaluationError/noQuestions`` when no story has a recall, and `TorchError`.
    public func measure(_ stories: [Story], progress: (_ storyCount: Int) throws -> Bool = { _ in true })
        throws
        -> RecallResult
    {
        var result = RecallResult()
        for (index, story) in stories.enumerated() {
            let text = PlacedText(story, tokenizer)
            for (recall, isCorrect) in zip(story.recalls, try answers(to: story, text))
            where !contextStates(recall, text) {
                result.add(recall, isCorrect: isCorrect)
            }
            guard try progress(index + 1) else { break }
        }
        guard result.overall.total > 0 else { throw EvaluationError.noQuestions }
        return result
    }

    /// Returns for each recall of a story true if the model gives the whole answer.
    public func answers(to story: Story) throws -> [Bool] {
        try answers(to: story, PlacedText(story, tokenizer))
    }

    private func answers(to story: Story, _ text: PlacedText) throws -> [Bool] {
        guard !text.tokens.isEmpty, !story.recalls.isEmpty else { return story.recalls.map { _ in false } }
        let whole = contextTokenCount == nil ? try areRight(text.tokens) : []
        return try story.recalls.map { recall in
            guard let answer = text.tokenRange(of: recall) else { return false }
            guard let contextTokenCount else { return whole[answer].allSatisfy { $0 } }
            let near = Array(text.tokens[max(0, answer.lowerBound - contextTokenCount)..<answer.upperBound])
            return try areRight(near).suffix(answer.count).allSatisfy { $0 }
        }
    }

    /// Returns true if the tokens that are read before the answer state the fact.
    private func contextStates(_ recall: Recall, _ text: PlacedText) -> Bool {
        guard let contextTokenCount, let answer = text.tokenRange(of: recall) else { return false }
        return recall.introduction.upperBound > text.starts[max(0, answer.lowerBound - contextTokenCount)]
    }

    /// Returns for each token true if it is the most probable one after those before it.
    private func areRight(_ text: [Int32]) throws -> [Bool] {
        let start = tokenizer.textStart
        let tokens = start + text
        // Nothing comes before the first token where texts begin with none.
        let unpredicted = start.isEmpty ? [false] : []
        let predicted = zip(try predictor.mostProbable(after: tokens.dropLast()), tokens.dropFirst()).map(==)
        return unpredicted + predicted.dropFirst(start.count - 1 + unpredicted.count)
    }
}

/// The tokens of a story and where their bytes begin.
private struct PlacedText {
    let tokens: [Int32]
    /// The first byte of each token, and the end of the last.
    let starts: [Int]

    init(_ story: Story, _ tokenizer: any Tokenizer) {
        let encoded = tokenizer.encodeCountingBytes(story.text)
        tokens = encoded.tokens
        var starts = [0]
        for count in encoded.byteCounts { starts.append(starts[starts.count - 1] + count) }
        self.starts = starts
    }

    /// Returns the tokens that hold a byte of the answer; nil without any.
    func tokenRange(of recall: Recall) -> Range<Int>? {
        let indices = tokens.indices.filter {
            starts[$0] < recall.range.upperBound && starts[$0 + 1] > recall.range.lowerBound
        }
        guard let first = indices.first, let last = indices.last else { return nil }
        return first..<last + 1
    }
}

/// Counts of recalled facts of stories, by kind and distance.
public struct RecallResult: Sendable, Equatable {
    /// The counts of one group of answers.
    public struct Count: Sendable, Equatable {
        /// Number of answers.
        public var total = 0
        /// Number of answers that were fully right.
        public var correct = 0

        /// Creates empty counts.
        public init() {}

        /// The share of right answers, from 0 to 1; NaN without answers.
        public var accuracy: Double { total > 0 ? Double(correct) / Double(total) : .nan }

        mutating func add(_ isCorrect: Bool) {
            total += 1
            if isCorrect { correct += 1 }
        }
    }

    /// The answers of about the same distance.
    public struct Bucket: Sendable, Equatable {
        /// Distances in bytes between fact and answer.
        public var distances: Range<Int>
        /// The answers of these distances.
        public var count: Count
    }

    /// All answers.
    public private(set) var overall = Count()
    /// The answers by kind of fact.
    public private(set) var byKind: [Recall.Kind: Count] = [:]
    private var byExponent: [Int: Count] = [:]

    /// Creates an empty result.
    public init() {}

    /// The answers by distance, nearest first: below 32 bytes, then one bucket for each power of two.
    public var byDistance: [Bucket] {
        byExponent.sorted { $0.key < $1.key }.map { exponent, count in
            let start = exponent == Self.firstExponent ? 0 : 1 << (exponent - 1)
            return Bucket(distances: start..<(1 << exponent), count: count)
        }
    }

    private static let firstExponent = 5

    /// Counts one answer.
    mutating func add(_ recall: Recall, isCorrect: Bool) {
        let distance = max(0, recall.distance)
        let exponent = min(max(Int.bitWidth - distance.leadingZeroBitCount, Self.firstExponent), 62)
        overall.add(isCorrect)
        byKind[recall.kind, default: Count()].add(isCorrect)
        byExponent[exponent, default: Count()].add(isCorrect)
    }
}
