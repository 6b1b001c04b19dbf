import RetNetLayers
import RetNetTorch

/// What follows the heads of most matrix mixers: a norm a head, the gate, and the output matrix.
struct HeadOutput {
    private let norm: HeadNormConfiguration
    private let activation: GateActivation
    private let headCount: Int
    private let valueSize: Int
    private let weight: Tensor?
    private let bias: Tensor?
    private let output: Linear

    /// Declares `head_norm` and `output`.
    init(
        _ scope: ParameterScope, norm: HeadNormConfiguration, gate: GateActivation, headCount: Int,
        valueSize: Int, hiddenSize: Int, initializer: Initializer
    ) throws {
        self.norm = norm
        activation = gate
        self.headCount = headCount
        self.valueSize = valueSize
        let count = norm.weightCount(headCount: headCount, valueSize: valueSize)
        let inner = scope.scope("head_norm")
        weight = try count.map { try inner.parameter("weight", [$0], .constant(1)) }
        bias = norm.hasBias ? try count.map { try inner.parameter("bias", [$0], .constant(0)) } : nil
        output = try Linear(
            scope.scope("output"), from: headCount * valueSize, to: hiddenSize, bias: false,
            initializer: initializer)
    }

    /// Heads [B, H, T, V] and the gate [B, T, H·V] → [B, T, D].
    func callAsFunction(_ heads: Tensor, gate: Tensor?) throws -> Tensor {
        let activation: FusedOperators.Activation =
            switch self.activation {
            case .swish: .swish
            case .gelu: .gelu
            case .none: .none
            }
        if norm.kind != .none {
            let epsilon = try Tensor.full(
                [1], norm.epsilon, heads.elementType.accumulator, on: heads.device)
            return try output(
                FusedOperators.headNormGate(
                    heads, gate: gate, epsilons: epsilon, weight: perHead(weight), bias: perHead(bias),
                    kind: norm.kind == .rms ? .rms : .layer, activation: activation))
        }
        let flat = try heads.permuted([0, 2, 1, 3]).reshaped([
            heads.size(0), heads.size(2), headCount * valueSize,
        ])
        return try output(
            gate.map { try FusedOperators.gatedActivation($0, flat, activation: activation) } ?? flat)
    }

    private func perHead(_ parameter: Tensor?) throws -> Tensor? {
        guard let parameter, norm.affine == .shared else { return parameter }
        return try parameter.unsqueezed(0).expanded([headCount, valueSize]).reshaped([headCount * valueSize])
    }
}

extension Tensor {
    /// [B, T, H·X] → [B, H, T, X], contiguous, times `scale`.
    func heads(_ count: Int, scale: Double = 1) throws -> Tensor {
        try FusedOperators.rotateHeads(
            reshaped([size(0), size(1), count, size(2) / count]), cosine: nil, sine: nil, interleaved: false,
            scale: scale)
    }

    /// ln σ(x) / divisor of gate logits, in the accumulator type.
    func logGates(dividedBy divisor: Double) throws -> Tensor {
        try to(elementType.accumulator).negated().softplus() * (-1 / divisor)
    }
}
