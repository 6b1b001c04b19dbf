import RetNetArchitecture
import RetNetKernels

/// Linear attention in its recurrent form: the Linear Transformer (arXiv 2006.16236), or its relative with an RMS norm.
///
///     Q = φ(X W_Q)     K = φ(X W_K)     V = X W_V
///     S_t = S_{t-1} + k_tᵀ v_t     z_t = z_{t-1} + k_t     o_t = q_t S_t / (q_t · z_t + ε)
///     Y = o W_O
///
/// Rotations turn the features of the numerator only. Without the sum keys are scaled by a^-½ and heads normalized.
struct LinearAttention: RuntimeMixer {
    private let c: LinearAttentionConfiguration
    private let query: Matrix
    private let key: Matrix
    private let value: Matrix
    private let output: Matrix
    private let rotary: Rotary
    private let memory: MatrixMemory
    private let keySum: MatrixMemory?

    init(_ builder: inout ModelBuilder, _ c: LinearAttentionConfiguration, _ place: MixerPlace) throws {
        self.c = c
        let d = place.hiddenSize
        query = try builder.linear("query", from: d, to: c.width, bias: c.biases)
        key = try builder.linear("key", from: d, to: c.width, bias: c.biases)
        value = try builder.linear("value", from: d, to: c.width, bias: c.biases)
        output = try builder.linear("output", from: c.width, to: d, bias: c.biases)
        rotary = builder.rotary(
            angles: c.rotation.angles(keySize: c.headSize), isInterleaved: c.rotation == .interleaved)
        memory = try builder.state.memory(
            "memory", MatrixShape(headCount: c.headCount, keySize: c.headSize, valueSize: c.headSize))
        // The sum of products with keys is the same recurrence with the value 1.
        var sums = MatrixShape(headCount: c.headCount, keySize: c.headSize, valueSize: 1)
        sums.valueGroup = c.headCount
        keySum = c.normalizer == .sum ? try builder.state.memory("key_sum", sums) : nil
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let (xq, xk, v) = (products.add(query), products.add(key), products.add(value))
        products.run()
        let (q, k) = (pass.apply(c.featureMap.kernel, xq), pass.apply(c.featureMap.kernel, xk))
        let scale = c.normalizer == .sum ? 1 : 1 / Double(c.headSize).squareRoot()
        let step = MatrixStep(
            pass.rotate(q, heads: c.headCount, by: rotary),
            pass.rotate(k, heads: c.headCount, by: rotary, scale: scale), v)
        let heads = pass.run(step, at: memory)
        guard let keySum else {
            return pass.multiply(
                pass.normalize(heads, RN_RMS, heads: c.headCount, epsilon: c.epsilon), output)
        }
        let ones = pass.rows(1)
        ones.data.update(repeating: 1, count: x.count)
        let sums = pass.run(MatrixStep(q, k, ones), at: keySum)
        rn_divide_heads(
            heads.data, sums.data, Float(c.epsilon), Int64(x.count), Int64(c.headCount), Int64(c.headSize))
        return pass.multiply(heads, output)
    }
}

extension FeatureMap {
    var kernel: rn_function {
        switch self {
        case .elu: RN_ELU_PLUS_ONE
        case .relu: RN_RELU
        case .identity: RN_IDENTITY
        }
    }
}
