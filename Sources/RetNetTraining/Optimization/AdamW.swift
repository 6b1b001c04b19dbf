import RetNetLayers
import RetNetSettings
import RetNetTorch

/// AdamW with decoupled weight decay, in groups of parameters with equal treatment.
///
/// Parameters may be exempt from weight decay and may have an upper limit of their learning rate.
/// Source: Loshchilov and Hutter, arXiv 1711.05101. Moments have the type and device of their parameter.
public final class AdamW: Optimizer {
    /// The settings that only AdamW has.
    public struct Configuration: DeclaredSettings, Sendable, Equatable {
        /// Decay of the mean of the gradients; 0.9 as in the RetNet paper.
        public var beta1 = 0.9
        /// Decay of the mean of their squares; 0.98 as in the RetNet paper.
        public var beta2 = 0.98
        /// Term added to the root of the second moment; 1e-8, for the paper states none.
        public var epsilon = 1e-8

        /// The paper's settings.
        public init() {}

        /// Both decays, the first moment's first.
        public var betas: [Double] {
            get { [beta1, beta2] }
            set { if newValue.count == 2 { (beta1, beta2) = (newValue[0], newValue[1]) } }
        }

        /// The paper's settings.
        public static let standard = Configuration()

        /// `betas` and `epsilon`.
        public static var declarations: [Setting<Self>] {
            [
                .doubles(
                    "betas", \.betas, in: SettingsRange.belowOne, count: 2...2,
                    "Decays of the first and second moment."),
                .double(
                    "epsilon", \.epsilon, in: SettingsRange.positive,
                    "Term added to the root of the second moment."),
            ]
        }
    }

    /// The RetNet paper's settings.
    public static var standard: OptimizerConfiguration { OptimizerConfiguration() }

    /// One parameter with its moments.
    private struct Slot {
        let name: String
        let parameter: Tensor
        let first: Tensor
        let second: Tensor
        let group: Group
    }

    /// The treatment that parameters of one group have in common.
    private struct Group: Hashable {
        let decays: Bool
        let maximumLearningRate: Double?
    }

    /// The settings in use.
    public let configuration: OptimizerConfiguration
    /// Updates made so far.
    public var stepCount = 0
    private let slots: [Slot]
    private let groups: [Group]

    /// An optimizer of some parameters of a store, all moments zero.
    public init(_ entries: [ParameterStore.Entry], _ configuration: OptimizerConfiguration) throws {
        self.configuration = configuration
        slots = try entries.map { entry in
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
    public func step(learningRate: Double, gradientScale: Double) throws {
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
                beta1: configuration.adamW.beta1, beta2: configuration.adamW.beta2,
                weightDecay: group.decays ? configuration.weightDecay : 0,
                epsilon: configuration.adamW.epsilon, gradientScale: gradientScale)
        }
    }

    /// The moments, named `first_moment.` or `second_moment.` and the parameter's name.
    public var state: [(name: String, tensor: Tensor)] {
        slots.flatMap { [("first_moment." + $0.name, $0.first), ("second_moment." + $0.name, $0.second)] }
    }
}
