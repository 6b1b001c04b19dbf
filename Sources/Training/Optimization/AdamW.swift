import Layers
import Torch

/// AdamW with decoupled weight decay, in groups of parameters that are treated alike.
///
/// Parameters may be free of weight decay and may bear only smaller learning rates than the others.
/// Source: Loshchilov and Hutter, arXiv 1711.05101. Moments have the type and device of their parameter.
public final class AdamW {
    /// One parameter with its moments.
    private struct Slot {
        let name: String
        let parameter: Tensor
        let first: Tensor
        let second: Tensor
        let group: Group
    }

    /// What parameters of one group have in common.
    private struct Group: Hashable {
        let decays: Bool
        let maximumLearningRate: Double?
    }

    /// The settings in use.
    public let configuration: OptimizerConfiguration
    /// How many updates have been made.
    public private(set) var stepCount = 0
    private let slots: [Slot]
    private let groups: [Group]

    /// An optimiser of the given parameters, all moments zero.
    public init(_ parameters: ParameterStore, _ configuration: OptimizerConfiguration) throws {
        self.configuration = configuration
        slots = try parameters.entries.map { entry in
            let tensor = entry.tensor
            return Slot(
                name: entry.name, parameter: tensor,
                first: try Tensor.zeros(tensor.shape, tensor.elementType, on: tensor.device),
                second: try Tensor.zeros(tensor.shape, tensor.elementType, on: tensor.device),
                group: Group(decays: entry.decays, maximumLearningRate: entry.maximumLearningRate))
        }
        groups = slots.reduce(into: []) { if !$0.contains($1.group) { $0.append($1.group) } }
    }

    /// The Euclidean norm over the accumulated gradients of all parameters.
    public func gradientNorm() throws -> Double {
        try OptimizerKernels.globalNorm(slots.compactMap { try $0.parameter.gradient() })
    }

    /// Scales all gradients down so that their global norm, given as `norm`, is at most the clip norm.
    ///
    /// Does nothing when clipping is off (a clip norm of 0) or the norm is small enough.
    public func clipGradients(norm: Double) throws {
        let limit = configuration.clipNorm
        guard limit > 0, norm > limit else { return }
        try OptimizerKernels.scale(slots.compactMap { try $0.parameter.gradient() }, by: limit / norm)
    }

    /// Updates every parameter that has a gradient; gradients stay as they are.
    public func step(learningRate: Double) throws {
        stepCount += 1
        for group in groups {
            var parameters: [Tensor] = []
            var gradients: [Tensor] = []
            var first: [Tensor] = []
            var second: [Tensor] = []
            for slot in slots where slot.group == group {
                guard let gradient = try slot.parameter.gradient() else { continue }
                parameters.append(slot.parameter)
                gradients.append(gradient)
                first.append(slot.first)
                second.append(slot.second)
            }
            try OptimizerKernels.adamW(
                parameters: parameters, gradients: gradients, firstMoments: first, secondMoments: second,
                step: stepCount, learningRate: min(learningRate, group.maximumLearningRate ?? learningRate),
                beta1: configuration.beta1,
                beta2: configuration.beta2, weightDecay: group.decays ? configuration.weightDecay : 0,
                epsilon: configuration.epsilon)
        }
    }

    // MARK: State

    /// The moments, named `first_moment.` or `second_moment.` and the parameter's name.
    public var state: [(name: String, tensor: Tensor)] {
        slots.flatMap { [("first_moment." + $0.name, $0.first), ("second_moment." + $0.name, $0.second)] }
    }

    /// Continues from saved moments and the number of updates that they belong to.
    ///
    /// Throws ``TrainingError/checkpointMismatch(path:reason:)`` when a moment is missing or has another shape.
    public func restore(stepCount: Int, from path: String, tensor: (_ name: String) throws -> Tensor?) throws
    {
        guard stepCount >= 0 else {
            throw TrainingError.checkpointMismatch(path: path, reason: "the number of updates is negative")
        }
        for (name, moment) in state {
            guard let saved = try tensor(name) else {
                throw TrainingError.checkpointMismatch(path: path, reason: "the tensor '\(name)' is missing")
            }
            guard saved.shape == moment.shape, saved.elementType == moment.elementType else {
                throw TrainingError.checkpointMismatch(
                    path: path, reason: "'\(name)' needs \(moment), found \(saved)")
            }
            try moment.copy(from: saved)
        }
        self.stepCount = stepCount
    }
}
