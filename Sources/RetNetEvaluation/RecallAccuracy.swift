import RetNetMixers
import RetNetModels
import RetNetStories
import RetNetText
import RetNetTorch

/// Asks a model for the things that stories tell early and need again later.
///
/// An answer is right if every token that holds a byte of it is the model's most probable one, given the true
/// text before. Each story is read on its own, after `<bos>` where the tokenizer has one.
public struct RecallAccuracy {
    private let model: LanguageModel
    private let tokenizer: any Tokenizer
    private let form: MixerForm
    private let windowLength: Int
    private let contextTokenCount: Int?

    /// Prepares the questions for one model; `windowLength` tokens are read at once, carrying the state.
    ///
    /// With `contextTokenCount` the model reads only so many tokens before each answer, instead of the whole
    /// story: what it still gets right then needs no memory, which is the control for the figure with all of it.
    /// Throws ``EvaluationError`` when the model lacks the form or some of the tokenizer's tokens.
    public init(
        _ model: LanguageModel, tokenizer: any Tokenizer, form: MixerForm = .chunkwise(256),
        windowLength: Int = 2048, contextTokenCount: Int? = nil
    ) throws {
        if let reason = model.unsupportedReason(for: form) {
            throw EvaluationError.unsupportedForm(form: form.description, reason: reason)
        }
        guard tokenizer.vocabularySize <= model.configuration.vocabularySize else {
            throw EvaluationError.tokenOutOfRange(
                token: tokenizer.vocabularySize - 1, vocabularySize: model.configuration.vocabularySize)
        }
        self.model = model
        self.tokenizer = tokenizer
        self.form = form
        self.windowLength = max(1, windowLength)
        self.contextTokenCount = contextTokenCount.map { max(0, $0) }
    }

    /// Reads stories and counts right answers.
    ///
    /// `progress` gets the number of stories read and ends the measurement by returning false. Throws
    /// ``EvaluationError/noQuestions`` when no story asks anything, and `TorchError`.
    public func measure(_ stories: [Story], progress: (_ storyCount: Int) throws -> Bool = { _ in true })
        throws
        -> RecallResult
    {
        var result = RecallResult()
        for (index, story) in stories.enumerated() {
            for (recall, isCorrect) in zip(story.recalls, try answers(to: story)) {
                result.add(recall, isCorrect: isCorrect)
            }
            guard try progress(index + 1) else { break }
        }
        guard result.overall.total > 0 else { throw EvaluationError.noQuestions }
        return result
    }

    /// For each recall of a story, whether the model gives the whole answer.
    public func answers(to story: Story) throws -> [Bool] {
        let text = tokenizer.encode(story.text)
        guard !text.isEmpty, !story.recalls.isEmpty else { return story.recalls.map { _ in false } }
        var starts: [Int] = [0]
        for token in text { starts.append(starts[starts.count - 1] + tokenizer.bytes(of: token).count) }
        let whole = contextTokenCount == nil ? try areRight(text) : []
        return try story.recalls.map { recall in
            let indices = text.indices.filter {
                starts[$0] < recall.range.upperBound && starts[$0 + 1] > recall.range.lowerBound
            }
            guard let first = indices.first, let last = indices.last else { return false }
            guard let contextTokenCount else { return whole[first...last].allSatisfy { $0 } }
            let near = Array(text[max(0, first - contextTokenCount)...last])
            return try areRight(near).suffix(last - first + 1).allSatisfy { $0 }
        }
    }

    /// For each token whether it is the most probable one after those before it.
    private func areRight(_ text: [Int32]) throws -> [Bool] {
        let tokens = (tokenizer.beginToken.map { [$0] } ?? []) + text
        // Nothing comes before the first token where there is no <bos>.
        let unpredicted = tokens.count == text.count ? [false] : []
        return unpredicted + zip(try predictions(tokens), tokens.dropFirst()).map { $0 == Int64($1) }
    }

    /// The most probable token after each token but the last.
    private func predictions(_ tokens: [Int32]) throws -> [Int64] {
        try withoutGradients {
            var state: LanguageModelState?
            var result: [Int64] = []
            for start in stride(from: 0, to: tokens.count - 1, by: windowLength) {
                let end = min(start + windowLength, tokens.count - 1)
                let window = try Tensor.from(Array(tokens[start..<end]), [1, end - start])
                    .to(.int64, on: model.device)
                let (logits, next) = try model(window, state: state, form: form)
                state = next
                result += try logits.argmax(axis: -1).values(as: Int64.self)
            }
            return result
        }
    }
}
