import RetNetCheckpoints
import RetNetEvaluation
import RetNetGeneration
import RetNetInference
import RetNetKernels
import RetNetMixers
import RetNetModels
import RetNetRuntime
import RetNetStorage
import RetNetText
import RetNetTorch

/// An engine with all that evaluations and comparisons ask for.
public protocol EvaluationEngine: ScoringEngine {
    /// Returns what gives the most probable tokens of a text.
    ///
    /// `form` is that of every pass, of engines that have several; nil leaves it to the engine.
    func predictor(form: MixerForm?) throws -> any TokenPredictor

    /// Computes the logits of rows of tokens of one length and writes them to a file.
    ///
    /// Throws ``EngineError``, `StateFileError`, `StorageError` and the errors of the engine.
    func writeLogits(_ job: LogitsJob) throws
}

/// Rows of tokens whose logits are computed, the files that they go to, and the states before and after.
public struct LogitsJob {
    /// Rows of tokens of the vocabulary, all of one length.
    public var rows: [[Int32]]
    /// The safetensors file of the tensor `logits`, float32 [rows, tokens, V].
    public var output: String
    /// Form of computation, of engines that have several; nil leaves it to the engine.
    public var form: MixerForm?
    /// The state file from which each row goes on, with as many rows.
    public var stateIn: String?
    /// The state file after the last tokens.
    public var stateOut: String?

    /// Creates a job without states.
    public init(rows: [[Int32]], output: String) {
        self.rows = rows
        self.output = output
    }

    fileprivate func check(_ states: Int?, _ pending: [[Int32]]) throws {
        guard let states, let path = stateIn else { return }
        guard states == rows.count else {
            throw EngineError.rowCount(path: path, states: states, rows: rows.count)
        }
        guard pending.allSatisfy(\.isEmpty) else { throw EngineError.pendingTokens(path: path) }
    }
}

// MARK: LibTorch

extension LibTorchEngine: EvaluationEngine {
    /// Returns a predictor that reads windows with a carried state, by default in chunks of 256.
    public func predictor(form: MixerForm?) throws -> any TokenPredictor {
        try LanguageModelPredictor(model, form: form ?? .chunkwise(256))
    }

    /// Computes all rows in one pass, by default in the parallel form.
    public func writeLogits(_ job: LogitsJob) throws {
        let identity = try? tokenizer.identity
        let form = job.form ?? .parallel
        if let reason = model.unsupportedReason(for: form) {
            throw EvaluationError.unsupportedForm(form: form.description, reason: reason)
        }
        let saved = try job.stateIn.map { try StateFile.read($0, for: model, tokenizerIdentity: identity) }
        try job.check(saved?.state.batchSize, saved?.pendingTokens ?? [])
        let length = job.rows.first?.count ?? 0
        try withoutGradients {
            let ids = try Tensor.from(
                job.rows.flatMap { $0.map(Int64.init) }, [job.rows.count, length], on: model.device)
            let (logits, state) = try model(ids, state: saved?.state, form: form)
            let result = try logits.to(.float32)
            try SafetensorsWriter(
                tensors: [("logits", result)],
                metadata: ["engine": kind.rawValue, "form": form.description]
            ).write(to: job.output)
            guard let path = job.stateOut else { return }
            let next = SavedState(
                state: state, logits: try result.selected(1, length - 1), tokenizerIdentity: identity,
                metadata: try GenerationSession.metadata(afterTokens: job.rows))
            try StateFile.write(next, of: model, to: path)
        }
    }
}

// MARK: The runtime

extension RuntimeEngine: EvaluationEngine {
    /// Returns a predictor that reads texts in the runner's pieces.
    public func predictor(form: MixerForm?) throws -> any TokenPredictor { RuntimePredictor(runner: runner) }

    /// Computes row after row in the runner's pieces, so that the logits of a piece are all that is in memory.
    public func writeLogits(_ job: LogitsJob) throws {
        let model = runner.model
        let tokenizer = try? self.tokenizer
        let saved = try job.stateIn.map { try model.load($0, tokenizer: tokenizer) }
        try job.check(saved?.states.count, saved?.rows.map(\.pendingTokens) ?? [])
        var states = saved?.states ?? job.rows.map { _ in model.initialState() }
        var last: [[Float]] = []
        let shape = [job.rows.count, job.rows.first?.count ?? 0, model.configuration.vocabularySize]
        let tensor = SafetensorsWriter.Tensor(name: "logits", elementType: .float32, shape: shape) {
            [runner] sink in
            for (index, row) in job.rows.enumerated() {
                var left = row.count
                try runner.readInPieces(row, &states[index]) { logits in
                    try sink.write(UnsafeRawBufferPointer(logits))
                    left -= 1
                    if left == 0 { last.append(Array(logits)) }
                }
            }
        }
        try SafetensorsWriter([tensor], metadata: ["engine": kind.rawValue]).write(to: job.output)
        guard let path = job.stateOut else { return }
        let rows = job.rows.map { tokens in
            var row = SessionRow()
            (row.recentTokens, row.place) = (tokens, nil)
            return row
        }
        try model.save(
            SavedSequences(
                states: states, logits: last, rows: rows, tokenizerIdentity: tokenizer?.identity),
            to: path)
    }
}

/// The most probable tokens by the runtime.
private struct RuntimePredictor: TokenPredictor {
    let runner: ModelRunner

    var vocabularySize: Int { runner.model.configuration.vocabularySize }

    func mostProbable(after tokens: [Int32]) throws -> [Int32] {
        var state = runner.model.initialState()
        var result: [Int32] = []
        try runner.readInPieces(tokens, &state) { logits in
            guard let start = logits.baseAddress else { return }
            result.append(Int32(clamping: rn_largest(start, Int64(logits.count))))
        }
        return result
    }
}

extension ModelRunner {
    /// Reads a text of one sequence and passes on the logits of each token; names weights that are not finite.
    fileprivate func readInPieces(
        _ tokens: [Int32], _ state: inout SequenceState,
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        var states = [state]
        // One owner, or reading would copy the state.
        state = model.initialState()
        var wasFinite = true
        for start in stride(from: 0, to: tokens.count, by: Self.pieceLength) {
            let piece = Array(tokens[start..<min(start + Self.pieceLength, tokens.count)])
            guard let logits = try read([piece], &states, logits: .all) else { continue }
            for row in 0..<logits.count {
                if wasFinite, !logits[row].allSatisfy(\.isFinite) {
                    wasFinite = false
                    try model.verify()
                }
                try body(logits[row])
            }
        }
        state = states[0]
    }
}
