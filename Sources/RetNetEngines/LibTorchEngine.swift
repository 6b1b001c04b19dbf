import RetNetCheckpoints
import RetNetEvaluation
import RetNetGeneration
import RetNetInference
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// A language model that LibTorch computes, on any device.
public final class LibTorchEngine: ScoringEngine {
    /// The model.
    public let model: LanguageModel
    private let folder: LoadedModel?

    /// Runs a model that was loaded from a folder.
    public init(_ folder: LoadedModel) {
        model = folder.model
        self.folder = folder
    }

    /// Runs a model without a folder, which has no tokenizer.
    public init(_ model: LanguageModel) {
        self.model = model
        folder = nil
    }

    /// LibTorch.
    public var kind: EngineKind { .libtorch }
    /// The architecture.
    public var configuration: LanguageModelConfiguration { model.configuration }
    /// Number of parameters.
    public var parameterCount: Int { model.parameters.parameterCount }
    /// Bytes of all matrices but the embedding, of experts those that a token passes.
    public var weightByteCountPerStep: Int {
        let accounting = try? ModelAccounting(model.configuration)
        return (accounting?.activeMatrixParameterCount ?? 0) * model.parameters.elementType.byteCount
    }
    /// The element type of passes.
    public var elementTypeName: String { model.computeType.rawValue }
    /// That of passes, at least float32.
    public var stateElementTypeName: String {
        (model.computeType == .float64 ? ElementType.float64 : .float32).rawValue
    }
    /// The device of the parameters.
    public var deviceName: String { model.device.description }
    /// Threads per operation.
    public var threadCount: Int { Runtime.threadCount }
    /// Element type, device and threads.
    public var details: String {
        let threads = model.device == .cpu ? ", \(threadCount) thread\(threadCount == 1 ? "" : "s")" : ""
        return "\(elementTypeName) on \(deviceName)\(threads)"
    }
    /// The tokenizer of the folder.
    public var tokenizer: any Tokenizer {
        get throws {
            guard let folder else { throw EngineError.noTokenizer }
            return try folder.tokenizer
        }
    }
    /// The settings of generation of the folder.
    public var generationDefaults: GenerationDefaults { folder?.generationDefaults ?? .init() }
    /// Differences of special tokens between folder and tokenizer.
    public var specialTokenRemarks: [String] { folder?.specialTokenRemarks ?? [] }

    /// Returns a `GenerationSession` as an engine's session.
    public func session(_ options: TextSessionOptions, resuming path: String?) throws -> any TextSession {
        var own = GenerationOptions()
        if let form = options.prefillForm { own.prefillForm = form }
        own.beginToken = options.beginToken
        own.keepsUnfinishedText = options.keepsUnfinishedText
        let tokenizer = try tokenizer
        guard let path else {
            return LibTorchSession(
                try GenerationSession(model: model, tokenizer: tokenizer, options: own))
        }
        let saved = try StateFile.read(path, for: model, tokenizerIdentity: tokenizer.identity)
        return LibTorchSession(
            try GenerationSession(model: model, tokenizer: tokenizer, resuming: saved, options: own))
    }

    /// Measures a stream by `Perplexity`.
    public func perplexity(
        of stream: TokenStream, _ options: PerplexityOptions,
        progress: (_ soFar: PerplexityResult, _ fraction: Double) throws -> Bool
    ) throws -> PerplexityResult {
        try Perplexity(model, options: options).measure(stream, progress: progress)
    }

    /// Returns sequences that read in the form, by default in that in which models are trained.
    public func sequences(count: Int, form: MixerForm?) throws -> any EngineSequences {
        try LibTorchSequences(model, count: count, form: form ?? model.configuration.trainingForm)
    }

    /// Returns a scorer of requests.
    public func scorer(_ options: LogLikelihoodScorer.Options) throws -> any RequestScorer {
        try LogLikelihoodScorer(model, options: options)
    }
}

/// A session with its state files.
private final class LibTorchSession: TextSession {
    private let session: GenerationSession

    init(_ session: GenerationSession) { self.session = session }

    var rowCount: Int { session.rowCount }
    var stateByteCount: Int { session.state?.byteCount ?? 0 }

    func generate(
        _ prompts: [String], _ parameters: SamplingParameters,
        onText: (_ row: Int, _ text: String) throws -> Void, isCancelled: () -> Bool
    ) throws -> [GenerationResult] {
        try session.generate(prompts, parameters, onText: onText, isCancelled: isCancelled)
    }

    func save(to path: String) throws {
        guard let saved = try session.savedState() else { return }
        try StateFile.write(saved, of: session.model, to: path)
    }
}

/// Sequences of equal length as one batch.
private final class LibTorchSequences: EngineSequences {
    private let model: LanguageModel
    private let form: MixerForm
    private var state: LanguageModelState
    private var context = ForwardContext.inference
    private var recorder: StepRecorder

    init(_ model: LanguageModel, count: Int, form: MixerForm) throws {
        self.model = model
        recorder = StepRecorder(model, .automatic)
        self.form = form
        state = try withoutGradients { try model.initialState(batch: count) }
    }

    var stateByteCount: Int { state.byteCount }

    func read(_ tokens: [[Int32]]) throws {
        guard let length = tokens.first?.count, tokens.allSatisfy({ $0.count == length }) else { return }
        try withoutGradients {
            let input = try Tensor.from(tokens.flatMap { $0.map(Int64.init) }, [tokens.count, length])
                .to(on: model.device)
            state = try model(input, state: state, form: form, lastOnly: true).state
            try model.device.synchronize()
        }
        context.overwritesStates = false
        recorder.reset()
    }

    func step(_ tokens: [Int32]) throws {
        try withoutGradients {
            if let recorded = try recorder.step(tokens, from: state) {
                _ = try recorded.logits.argmax(axis: -1).to(on: .cpu)
                state = recorded.state
                return
            }
            let input = try Tensor.from(tokens.map(Int64.init), [tokens.count, 1]).to(on: model.device)
            let (logits, next) = try model(
                input, state: state, form: .recurrent, lastOnly: true, context: context)
            // The next token depends on the logits, so generation waits for them.
            _ = try logits.argmax(axis: -1).to(on: .cpu)
            state = next
        }
        // From the second step on as in generation, where nothing else uses the states.
        context.overwritesStates = true
    }

    func move(to position: Int) throws {
        state = try withoutGradients { try state.grown(to: position) }
        for row in state.positions.indices {
            state.positions[row] = SequencePosition(position: position, count: position)
        }
        context.overwritesStates = false
        recorder.reset()
    }
}
