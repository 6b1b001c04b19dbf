import RetNetArchitecture
import RetNetSampling
import RetNetText

/// The programs that compute language models.
public enum EngineKind: String, Sendable, CaseIterable {
    /// RetNetRuntime: on processors, from mapped weights, without LibTorch.
    case runtime
    /// LibTorch: on every device, all models.
    case libtorch
}

/// A loaded language model that generates and measures texts, whichever program computes it.
public protocol LanguageEngine: AnyObject {
    /// The program that computes.
    var kind: EngineKind { get }
    /// The architecture.
    var configuration: LanguageModelConfiguration { get }
    /// Number of parameters.
    var parameterCount: Int { get }
    /// Bytes of the weights that a step of generation reads, whatever the number of its rows.
    var weightByteCountPerStep: Int { get }
    /// The element type of intermediate values, such as `float32`.
    var elementTypeName: String { get }
    /// The element type of the large parts of states, such as `float32`.
    var stateElementTypeName: String { get }
    /// The device, such as `cpu`.
    var deviceName: String { get }
    /// The number of threads that compute.
    var threadCount: Int { get }
    /// What computes how, such as `int8 and float16 weights, avx512, 2 threads`.
    var details: String { get }
    /// The tokenizer of the folder; throws `TextError` or `StorageError` if it has none that can be used.
    var tokenizer: any Tokenizer { get throws }
    /// The settings of generation of the folder; empty if it has none.
    var generationDefaults: GenerationDefaults { get }
    /// A sentence for each special token in which the folder and its tokenizer differ, saying which one counts.
    var specialTokenRemarks: [String] { get }

    /// Returns a session without rows, or one that resumes the state file `path`.
    ///
    /// Throws `GenerationError`, and for state files the errors of the engine that reads them.
    func session(_ options: TextSessionOptions, resuming path: String?) throws -> any TextSession

    /// Measures a stream from front to back at constant memory.
    ///
    /// After every window `progress` gets the sums so far and the completed share, and ends the measurement by returning
    /// false. Throws `TextError` and the errors of the engine.
    func perplexity(
        of stream: TokenStream, _ options: PerplexityOptions,
        progress: (_ soFar: PerplexityResult, _ fraction: Double) throws -> Bool
    ) throws -> PerplexityResult

    /// Returns sequences that have read nothing, for measurements of speed.
    ///
    /// `form` is the form in which they read several tokens, of engines that have several; nil leaves it to the engine.
    func sequences(count: Int, form: MixerForm?) throws -> any EngineSequences
}

extension LanguageEngine {
    /// The program and how it computes, for a line of output.
    public var summary: String { "\(kind.rawValue) (\(details))" }
}

/// The choices of a session that do not belong to sampling.
public struct TextSessionOptions: Sendable, Equatable {
    /// Whether new sequences begin with the tokenizer's begin token.
    public var beginToken = BeginTokenChoice.auto
    /// True if text held back at the last token is kept for a state file instead of being returned.
    public var keepsUnfinishedText = false
    /// The form in which prompts are read, of engines that have several; nil leaves it to the engine.
    public var prefillForm: MixerForm?

    /// Creates the default options.
    public init() {}
}

/// Rows of text that read prompts and generate, each independent of the others.
public protocol TextSession: AnyObject {
    /// The number of rows; 0 before anything was read.
    var rowCount: Int { get }
    /// Bytes of the states of all rows.
    var stateByteCount: Int { get }

    /// Reads a prompt into every row and generates text after it.
    ///
    /// A new session gets one row per prompt; a session of one row forks to several prompts. An empty prompt continues without
    /// more text. `onText` gets the text of each row as soon as it is certain, in whole characters. When `isCancelled`
    /// returns true, all rows end. Throws `GenerationError` and what `onText` throws.
    func generate(
        _ prompts: [String], _ parameters: SamplingParameters,
        onText: (_ row: Int, _ text: String) throws -> Void, isCancelled: () -> Bool
    ) throws -> [GenerationResult]

    /// Writes a state file from which a later session resumes; nothing if no row has read anything.
    func save(to path: String) throws
}

/// Sequences that read tokens in step, for measurements of speed; work is finished when a call returns.
public protocol EngineSequences: AnyObject {
    /// Bytes of the states of all sequences.
    var stateByteCount: Int { get }

    /// Reads the next tokens of every sequence, as many of each, up to the logits after the last.
    func read(_ tokens: [[Int32]]) throws

    /// Reads one more token of every sequence, up to the logits after it.
    func step(_ tokens: [Int32]) throws

    /// Moves the states to a position, as if they had read that many tokens: growing parts are repeated up to their size.
    func move(to position: Int) throws
}
