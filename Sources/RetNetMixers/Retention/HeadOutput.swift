import RetNetLayers
import RetNetSettings
import RetNetTorch

/// The activation of the gate that multiplies the normalized heads.
public enum GateActivation: String, Sendable, CaseIterable {
    /// x · sigmoid(x): the paper and every implementation.
    case swish
    /// x · Φ(x), exact.
    case gelu
    /// No gate and no gate projection.
    case none

    var activation: FusedOperators.Activation {
        switch self {
        case .swish: .swish
        case .gelu: .gelu
        case .none: .none
        }
    }
}

/// The norm over the b values of one head at one position.
public struct HeadNormConfiguration: Sendable, Equatable {
    /// The statistics of the norm.
    public enum Kind: String, Sendable, CaseIterable {
        /// Divided by the root mean square: torchscale since September 2023, fla.
        case rms
        /// Mean removed, divided by the standard deviation: the paper's group norm with one group per head.
        case layer
        /// No norm.
        case none
    }

    /// The trained weights of the norm.
    public enum Affine: String, Sendable, CaseIterable {
        /// None: torchscale.
        case none
        /// One weight of length b for all heads: fla.
        case shared
        /// One weight of length h · b.
        case perHead = "per_head"
    }

    /// The statistics.
    public var kind: Kind
    /// The trained weights; a ``Kind/layer`` norm with weights has biases of the same length.
    public var affine: Affine
    /// Added to the mean square or the variance.
    public var epsilon: Double

    /// A root-mean-square norm without weights by default.
    public init(kind: Kind = .rms, affine: Affine = .none, epsilon: Double = 1e-6) {
        self.kind = kind
        self.affine = affine
        self.epsilon = epsilon
    }

    /// Returns the number of values of `head_norm.weight`, or nil if there is no such parameter.
    public func weightCount(headCount: Int, valueSize: Int) -> Int? {
        switch (kind, affine) {
        case (.none, _), (_, .none): nil
        case (_, .shared): valueSize
        case (_, .perHead): headCount * valueSize
        }
    }

    /// True if `head_norm.bias` exists in addition to the weight.
    public var hasBias: Bool { kind == .layer && affine != .none }
}

extension HeadNormConfiguration: DeclaredSettings {
    /// A root-mean-square norm without weights.
    public static let standard = HeadNormConfiguration()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .choice("kind", \.kind, "Statistics of the norm over the values of one head."),
            .choice("affine", \.affine, "Trained weights of the norm."),
            .double(
                "epsilon", \.epsilon, in: SettingsRange.fraction, "Added to the mean square or the variance."),
        ]
    }

    /// Reports weights of a norm that does not exist.
    public func reportContradictions(to reader: SettingsReader) {
        guard kind == .none, affine != .none else { return }
        reader.reportContradiction("affine", "a head norm of the kind 'none' has no weights; use 'none'")
    }
}

/// The last part of most mixers with heads: a norm per head, the gate, and the output matrix.
struct HeadOutput {
    private let norm: HeadNormConfiguration
    private let gate: GateActivation
    private let headCount: Int
    private let valueSize: Int
    private let weight: Tensor?
    private let bias: Tensor?
    private let output: Linear

    /// Declares `head_norm` and `output`.
    init(
        _ scope: ParameterScope, norm: HeadNormConfiguration, gate: GateActivation, headCount: Int,
        valueSize: Int, hiddenSize: Int, biases: Bool = false, initializer: Initializer
    ) throws {
        self.norm = norm
        self.gate = gate
        self.headCount = headCount
        self.valueSize = valueSize
        let count = norm.weightCount(headCount: headCount, valueSize: valueSize)
        let inner = scope.scope("head_norm")
        weight = try count.map { try inner.parameter("weight", [$0], .constant(1)) }
        bias = norm.hasBias ? try count.map { try inner.parameter("bias", [$0], .constant(0)) } : nil
        output = try Linear(
            scope.scope("output"), from: headCount * valueSize, to: hiddenSize, bias: biases,
            initializer: initializer)
    }

    /// Returns [B, T, D] of heads [B, H, T, V] and the gate's logits [B, T, H·V].
    ///
    /// `epsilons` [B or 1, H, T] or [1] take the place of the norm's epsilon; without a norm, heads are divided by
    /// the roots of those of every position.
    func callAsFunction(_ heads: Tensor, gate logits: Tensor?, epsilons: Tensor? = nil) throws -> Tensor {
        if norm.kind != .none {
            let epsilons =
                try epsilons
                ?? Tensor.full([1], norm.epsilon, heads.elementType.accumulator, on: heads.device)
            return try output(
                FusedOperators.headNormGate(
                    heads, gate: logits, epsilons: epsilons, weight: perHead(weight), bias: perHead(bias),
                    kind: norm.kind == .rms ? .rms : .layer, activation: gate.activation))
        }
        var scaled = heads
        if let epsilons, epsilons.rank > 1 {
            scaled = try (heads.to(epsilons.elementType) * epsilons.rsqrt().unsqueezed(-1))
                .to(heads.elementType)
        }
        let flat = try scaled.permuted([0, 2, 1, 3]).reshaped([
            scaled.size(0), scaled.size(2), headCount * valueSize,
        ])
        guard let logits else { return try output(flat) }
        return try output(FusedOperators.gatedActivation(logits, flat, activation: gate.activation))
    }

    private func perHead(_ parameter: Tensor?) throws -> Tensor? {
        guard let parameter, norm.affine == .shared else { return parameter }
        return try parameter.unsqueezed(0).expanded([headCount, valueSize]).reshaped([headCount * valueSize])
    }
}
