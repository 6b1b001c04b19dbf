import RetNetLayers
import RetNetSettings
import RetNetTorch

/// A rule that changes parameters by their gradients, with the tensors that it keeps between updates.
public protocol Optimizer: AnyObject {
    /// The settings of a run with this rule, unless others are given.
    static var standard: OptimizerConfiguration { get }

    /// The settings in use.
    var configuration: OptimizerConfiguration { get }
    /// Updates made so far.
    var stepCount: Int { get set }
    /// The parameters that are trained.
    var parameters: [Tensor] { get }
    /// Tensors kept between updates, by names that end with the parameter's.
    var state: [(name: String, tensor: Tensor)] { get }

    /// An optimizer of some parameters of a store, before the first update.
    init(_ entries: [ParameterStore.Entry], _ configuration: OptimizerConfiguration) throws

    /// Updates every parameter that has a gradient by `gradientScale` times that gradient; gradients stay as they are.
    func step(learningRate: Double, gradientScale: Double) throws
}

extension Optimizer {
    /// An optimizer of all parameters, before the first update.
    public init(_ parameters: ParameterStore, _ configuration: OptimizerConfiguration) throws {
        try self.init(parameters.entries, configuration)
    }

    /// Returns the Euclidean norm over the accumulated gradients of all parameters.
    public func gradientNorm() throws -> Double {
        try OptimizerKernels.globalNorm(parameters.compactMap { try $0.gradient() })
    }

    /// Updates every parameter that has a gradient; gradients stay as they are.
    public func step(learningRate: Double) throws { try step(learningRate: learningRate, gradientScale: 1) }

    /// Returns the factor of gradients by which their global norm, given as `norm`, is at most the clip norm: 1 when clipping is
    /// off (a clip norm of 0) or the norm is small enough.
    public func clipFactor(norm: Double) -> Double {
        let limit = configuration.clipNorm
        return limit > 0 && norm > limit ? limit / norm : 1
    }

    /// Scales all gradients down so that their global norm, given as `norm`, is at most the clip norm.
    ///
    /// Does nothing when clipping is off (a clip norm of 0) or the norm is small enough.
    public func clipGradients(norm: Double) throws {
        let factor = clipFactor(norm: norm)
        guard factor != 1 else { return }
        try OptimizerKernels.scale(parameters.compactMap { try $0.gradient() }, by: factor)
    }

    /// Restores saved tensors and the number of updates that they belong to.
    ///
    /// Throws ``TrainingError/checkpointMismatch(path:reason:)`` when one is missing or has another shape.
    public func restore(stepCount: Int, from path: String, tensor: (_ name: String) throws -> Tensor?) throws
    {
        guard stepCount >= 0 else {
            throw TrainingError.checkpointMismatch(path: path, reason: "the number of updates is negative")
        }
        for (name, own) in state {
            guard let saved = try tensor(name) else {
                throw TrainingError.checkpointMismatch(path: path, reason: "the tensor '\(name)' is missing")
            }
            guard saved.shape == own.shape, saved.elementType == own.elementType else {
                throw TrainingError.checkpointMismatch(
                    path: path, reason: "'\(name)' needs \(own), found \(saved)")
            }
            try own.copy(from: saved)
        }
        self.stepCount = stepCount
    }
}

/// The settings of the optimizer: `optimizer` in a run's configuration.
///
/// A new rule is a class with its own settings in a file of its own, a case of ``Kind`` and a property here.
public struct OptimizerConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The rule of updates.
    public enum Kind: String, Sendable, CaseIterable {
        /// AdamW, as in the RetNet paper.
        case adamW = "adamw"
        /// Adafactor, as T5 is trained.
        case adafactor
        /// Muon for the maps between hidden channels, AdamW for the rest.
        case muon

        /// The implementation of the rule.
        public var implementation: any Optimizer.Type {
            switch self {
            case .adamW: AdamW.self
            case .adafactor: Adafactor.self
            case .muon: Muon.self
            }
        }
    }

    /// Rule of updates.
    public var kind = Kind.adamW
    /// Peak learning rate; the paper's 6e-4 for 1.3 billion parameters by default.
    public var learningRate = 6e-4
    /// Weight decay of matrices, not of norms, biases and embeddings; the paper's 0.05 by default.
    public var weightDecay = 0.05
    /// Largest global norm of the gradients, the paper's 2 by default; 0 switches clipping off.
    public var clipNorm = 2.0
    /// Settings of AdamW, also within Muon.
    public var adamW = AdamW.Configuration()
    /// Settings of Adafactor.
    public var adafactor = Adafactor.Configuration()
    /// Settings of Muon.
    public var muon = Muon.Configuration()

    /// AdamW with the RetNet paper's settings.
    public init() {}

    /// The settings of a rule that hold by default.
    public init(_ kind: Kind) { self = kind.implementation.standard }

    /// Adafactor as T5X configures it: a rate of 0.01, no weight decay, no clipping of the global norm.
    public static var adafactor: OptimizerConfiguration { Adafactor.standard }

    /// AdamW with the RetNet paper's settings.
    public static let standard = OptimizerConfiguration()

    /// The rule; another one brings its own defaults.
    private var selectedKind: Kind {
        get { kind }
        set { if newValue != kind { self = OptimizerConfiguration(newValue) } }
    }

    /// Settings of every rule, then those of the selected one.
    public static var declarations: [Setting<Self>] {
        [
            .choice(
                "kind", \.selectedKind,
                "Rule of updates. Adafactor has T5's defaults: rate 0.01, no weight decay, no clipping."),
            .double("learning_rate", \.learningRate, in: SettingsRange.positive, "Peak learning rate."),
            .double(
                "weight_decay", \.weightDecay, in: SettingsRange.nonNegative,
                "Weight decay of matrices; not of norms, biases and embeddings."),
            .double(
                "clip_norm", \.clipNorm, in: SettingsRange.nonNegative,
                "Largest global norm of the gradients; 0 switches clipping off."),
        ]
            + Setting.inline(\.adamW).map { $0.when("kind: adamw or muon", { $0.kind != .adafactor }) }
            + Setting.inline(\.adafactor).map { $0.when("kind: adafactor", { $0.kind == .adafactor }) }
            + Setting.inline(\.muon).map { $0.when("kind: muon", { $0.kind == .muon }) }
    }

    /// Makes the optimizer that these settings describe, for the given parameters.
    public func makeOptimizer(_ parameters: ParameterStore) throws -> any Optimizer {
        try makeOptimizer(parameters.entries)
    }

    /// Makes the optimizer that these settings describe, for some parameters of a store.
    public func makeOptimizer(_ entries: [ParameterStore.Entry]) throws -> any Optimizer {
        try kind.implementation.init(entries, self)
    }
}
