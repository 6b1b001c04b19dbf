import RetNetLayers
import RetNetSettings
import RetNetTorch

/// Muon: momentum, made orthogonal, for the maps between hidden channels; AdamW for embeddings, output, norms and biases.
///
/// With gradient G of a matrix [R, C]:
///
///     M ← μM + (1-μ)G        D = μM + (1-μ)G with Nesterov's momentum, else M
///     O = UVᵀ of D = USVᵀ, nearly: Newton–Schulz iterations
///     W ← W - lr · decay · W - lr · scale · O
///
/// The scale 0.2 √max(R, C) gives updates of about the size of AdamW's, so that one learning rate and one weight decay suit
/// both. Sources: K. Jordan, github.com/KellerJordan/Muon; Liu et al., arXiv 2502.16982 (the scale). Experts, stacked along
/// leading axes, are matrices of their own.
public final class Muon: Optimizer {
    /// The factor of a matrix's update.
    public enum UpdateScale: String, Sendable, CaseIterable {
        /// 0.2 √max(R, C): the size of AdamW's updates.
        case adamW = "adamw"
        /// √max(1, R/C), as in the first publication; for learning rates near 0.02.
        case shape

        /// Returns the factor for a matrix [rows, columns].
        func factor(rows: Int, columns: Int) -> Double {
            switch self {
            case .adamW: 0.2 * Double(max(rows, columns)).squareRoot()
            case .shape: max(1, Double(rows) / Double(columns)).squareRoot()
            }
        }
    }

    /// The settings that only Muon has.
    public struct Configuration: DeclaredSettings, Sendable, Equatable {
        /// Decay μ of the mean of the gradients.
        public var momentum = 0.95
        /// True for Nesterov's momentum.
        public var usesNesterov = true
        /// Newton–Schulz iterations per update.
        public var iterationCount = 5
        /// The factor of the update.
        public var scale = UpdateScale.adamW

        /// The settings of PyTorch's Muon with AdamW's size of updates.
        public init() {}

        /// The same.
        public static let standard = Configuration()

        /// `momentum`, `nesterov`, `iterations` and `update_scale`.
        public static var declarations: [Setting<Self>] {
            [
                .double(
                    "momentum", \.momentum, in: SettingsRange.belowOne, "Decay of the mean of the gradients."),
                .bool("nesterov", \.usesNesterov, "Nesterov's momentum."),
                .int("iterations", \.iterationCount, in: 1...50, "Newton-Schulz iterations per update."),
                .choice(
                    "update_scale", \.scale,
                    "Factor of a matrix's update: 0.2 times the root of its longer side ('adamw', whose rates fit), or the root"
                        + " of rows over columns, at least 1 ('shape')."),
            ]
        }
    }

    /// AdamW's rate, weight decay and clipping.
    public static var standard: OptimizerConfiguration {
        var configuration = OptimizerConfiguration()
        configuration.kind = .muon
        return configuration
    }

    private struct Slot {
        let entry: ParameterStore.Entry
        let momentum: Tensor
    }

    /// The settings in use.
    public let configuration: OptimizerConfiguration
    /// Updates made so far.
    public var stepCount: Int {
        get { others.stepCount }
        set { others.stepCount = newValue }
    }
    private let matrices: [Slot]
    private let batches: [[Slot]]
    private let others: AdamW

    /// An optimizer of some parameters of a store, all moments zero.
    public init(_ entries: [ParameterStore.Entry], _ configuration: OptimizerConfiguration) throws {
        self.configuration = configuration
        matrices = try entries.filter(\.isHiddenMap).map { entry in
            let tensor = entry.tensor
            return Slot(
                entry: entry,
                momentum: try Tensor.zeros(tensor.shape, tensor.elementType, on: tensor.device))
        }
        batches = Self.batches(of: matrices)
        others = try AdamW(entries.filter { !$0.isHiddenMap }, configuration)
    }

    /// The parameters that are trained.
    public var parameters: [Tensor] { matrices.map(\.entry.tensor) + others.parameters }

    /// Updates every parameter that has a gradient; gradients stay as they are.
    public func step(learningRate: Double, gradientScale: Double) throws {
        try others.step(learningRate: learningRate, gradientScale: gradientScale)
        for batch in batches {
            var parameters: [Tensor] = []
            var gradients: [Tensor] = []
            var momenta: [Tensor] = []
            for slot in batch {
                guard let gradient = try slot.entry.tensor.gradient() else { continue }
                parameters.append(slot.entry.tensor)
                gradients.append(gradient)
                momenta.append(slot.momentum)
            }
            guard let first = batch.first, !parameters.isEmpty else { continue }
            let shape = first.entry.tensor.shape
            try OptimizerKernels.muon(
                parameters: parameters, gradients: gradients, momenta: momenta,
                momentumDecay: configuration.muon.momentum, nesterov: configuration.muon.usesNesterov,
                iterationCount: configuration.muon.iterationCount,
                learningRate: min(learningRate, first.entry.maximumLearningRate ?? learningRate),
                scale: configuration.muon.scale.factor(
                    rows: shape[shape.count - 2], columns: shape[shape.count - 1]),
                weightDecay: first.entry.decays ? configuration.weightDecay : 0,
                gradientScale: gradientScale)
        }
    }

    /// Largest number of elements whose products are made together: the iteration holds four times as many.
    private static let batchElementCount = 1 << 24

    /// Matrices of one shape and treatment, a batch each; a batch of more elements than fit is cut.
    private static func batches(of slots: [Slot]) -> [[Slot]] {
        struct Kind: Hashable {
            let shape: [Int]
            let decays: Bool
            let maximumLearningRate: Double?
        }
        var places: [Kind: Int] = [:]
        var batches: [[Slot]] = []
        for slot in slots {
            let kind = Kind(
                shape: slot.entry.tensor.shape, decays: slot.entry.decays,
                maximumLearningRate: slot.entry.maximumLearningRate)
            let size = slot.entry.tensor.elementCount
            if let place = places[kind], (batches[place].count + 1) * size <= batchElementCount {
                batches[place].append(slot)
            } else {
                places[kind] = batches.count
                batches.append([slot])
            }
        }
        return batches
    }

    /// The momenta, named `momentum.` and the parameter's name, and AdamW's moments.
    public var state: [(name: String, tensor: Tensor)] {
        matrices.map { ("momentum." + $0.entry.name, $0.momentum) } + others.state
    }
}
