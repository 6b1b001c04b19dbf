import Foundation
import RetNetCheckpoints
import RetNetInference
import RetNetModels
import RetNetRuntime
import RetNetStorage
import RetNetTorch

/// The engine that a program asks for.
public enum EngineChoice: String, Sendable, CaseIterable {
    /// The runtime on processors for what it runs, otherwise LibTorch.
    case auto
    /// The engine without LibTorch.
    case runtime
    /// LibTorch.
    case libtorch
}

/// What a model is opened for, on which the choice of the engine depends.
public struct EngineRequest {
    /// The engine that is asked for.
    public var choice: EngineChoice
    /// The device.
    public var device: Device
    /// The element type that LibTorch computes in.
    public var elementType: ElementType
    /// True if the element type was asked for and is not the engine's own choice.
    public var namesElementType: Bool
    /// Threads; nil for one per processor core.
    public var threads: Int?
    /// The element type of the large parts of states; another than float32 only the runtime has.
    public var stateType = StateElementType.float32
    /// Whatever else was asked for that only LibTorch does, in the words of the program, such as `--form parallel`.
    public var onlyLibTorch: [String] = []
    /// Gets warnings before a model is loaded.
    public var warn: (String) -> Void = { _ in }

    /// Creates a request.
    public init(
        _ choice: EngineChoice, device: Device, elementType: ElementType, namesElementType: Bool = false,
        threads: Int? = nil
    ) {
        self.choice = choice
        self.device = device
        self.elementType = elementType
        self.namesElementType = namesElementType
        self.threads = threads
    }

    /// Opens the runtime for a folder.
    func runtime(_ path: String) throws -> RuntimeEngine {
        try RuntimeEngine(path: path, threads: threads, stateType: stateType)
    }

    /// Throws if LibTorch cannot take the request; `reason` is why the runtime does not, where the choice was free.
    func checkLibTorch(_ reason: String?) throws {
        if stateType != .float32 { throw EngineError.stateType(stateType, reason: reason) }
    }

    /// Opens the runtime for a folder if it is to be taken; otherwise returns the reason, where the choice was free.
    ///
    /// Throws as ``EngineSelection``.
    func opened<Runtime>(_ path: String, _ open: () throws -> Runtime) throws -> (Runtime?, reason: String?) {
        var (runtime, reason) = (Runtime?.none, reasonAgainstRuntime)
        let rounded = SafetensorsFolder.rounding(of: path)
        switch (choice, reason) {
        case (.libtorch, _): reason = nil
        case (.runtime, let reason?): throw EngineError.cannotRun(.runtime, reason: reason)
        case (.runtime, nil): runtime = try open()
        case (.auto, let reason?):
            if let rounded { throw EngineError.rounded(path: path, scheme: rounded, reason: reason) }
        case (.auto, nil):
            do {
                runtime = try open()
            } catch  where rounded == nil {
                // What is wrong with a folder that neither engine takes, LibTorch's reader says for all tensors at once.
                reason = OpenedEngine.reason(error)
            }
        }
        if runtime == nil { try checkLibTorch(reason) }
        return (runtime, reason)
    }

    /// What the runtime cannot do of this request; nil if it can do all.
    var reasonAgainstRuntime: String? {
        if device != .cpu { return "it runs on processors, not on \(device)" }
        if namesElementType, elementType != .float32 {
            return "it computes in float32, not in \(elementType.rawValue)"
        }
        return onlyLibTorch.first.map { "it has no \($0)" }
    }
}

/// The engine that is taken for the model of a folder, before LibTorch has loaded it.
public struct EngineSelection {
    /// The engine.
    public let kind: EngineKind
    /// Why it is not the runtime, where the choice was free; otherwise nil.
    public let reason: String?
    private let path: String
    private let request: EngineRequest
    private let runtime: RuntimeEngine?

    /// Takes the engine that a request asks for.
    ///
    /// A free choice takes the runtime if it does all that is asked for and runs the model, otherwise LibTorch. Throws
    /// ``EngineError`` for what the named engine does not run, and the errors of the runtime for folders that it cannot read.
    public init(_ path: String, _ request: EngineRequest) throws {
        self.path = path
        self.request = request
        (runtime, reason) = try request.opened(path) { try request.runtime(path) }
        kind = runtime == nil ? .libtorch : .runtime
    }

    /// Loads the model; throws the errors of the engine for folders that cannot be read.
    public func load() throws -> OpenedEngine {
        if let runtime { return OpenedEngine(engine: runtime, reason: nil) }
        let (type, device) = (request.elementType, request.device)
        if let warning = Runtime.slownessWarning(for: type, on: device) { request.warn(warning) }
        let folder = try ModelFolder.load(
            path, elementType: type, device: device, computeType: type, sharesFiles: true)
        return OpenedEngine(engine: LibTorchEngine(folder), reason: reason)
    }
}

