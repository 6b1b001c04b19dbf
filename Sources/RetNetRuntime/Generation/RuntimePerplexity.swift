import Foundation
import RetNetKernels
import RetNetText

/// The quality of a model's predictions of a stream of tokens.
public struct StreamLoss: Sendable, Equatable {
    /// Number of predicted tokens.
    public var tokenCount = 0
    /// Bytes of the source text that those tokens stand for; nil if unknown.
    public var byteCount: Int? = 0
    /// Sum of the negative log-likelihoods in nats.
    public var totalNats = 0.0
    /// Wall-clock time in seconds.
    public var seconds = 0.0

    /// Creates a loss of nothing.
    public init() {}

    /// Mean loss in nats per token; NaN when nothing was predicted.
    public var natsPerToken: Double { tokenCount > 0 ? totalNats / Double(tokenCount) : .nan }
    /// Exponential of the mean loss.
    public var perplexity: Double { exp(natsPerToken) }
    /// Loss in bits per byte of the source text; nil if their number is 0 or not known.
    public var bitsPerByte: Double? {
        byteCount.flatMap { $0 > 0 && totalNats.isFinite ? totalNats / Double($0) / log(2) : nil }
    }
    /// Predicted tokens per second.
    public var tokensPerSecond: Double { seconds > 0 ? Double(tokenCount) / seconds : 0 }
}

extension ModelRunner {
    /// Measures a stream from front to back at constant memory.
    ///
    /// Every token but the first is predicted from those before it in its window; `mode` says whether windows carry the
    /// state on. After every window `progress` gets the sums and the completed share, and ends the measurement by returning
    /// false. Throws `TextError` and ``RuntimeError``.
    public func loss(
        of stream: TokenStream, windowLength: Int = 2048, mode: EvaluationWindows.Mode = .carried,
        progress: (_ soFar: StreamLoss, _ fraction: Double) throws -> Bool = { _, _ in true }
    ) throws -> StreamLoss {
        var windows = try EvaluationWindows(stream: stream, length: windowLength, mode: mode)
        let start = ContinuousClock.now
        var result = StreamLoss()
        var states: [SequenceState] = []
        while let batch = try windows.next() {
            if states.count != batch.rowCount || batch.resets.contains(true) || !mode.carriesState {
                states = (0..<batch.rowCount).map { _ in model.initialState() }
            }
            result.totalNats += try nats(of: batch, &states)
            result.tokenCount += batch.targetCount
            result.byteCount = result.byteCount.flatMap { sum in batch.targetByteCount.map { sum + $0 } }
            result.seconds = (ContinuousClock.now - start) / .seconds(1)
            guard try progress(result, windows.fractionCompleted) else { break }
        }
        return result
    }

    /// Returns the sum of the losses of a batch, whose rows are read in pieces that bound the memory of logits.
    private func nats(of batch: Batch, _ states: inout [SequenceState]) throws -> Double {
        var total = 0.0
        for row in 0..<batch.rowCount {
            var state = [states[row]]
            // The array must not hold the state meanwhile, or reading would copy it.
            states[row] = model.initialState()
            for begin in stride(from: 0, to: batch.length, by: Self.pieceLength) {
                let range = begin..<min(begin + Self.pieceLength, batch.length)
                let places = range.map { row * batch.length + $0 }
                let tokens = places.map { Int32(batch.tokens[$0]) }
                let targets = places.map { place in
                    batch.targets[place] == Batch.ignoredTarget ? Int64(-1) : Int64(batch.targets[place])
                }
                total += try losses(of: tokens, targets: targets, &state).reduce(0, +)
            }
            states[row] = state[0]
        }
        return total
    }

    /// Reads tokens of one sequence; returns the loss of every target in nats, 0 where the target is negative.
    private func losses(of tokens: [Int32], targets: [Int64], _ state: inout [SequenceState]) throws
        -> [Double]
    {
        guard let logits = try read([tokens], &state, logits: .all) else { return [] }
        return try targets.enumerated().map { row, target in
            guard target >= 0 else { return 0 }
            let values = logits[row]
            guard target < values.count, let start = values.baseAddress else {
                throw RuntimeError.unknownToken(Int(target), vocabularySize: values.count)
            }
            return Double(rn_log_sum(start, Int64(values.count))) - Double(values[Int(target)])
        }
    }
}
