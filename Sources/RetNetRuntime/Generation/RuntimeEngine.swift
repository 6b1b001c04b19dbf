import RetNetArchitecture
@_exported import RetNetInference
import RetNetSampling
import RetNetText

/// A model folder that this engine has opened, as programs use it that may also run another one.
public final class RuntimeEngine: LanguageEngine {
    /// The folder.
    public let folder: RuntimeFolder
    /// The threads and the memory that sessions and measurements share.
    public let runner: ModelRunner

    /// Opens a folder with a number of threads, by default one per processor core.
    ///
    /// `stateType` is the element type of the large parts of states. Throws ``RuntimeError``, `SettingsError` for the
    /// configuration and `StorageError`.
    public convenience init(path: String, threads: Int? = nil, stateType: StateElementType = .float32) throws
    {
        try self.init(RuntimeFolder(path: path, stateType: stateType), threads: threads)
    }

    /// Runs a folder that is open.
    public init(_ folder: RuntimeFolder, threads: Int? = nil) throws {
        self.folder = folder
        runner = try ModelRunner(folder.model, threads: threads ?? ModelRunner.defaultThreadCount)
    }

    /// The runtime.
    public var kind: EngineKind { .runtime }
    /// The architecture.
    public var configuration: LanguageModelConfiguration { runner.model.configuration }
    /// Number of parameters.
    public var parameterCount: Int { runner.model.parameterCount }
    /// Bytes of the weights that one token reads.
    public var weightByteCountPerStep: Int { runner.model.weightByteCountPerToken }
    /// `float32`, whatever the weights are.
    public var elementTypeName: String { "float32" }
    /// The element type of the folder's states.
    public var stateElementTypeName: String { runner.model.stateType.rawValue }
    /// `cpu`.
    public var deviceName: String { "cpu" }
    /// Threads, the calling one included.
    public var threadCount: Int { runner.threadCount }
    /// Weights, instruction set and threads, and the element type of states if it is not float32.
    public var details: String {
        let type = runner.model.stateType
        return "\(runner.model.weightSummary) weights, "
            + (type == .float32 ? "" : "\(type.rawValue) states, ")
            + "\(runner.instructionSet), \(threadCount)" + (threadCount == 1 ? " thread" : " threads")
    }
    /// The tokenizer of the folder.
    public var tokenizer: any Tokenizer { get throws { try folder.tokenizer } }
    /// The settings of generation of the folder.
    public var generationDefaults: GenerationDefaults { folder.defaults }
    /// Differences of special tokens between folder and tokenizer.
    public var specialTokenRemarks: [String] { folder.specialTokenRemarks }

    /// Returns a session without rows, or one that resumes a state file of either engine.
    ///
    /// Throws `StateFileError` and `StorageError`.
    public func session(_ options: TextSessionOptions, resuming path: String?) throws -> any TextSession {
        let tokenizer = try tokenizer
        let generator = TextGenerator(runner, tokenizer: tokenizer)
        generator.beginToken = options.beginToken
        generator.keepsUnfinishedText = options.keepsUnfinishedText
        return RuntimeSession(
            generator, from: try path.map { try runner.model.load($0, tokenizer: tokenizer) })
    }

    /// Measures a stream by the runner.
    public func perplexity(
        of stream: TokenStream, _ options: PerplexityOptions,
        progress: (_ soFar: PerplexityResult, _ fraction: Double) throws -> Bool
    ) throws -> PerplexityResult {
        try runner.perplexity(of: stream, options, progress: progress)
    }

    /// Returns sequences of the runner, which has one form.
    public func sequences(count: Int, form: MixerForm?) throws -> any EngineSequences {
        RuntimeSequences(runner, count: count)
    }
}

/// A generator with the rows that it continues.
private final class RuntimeSession: TextSession {
    private let generator: TextGenerator
    private let start: SavedSequences?

    init(_ generator: TextGenerator, from start: SavedSequences?) {
        self.generator = generator
        self.start = start
    }

    private var current: SavedSequences? { generator.saved ?? start }

    var rowCount: Int { current?.states.count ?? 0 }
    var stateByteCount: Int { current?.byteCount ?? 0 }

    func generate(
        _ prompts: [String], _ parameters: SamplingParameters,
        onText: (_ row: Int, _ text: String) throws -> Void, isCancelled: () -> Bool
    ) throws -> [GenerationResult] {
        try generator.generate(
            prompts, from: current, parameters, onText: onText, isCancelled: isCancelled)
    }

    func save(to path: String) throws {
        guard let current else { return }
        try generator.runner.model.save(current, to: path)
    }
}

/// Sequences that read in step, for measurements.
private final class RuntimeSequences: EngineSequences {
    private let runner: ModelRunner
    private var states: [SequenceState]

    init(_ runner: ModelRunner, count: Int) {
        self.runner = runner
        states = (0..<count).map { _ in runner.model.initialState() }
    }

    var stateByteCount: Int { states.reduce(0) { $0 + $1.byteCount } }

    func read(_ tokens: [[Int32]]) throws { try runner.read(tokens, &states, logits: .last) }

    func step(_ tokens: [Int32]) throws { _ = try runner.step(tokens, &states) }

    func move(to position: Int) throws {
        for index in states.indices { states[index].move(to: position) }
    }
}

extension SequenceState {
    /// Moves the state to a position, with keys and values of zeros for tokens that it has not read.
    fileprivate mutating func move(to position: Int) {
        makeUnique()
        storage.fillCaches(to: position)
        place = SequencePosition(position: position, count: position)
    }
}

extension StateStorage {
    fileprivate func fillCaches(to count: Int) {
        for index in caches.indices where caches[index].count < count {
            let before = caches[index].count
            resize(cache: index, to: count)
            let cache = caches[index]
            let rowByteCount = cache.size * cache.type.byteCount
            // Written, so that every page is there.
            for group in 0..<cache.groups {
                let start = group * cache.groupStride + before * rowByteCount
                let length = (count - before) * rowByteCount
                (cache.keys + start).initializeMemory(as: UInt8.self, repeating: 0, count: length)
                (cache.values + start).initializeMemory(as: UInt8.self, repeating: 0, count: length)
            }
        }
    }
}
