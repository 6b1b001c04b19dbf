import RetNetArchitecture
import RetNetKernels

/// The last part of most mixers with heads: a norm per head, the gate, and the output matrix.
///
///     Y = (activation(G) ⊙ HeadNorm(head₁ … head_h)) W_O
struct HeadOutput {
    private let norm: HeadNormConfiguration
    private let function: rn_function
    private let headCount: Int
    private let valueSize: Int
    private let weight: UnsafePointer<Float>?
    private let bias: UnsafePointer<Float>?
    private let output: Matrix

    init(
        _ builder: inout ModelBuilder, norm: HeadNormConfiguration, gate: GateActivation, headCount: Int,
        valueSize: Int, hiddenSize: Int, biases: Bool = false
    ) throws {
        self.norm = norm
        self.headCount = headCount
        self.valueSize = valueSize
        function = gate.kernel
        let count = norm.weightCount(headCount: headCount, valueSize: valueSize)
        weight = try count.map { try builder.vector("head_norm.weight", $0) }
        bias = norm.hasBias ? try count.map { try builder.vector("head_norm.bias", $0) } : nil
        output = try builder.linear("output", from: headCount * valueSize, to: hiddenSize, bias: biases)
    }

    /// Returns [rows, d] of heads [rows, h · b] and the gate's logits.
    ///
    /// `epsilons` [rows, h] take the place of the norm's own; without a norm, heads are divided by their roots.
    func callAsFunction(
        _ heads: Rows, gate: Rows?, epsilons: UnsafePointer<Float>? = nil, _ pass: Pass
    ) -> Rows {
        pass.multiply(
            pass.normalize(
                heads, norm.kind.kernel, heads: headCount, epsilon: norm.kind == .none ? 1 : norm.epsilon,
                epsilons: epsilons,
                weight: weight, bias: bias, headsHaveWeights: norm.affine == .perHead, function: function,
                gate: gate), output)
    }
}

extension Pass {
    /// Returns norm(x) · weight + bias for every head of every row, times function(gate) where there is a gate.
    func normalize(
        _ x: Rows, _ kind: rn_norm_kind, heads: Int, epsilon: Double, epsilons: UnsafePointer<Float>? = nil,
        weight: UnsafePointer<Float>? = nil, bias: UnsafePointer<Float>? = nil,
        headsHaveWeights: Bool = false,
        function: rn_function = RN_IDENTITY, gate: Rows? = nil
    ) -> Rows {
        let y = rows(x.width, count: x.count)
        var norm = rn_norm()
        norm.kind = kind
        norm.function = function
        norm.heads = Int64(heads)
        norm.size = Int64(x.width / heads)
        norm.weight = weight
        norm.bias = bias
        norm.heads_have_weights = headsHaveWeights
        norm.epsilon = Float(epsilon)
        norm.epsilons = epsilons
        norm.x = UnsafePointer(x.data)
        norm.x_stride = Int64(x.stride)
        norm.gate = gate.map { UnsafePointer($0.data) }
        norm.gate_stride = Int64(gate?.stride ?? 0)
        norm.y = y.data
        norm.y_stride = Int64(y.stride)
        rn_normalize(pool, &norm, Int64(x.count))
        return y
    }
}

extension GateActivation {
    var kernel: rn_function {
        switch self {
        case .swish: RN_SWISH
        case .gelu: RN_GELU
        case .none: RN_IDENTITY
        }
    }
}

extension HeadNormConfiguration.Kind {
    var kernel: rn_norm_kind {
        switch self {
        case .rms: RN_RMS
        case .layer: RN_LAYER
        case .none: RN_NO_NORM
        }
    }
}
