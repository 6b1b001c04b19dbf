import RetNetLayers
import RetNetTorch

/// Changes parameters by their gradients, and keeps what it needs for that in tensors.
public protocol Optimizer: AnyObject {
    /// The settings in use.
    var configuration: OptimizerConfiguration { get }
    /// How many updates have been made.
    var stepCount: Int { get set }
    /// The parameters that are trained.
    var parameters: [Tensor] { get }
    /// What is kept between updates, by names that say to which parameter it belongs.
    var state: [(name: String, tensor: Tensor)] { get }

    /// Updates every parameter that has a gradient; gradients stay as they are.
    func step(learningRate: Double) throws
}

extension Optimizer {
    /// The Euclidean norm over the accumulated gradients of all parameters.
    public func gradientNorm() throws -> Double {
        try OptimizerKernels.globalNorm(parameters.compactMap { try $0.gradient() })
    }

    /// Scales all gradients down so that their global norm, given as `norm`, is at most the clip norm.
    ///
    /// Does nothing when clipping is off (a clip norm of 0) or the norm is small enough.
    public func clipGradients(norm: Double) throws {
        let limit = configuration.clipNorm
        guard limit > 0, norm > limit else { return }
        try OptimizerKernels.scale(parameters.compactMap { try $0.gradient() }, by: limit / norm)
    }

    /// Continues from saved tensors and the number of updates that they belong to.
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

extension OptimizerConfiguration {
    /// The optimiser that these settings describe.
    public func makeOptimizer(_ parameters: ParameterStore) throws -> any Optimizer {
        switch kind {
        case .adamW: try AdamW(parameters, self)
        case .adafactor: try Adafactor(parameters, self)
        }
    }
}
