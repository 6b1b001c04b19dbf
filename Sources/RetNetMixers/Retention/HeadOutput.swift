import RetNetArchitecture
import RetNetLayers
import RetNetTorch

extension GateActivation {
    /// The same activation under the name of the fused operators.
    var activation: FusedOperators.Activation {
        switch self {
        case .swish: .swish
        case .gelu: .gelu
        case .none: .none
        }
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
    /// The ranks that have some of the heads each; nil for all.
    private let group: (any RankGroup)?

    /// Declares `head_norm` and `output`, of all heads; where ranks have parts of the layers, of this rank's.
    init(
        _ scope: ParameterScope, norm: HeadNormConfiguration, gate: GateActivation, headCount: Int,
        valueSize: Int, hiddenSize: Int, biases: Bool = false, initializer: Initializer
    ) throws {
        self.norm = norm
        self.gate = gate
        group = scope.group
        self.headCount = headCount / (scope.group?.count ?? 1)
        self.valueSize = valueSize
        let count = norm.weightCount(headCount: headCount, valueSize: valueSize)
        let inner = scope.scope("head_norm")
        let axis = norm.affine == .perHead ? 0 : nil
        weight = try count.map {
            try inner.parameter("weight", [$0], .constant(1), dividedAlong: axis)
        }
        bias =
            norm.hasBias
            ? try count.map { try inner.parameter("bias", [$0], .constant(0), dividedAlong: axis) } : nil
        output = try Linear(
            scope.scope("output"), from: headCount * valueSize, to: hiddenSize, bias: biases,
            initializer: initializer, dividing: .inputs)
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

    /// Returns the part before the output matrix for a kernel that runs it together with the core; nil without a norm.
    func fusedNorm() throws -> (weight: Tensor?, bias: Tensor?, kind: FusedOperators.NormKind)? {
        guard norm.kind != .none else { return nil }
        return (try perHead(weight), try perHead(bias), norm.kind == .rms ? .rms : .layer)
    }

    /// Applies the output matrix to normalized, gated heads [B, T, H·V].
    func project(_ heads: Tensor) throws -> Tensor { try output(heads) }

    private func perHead(_ parameter: Tensor?) throws -> Tensor? {
        guard let parameter, norm.affine == .shared else { return parameter }
        // Every rank uses it for its own heads.
        let shared = try group?.entering(parameter) ?? parameter
        return try shared.unsqueezed(0).expanded([headCount, valueSize]).reshaped([headCount * valueSize])
    }
}
