import RetNetArchitecture
import RetNetKernels

/// Mamba-2 (arXiv 2405.21060): a state space with one data-dependent decay per head.
///
///     [z, x, B, C, Δ] = X W_in        x, B, C = silu(conv(x, B, C))        Δ = softplus(Δ + b), within limits
///     S_t = e^(-Δ e^(a)) S_{t-1} + B_tᵀ (Δ_t x_t)     y_t = C_t S_t + D x_t
///     Y = RMSNorm(y ⊙ silu(z)) W_out
///
/// B and C are shared by the heads of a group. The norm runs over all heads, or over the heads of each group.
struct Mamba2: RuntimeMixer {
    private let c: Mamba2Configuration
    private let input: Matrix
    private let convolution: ShortConvolution?
    private let stepBias: UnsafePointer<Float>
    private let decayLog: UnsafePointer<Float>
    private let skip: UnsafePointer<Float>
    private let normWeight: UnsafePointer<Float>
    private let output: Matrix
    private let memory: MatrixMemory

    init(_ builder: inout ModelBuilder, _ c: Mamba2Configuration, _ place: MixerPlace) throws {
        self.c = c
        var shape = MatrixShape(
            headCount: c.headCount, keySize: c.stateSize, valueSize: c.headSize, decays: RN_HEAD_DECAY)
        shape.queryGroup = c.headCount / c.groupCount
        shape.keyGroup = shape.queryGroup
        memory = try builder.state.memory("memory", shape)
        input = try builder.linear(
            "input", from: place.hiddenSize, to: c.innerSize + c.convolvedSize + c.headCount, bias: c.biases)
        convolution =
            c.convolutionWidth > 1
            ? try ShortConvolution(
                &builder, "convolution", channels: c.convolvedSize, width: c.convolutionWidth,
                bias: c.convolutionBiases, ring: "ring", function: RN_SWISH) : nil
        stepBias = try builder.vector("step_bias", c.headCount)
        decayLog = try builder.vector("decay_log", c.headCount)
        skip = try builder.vector("skip", c.headCount)
        normWeight = try builder.vector("norm.weight", c.innerSize)
        output = try builder.linear("output", from: c.innerSize, to: place.hiddenSize, bias: c.biases)
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        let projected = pass.multiply(x, input)
        let z = projected.columns(from: 0, count: c.innerSize)
        let inner = projected.columns(from: c.innerSize, count: c.convolvedSize)
        let logits = projected.columns(from: c.innerSize + c.convolvedSize, count: c.headCount)
        let xBC = convolution?(inner, pass) ?? pass.apply(RN_SWISH, inner)
        let values = xBC.columns(from: 0, count: c.innerSize)
        let writes = c.groupCount * c.stateSize
        let (key, query) = (
            xBC.columns(from: c.innerSize, count: writes),
            xBC.columns(from: c.innerSize + writes, count: writes)
        )
        let (steps, gates) = (pass.rows(c.headCount), pass.rows(c.headCount))
        rn_decay_steps(
            logits.data, Int64(logits.stride), stepBias, decayLog, Float(c.minimumStep),
            Float(c.maximumStep ?? .infinity), steps.data, gates.data, Int64(x.count), Int64(c.headCount))
        let written = pass.rows(c.innerSize)
        scale(values, by: UnsafePointer(steps.data), stride: c.headCount, into: written, adds: false)

        var step = MatrixStep(query, key, written)
        step.decays = .rows(gates)
        let y = pass.run(step, at: memory)
        scale(values, by: skip, stride: 0, into: y, adds: true)

        let gated = pass.apply(RN_SWISH, z, times: y)
        let normalized = pass.normalize(
            gated, RN_RMS, heads: c.groupCount, epsilon: c.epsilon, weight: normWeight, headsHaveWeights: true
        )
        return pass.multiply(normalized, output)
    }

    private func scale(
        _ x: Rows, by factors: UnsafePointer<Float>, stride: Int, into y: Rows, adds: Bool
    ) {
        rn_scale_heads(
            x.data, Int64(x.stride), factors, Int64(stride), adds, y.data, Int64(x.count), Int64(c.headCount),
            Int64(c.headSize))
    }
}
