import Foundation
import RetNetLayers
import RetNetSettings
import RetNetTorch

/// Adafactor without momentum: second moments of matrices kept as one number per row and one per column.
///
/// With t counted from 0, β = 1 - (t + 1)^-0.8 and G² = gradient² + 1e-30:
///
///     matrices:  R ← βR + (1-β) mean_columns G²    C ← βC + (1-β) mean_rows G²    y = g / √(R ⊗ C / mean R)
///     others:    v ← βv + (1-β) G²                                               y = g / √v
///     θ ← θ - lr · max(1e-3, rms θ) · y / max(1, rms(y) / threshold)
///
/// Source: Shazeer and Stern, arXiv 1804.04235, as T5X configures it. Matrices are factored where both sizes reach
/// ``Configuration/factoredSize``; parameters of more than two axes are not.
public final class Adafactor: Optimizer {
    /// The settings that only Adafactor has.
    public struct Configuration: DeclaredSettings, Sendable, Equatable {
        /// Exponent x of the second moments' decay 1 - t^-x.
        public var decayExponent = 0.8
        /// Largest root mean square of one parameter's update.
        public var clipThreshold = 1.0
        /// True if updates are relative to the size of the parameter.
        public var scalesByParameter = true
        /// Matrices with both sizes at least this keep factored moments.
        public var factoredSize = 128

        /// T5X's settings.
        public init() {}

        /// T5X's settings.
        public static let standard = Configuration()

        /// `decay_exponent`, `clip_threshold`, `scale_by_parameter` and `factored_size`.
        public static var declarations: [Setting<Self>] {
            [
                .double(
                    "decay_exponent", \.decayExponent, in: SettingsRange.positive,
                    "Exponent x of the second moments' decay 1 - t^-x."),
                .double(
                    "clip_threshold", \.clipThreshold, in: SettingsRange.positive,
                    "Largest root mean square of one parameter's update."),
                .bool(
                    "scale_by_parameter", \.scalesByParameter,
                    "Updates relative to the size of the parameter."),
                .int(
                    "factored_size", \.factoredSize, in: 1...1 << 24,
                    "Matrices with both sizes at least this keep factored moments."),
            ]
        }
    }

    /// T5X's settings: a rate of 0.01, no weight decay, no clipping of the global norm.
    public static var standard: OptimizerConfiguration {
        var configuration = OptimizerConfiguration()
        configuration.kind = .adafactor
        configuration.learningRate = 0.01
        configuration.weightDecay = 0
        configuration.clipNorm = 0
        return configuration
    }

    private struct Slot {
        let name: String
        let parameter: Tensor
        /// R and C, or v alone.
        let moments: [Tensor]
        let decays: Bool
        let maximumLearningRate: Double?
    }

    /// The settings in use.
    public let configuration: OptimizerConfiguration
    /// Updates made so far.
    public var stepCount = 0
    private let slots: [Slot]

    /// An optimizer of some parameters of a store, all moments zero.
    public init(_ entries: [ParameterStore.Entry], _ configuration: OptimizerConfiguration) throws {
        self.configuration = configuration
        slots = try entries.map { entry in
            let tensor = entry.tensor
            let factored =
                tensor.rank == 2 && tensor.shape.allSatisfy { $0 >= configuration.adafactor.factoredSize }
            let shapes = factored ? tensor.shape.map { [$0] } : [tensor.shape]
            return Slot(
                name: entry.name, parameter: tensor,
                moments: try shapes.map { try Tensor.zeros($0, tensor.elementType, on: tensor.device) },
                decays: entry.decays, maximumLearningRate: entry.maximumLearningRate)
        }
    }

    /// The parameters that are trained.
    public var parameters: [Tensor] { slots.map(\.parameter) }

    /// The moments, named `row_moment.`, `column_moment.` or `second_moment.` and the parameter's name.
    public var state: [(name: String, tensor: Tensor)] {
        slots.flatMap { slot in
            slot.moments.count == 1
                ? [("second_moment." + slot.name, slot.moments[0])]
                : [
                    ("row_moment." + slot.name, slot.moments[0]),
                    ("column_moment." + slot.name, slot.moments[1]),
                ]
        }
    }

    /// Updates every parameter that has a gradient; gradients stay as they are.
    public func step(learningRate: Double, gradientScale: Double) throws {
        stepCount += 1
        let beta = 1 - pow(Double(stepCount), -configuration.adafactor.decayExponent)
        for slot in slots {
            guard let gradient = try slot.parameter.gradient() else { continue }
            try OptimizerKernels.adafactor(
                parameter: slot.parameter, gradient: gradient, moments: slot.moments, beta: beta,
                learningRate: min(learningRate, slot.maximumLearningRate ?? learningRate),
                clipThreshold: configuration.adafactor.clipThreshold,
                scalesByParameter: configuration.adafactor.scalesByParameter,
                weightDecay: slot.decays ? configuration.weightDecay : 0, gradientScale: gradientScale)
        }
    }
}
