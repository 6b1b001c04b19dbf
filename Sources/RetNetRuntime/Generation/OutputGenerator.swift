import RetNetSampling
import RetNetText

/// Outputs of an encoder-decoder: reads prompts as sources, chooses tokens, and hands out text as soon as it is certain.
///
/// Rows are independent: an output does not depend on the other prompts of a call.
public final class OutputGenerator {
    /// The runner of the model.
    public let runner: EncoderDecoderRunner
    /// The tokenizer of the model.
    public let tokenizer: any Tokenizer
    /// Bytes of the states of all rows after the last call, the keys and values of the sources included.
    public private(set) var stateByteCount = 0

    /// A generator over a runner.
    public init(_ runner: EncoderDecoderRunner, tokenizer: any Tokenizer) {
        self.runner = runner
        self.tokenizer = tokenizer
    }

    /// The largest number of rows of the encoder between two questions whether the caller cancels.
    private static let pieceLength = 256

    /// Returns the source of a prompt: its tokens and the end token.
    public func source(_ prompt: String) -> [Int32] { tokenizer.encode(prompt) + [runner.model.endToken] }

    /// Reads a prompt of every row into the encoder and generates its output.
    ///
    /// The choices are those of ``TextGenerator``; penalties count the tokens of the output and the start token. An output ends
    /// at the end tokens of the parameters, by default the model's. When `isCancelled` returns true, all rows end. Throws
    /// `GenerationError` for values out of range, ``RuntimeError``, also for weights that are not finite, and what `onText` throws.
    public func generate(
        _ prompts: [String], _ parameters: SamplingParameters,
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try generate(
            sources: prompts.map(source), parameters, onText: onText, isCancelled: isCancelled)
    }

    /// Generates the outputs of sources, which are tokens as the encoder reads them.
    public func generate(
        sources: [[Int32]], _ parameters: SamplingParameters,
        onText: (_ row: Int, _ text: String) throws -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws -> [GenerationResult] {
        try parameters.validate()
        let clock = ContinuousClock()
        let begin = clock.now
        let model = runner.model
        let readings = try sources.map { try SourceReading($0, model) }
        while readings.contains(where: { !$0.isDone }) {
            if isCancelled() { return sources.map { _ in GenerationResult(finishReason: .cancelled) } }
            try runner.read(readings, tokenLimit: Self.pieceLength)
        }
        var states = readings.compactMap(\.state)
        guard !states.isEmpty else { return [] }
        let first = try runner.read(states.map { _ in [model.startToken] }, &states)
        var logits = states.indices.map { row in first.map { Array($0[row]) } ?? [] }
        let seconds = (clock.now - begin) / .seconds(1)
        let ends =
            parameters.stopsAtEndToken ? Set(parameters.endTokens ?? [model.endToken]) : Set<Int32>()
        let drawn = UInt64.random(in: .min ... .max)
        var rows = sources.indices.map { index in
            var row = SessionRow()
            row.remember([model.startToken])
            var generating = GeneratingRow(
                row, parameters, seed: (parameters.seed ?? drawn) &+ UInt64(index), endTokens: ends,
                promptTokenCount: sources[index].count, keepsUnfinishedText: false)
            generating.result.prefillSeconds = seconds
            return generating
        }
        let held = [[UInt8]](repeating: [], count: rows.count)
        try runner.generate(
            &rows, &states, &logits, heldBytes: held, tokenizer: tokenizer,
            vocabularySize: model.configuration.vocabularySize, onText: onText,
            isCancelled: isCancelled)
        stateByteCount = states.reduce(0) { $0 + $1.byteCount }
        return rows.map(\.result)
    }
}
