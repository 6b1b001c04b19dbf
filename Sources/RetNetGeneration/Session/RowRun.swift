import RetNetText

/// One row while it is generating.
struct RowRun {
    let row: Int
    var result: GenerationResult
    var continuation: RowContinuation
    private var sampler: Sampler
    private var stream: StreamingText
    private let endTokens: Set<Int32>
    private let maxTokens: Int
    private let keepsUnfinishedText: Bool
    /// Whether the row has ended.
    private(set) var isFinished = false

    init(
        row: Int, _ continuation: RowContinuation, _ parameters: SamplingParameters, seed: UInt64,
        endTokens: Set<Int32>, promptTokenCount: Int, keepsUnfinishedText: Bool
    ) {
        self.row = row
        self.continuation = continuation
        self.endTokens = endTokens
        self.keepsUnfinishedText = keepsUnfinishedText
        maxTokens = parameters.maxTokens
        // The same seed goes on with the saved generator, so that a run in two parts equals one.
        let saved = continuation.seed == seed ? continuation.generator : nil
        sampler = Sampler(parameters, generator: saved ?? SeededGenerator(seed: seed))
        stream = StreamingText(stopStrings: parameters.stopStrings)
        result = GenerationResult(finishReason: .length)
        result.logProbabilities = parameters.recordsLogProbabilities ? [] : nil
        result.promptTokenCount = promptTokenCount
        result.seed = seed
        self.continuation.seed = seed
        self.continuation.heldBytes = []
    }

    /// Takes over the text that an earlier call held back, and ends at once if no token is wanted.
    mutating func begin(heldBytes: [UInt8]) -> String {
        let text = stream.append(heldBytes)
        result.text += text
        return maxTokens == 0 ? text + finish(.length) : text
    }

    /// Chooses the next token from logits and returns the text that is now certain; nil if they are not finite.
    mutating func advance(_ logits: some Collection<Double>, tokenizer: any Tokenizer) -> String? {
        guard let choice = sampler.choose(logits, recent: continuation.recentTokens[...]) else { return nil }
        result.tokens.append(choice.token)
        if let logProbability = choice.logProbability { result.logProbabilities?.append(logProbability) }
        continuation.remember(CollectionOfOne(choice.token))
        if endTokens.contains(choice.token) { return finish(.endToken) }
        let text = stream.append(tokenizer.bytes(of: choice.token))
        result.text += text
        if stream.stopString != nil { return text + finish(.stop) }
        return result.tokens.count >= maxTokens ? text + finish(.length) : text
    }

    /// Ends the row; returns the text that was held back, unless it is to be kept for the next call.
    mutating func finish(_ reason: FinishReason) -> String {
        isFinished = true
        result.finishReason = reason
        result.stopString = stream.stopString
        continuation.generator = sampler.generator
        if keepsUnfinishedText, reason == .length || reason == .cancelled {
            continuation.heldBytes = stream.heldBytes
            return ""
        }
        let text = stream.finish()
        result.text += text
        return text
    }
}
