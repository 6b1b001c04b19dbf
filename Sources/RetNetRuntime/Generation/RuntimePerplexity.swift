import RetNetInference
import RetNetText

extension ModelRunner {
    /// Measures a stream from front to back at constant memory.
    ///
    /// Every token but the first is predicted from those before it in its window; the mode of the options says whether windows
    /// carry the state on. Their form is not used: there is one. After every window `progress` gets the sums and the
    /// completed share, and ends the measurement by returning false. Throws `TextError` and ``RuntimeError``, also
    /// for weights that are not finite.
    public func perplexity(
        of stream: TokenStream, _ options: PerplexityOptions = .init(),
        progress: (_ soFar: PerplexityResult, _ fraction: Double) throws -> Bool = { _, _ in true }
    ) throws -> PerplexityResult {
        var windows = try EvaluationWindows(
            stream: stream, length: options.windowLength, mode: options.mode, share: options.share)
        let size = model.configuration.vocabularySize
        guard stream.vocabularySize <= size else {
            throw RuntimeError.unknownToken(stream.vocabularySize - 1, vocabularySize: size)
        }
        let start = ContinuousClock.now
        var result = PerplexityResult()
        if options.measuresPositions { result.byPosition = PositionLosses() }
        var states: [SequenceState] = []
        var readCount = 0
        var wasFinite = true
        while let batch = try windows.next() {
            if states.count != batch.rowCount || batch.resets.contains(true) || !options.mode.carriesState {
                states = (0..<batch.rowCount).map { _ in model.initialState() }
                readCount = 0
            }
            try score(batch, &states, after: readCount, &result)
            // Damaged weights are named once; losses of sound ones may be infinite.
            if wasFinite, !result.totalNats.isFinite {
                wasFinite = false
                try model.verify()
            }
            readCount += batch.length
            result.tokenCount += batch.targetCount
            result.byteCount = result.byteCount.flatMap { sum in batch.targetByteCount.map { sum + $0 } }
            result.seconds = (ContinuousClock.now - start) / .seconds(1)
            guard try progress(result, windows.fractionCompleted) else { break }
        }
        return result
    }

    /// Tokens that are read at once, unless a piece of one row has more.
    private static let tokenLimit = 512

    /// Adds the losses of a batch, whose rows are read in pieces.
    private func score(
        _ batch: Batch, _ states: inout [SequenceState], after readCount: Int,
        _ result: inout PerplexityResult
    ) throws {
        for begin in stride(from: 0, to: batch.length, by: Self.pieceLength) {
            let range = begin..<min(begin + Self.pieceLength, batch.length)
            let step = max(1, Self.tokenLimit / range.count)
            for first in stride(from: 0, to: batch.rowCount, by: step) {
                let rows = first..<min(first + step, batch.rowCount)
                var part = Array(states[rows])
                // The array must not hold the states meanwhile, or reading would copy them.
                for row in rows { states[row] = model.initialState() }
                try score(batch, rows, range, &part, after: readCount, &result)
                states.replaceSubrange(rows, with: part)
            }
        }
    }

    private func score(
        _ batch: Batch, _ rows: Range<Int>, _ range: Range<Int>, _ states: inout [SequenceState],
        after readCount: Int, _ result: inout PerplexityResult
    ) throws {
        let tokens = rows.map { row in range.map { batch.tokens[row * batch.length + $0] } }
        let targets = rows.map { row in
            range.compactMap { column in
                let target = batch.targets[row * batch.length + column]
                return target == Batch.ignoredTarget
                    ? nil : TokenTarget(position: column - range.lowerBound, token: target)
            }
        }
        let scores = try score(targets, reading: tokens, &states)
        for (targets, scores) in zip(targets, scores) {
            for (target, score) in zip(targets, scores) {
                let loss = -score.logProbability
                result.totalNats += loss
                result.byPosition?.add(
                    loss, contextLength: readCount + range.lowerBound + target.position + 1)
            }
        }
    }
}