/// An engine that was chosen and has loaded a model.
public struct OpenedEngine {
    /// The engine.
    public let engine: any EvaluationEngine
    /// Why it is not the runtime, where the choice was free; otherwise nil.
    public let reason: String?

    /// Makes a model with random weights for the engine that a request asks for; `make` returns it in an element type.
    ///
    /// The runtime maps weights in files, so these are written to a temporary folder that is removed once it is open. Throws
    /// as ``EngineSelection``.
    public static func random(
        _ request: EngineRequest, make: (ElementType, Device) throws -> LanguageModel
    ) throws -> OpenedEngine {
        var reason = request.reasonAgainstRuntime
        if request.choice == .runtime, let reason {
            throw EngineError.cannotRun(.runtime, reason: reason)
        }
        if request.choice != .libtorch, reason == nil {
            let folder = FileManager.default.temporaryDirectory.path + "/retnet-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try ModelFolder.save(make(.float32, .cpu), tokenizer: nil, to: folder)
            do {
                return OpenedEngine(engine: try request.runtime(folder), reason: nil)
            } catch  where request.choice == .auto {
                reason = Self.reason(error)
            }
        }
        try request.checkLibTorch(request.choice == .auto ? reason : nil)
        let (type, device) = (request.elementType, request.device)
        if let warning = Runtime.slownessWarning(for: type, on: device) { request.warn(warning) }
        return OpenedEngine(
            engine: LibTorchEngine(try make(type, device)), reason: request.choice == .auto ? reason : nil)
    }

    static func reason(_ error: any Error) -> String {
        switch error {
        case RuntimeError.unsupported(let part): "it does not run \(part)"
        case RuntimeError.otherForm: "the model is in the form of another project"
        default: "\(error)"
        }
    }
}

/// The engine that is taken for an encoder-decoder.
public struct EncoderDecoderSelection {
    /// Why it is not the runtime, where the choice was free; otherwise nil.
    public let reason: String?
    /// The runtime with the folder that it has opened; nil where LibTorch is taken.
    public let runtime: (folder: EncoderDecoderFolder, runner: EncoderDecoderRunner)?
    private let path: String
    private let request: EngineRequest

    /// Takes the engine that a request asks for, as ``EngineSelection``.
    public init(_ path: String, _ request: EngineRequest) throws {
        self.path = path
        self.request = request
        (runtime, reason) = try request.opened(path) {
            let folder = try EncoderDecoderFolder(path: path, stateType: request.stateType)
            let threads = request.threads ?? SequenceRunner.defaultThreadCount
            return (folder, try EncoderDecoderRunner(folder.model, threads: threads))
        }
    }

    /// The engine.
    public var kind: EngineKind { runtime == nil ? .libtorch : .runtime }

    /// Loads the model for LibTorch; throws the errors of `T5Folder.load`.
    public func loadForLibTorch() throws -> LoadedT5 {
        let (type, device) = (request.elementType, request.device)
        if let warning = Runtime.slownessWarning(for: type, on: device) { request.warn(warning) }
        return try T5Folder.load(
            path, elementType: type, device: device, computeType: type, sharesFiles: true)
    }
}

/// An error of the choice of an engine.
public enum EngineError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The named engine does not do what is asked for.
    case cannotRun(EngineKind, reason: String)
    /// Only the runtime reads the weights, but something was asked for that it does not do.
    case rounded(path: String, scheme: String, reason: String)
    /// States in 16 bits were asked for where LibTorch computes; the reason why the runtime does not, if it was free to.
    case stateType(StateElementType, reason: String?)
    /// A state file has another number of rows than the tokens that go on from it.
    case rowCount(path: String, states: Int, rows: Int)
    /// A state file has tokens that were chosen but not read yet, which a text goes on with.
    case pendingTokens(path: String)
    /// The model has no folder and so no tokenizer.
    case noTokenizer

    /// The problem and the remedy.
    public var description: String {
        switch self {
        case .cannotRun(let engine, let reason):
            "the engine '\(engine.rawValue)' cannot do this: \(reason); leave that out, or use the other engine"
        case .rounded(let path, let scheme, let reason):
            "the weights in '\(path)' are rounded to \(scheme), which only the engine 'runtime' reads, and \(reason):"
                + " leave that out, or take the model from which it was made"
        case .stateType(let type, let reason):
            "LibTorch keeps states in float32, not in \(type.rawValue)"
                + (reason.map { ", and the engine 'runtime' does not take this: \($0)" } ?? "")
                + ": leave out the element type of states"
                + (reason == nil ? ", or use the engine 'runtime'" : "")
        case .rowCount(let path, let states, let rows):
            "the state in '\(path)' has \(states) \(states == 1 ? "row" : "rows"), but there are \(rows) of tokens: give"
                + " one for each"
        case .pendingTokens(let path):
            "the state in '\(path)' has tokens that are chosen but not read yet: continue its text instead"
        case .noTokenizer: "the model has random weights and no tokenizer: give a model folder"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
