import RetNetLayers
import RetNetTorch

/// AdamW with decoupled weight decay, in groups of parameters that are treated alike.
///
/// Parameters may be free of weight decay and may bear only smaller learning rates than the others.
/// Source: Loshchilov and Hutter, arXiv 1711.05101. Moments have the type and device of their parameter.
public final class AdamW: Optimizer {
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
    public var stepCount = 0
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

    /// The parameters that are trained.
    public var parameters: [Tensor] { slots.map(\.parameter) }

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
}
