import RetNetArchitecture
import RetNetKernels

/// Retention with a data-dependent decay per head and position (gRet: YOCO, arXiv 2405.05254, section 3.2).
///
///     Q = X W_Q     K = X W_K / √K     V = X W_V        rotate Q and K by absolute position
///     ln γ = ln σ(X W_γ) / 16                           one number per head and position
///     S_t = γ_t S_{t-1} + k_tᵀ v_t     o_t = q_t S_t
///     Y = (swish(X W_G) ⊙ HeadNorm(o)) W_O
struct GatedRetention: RuntimeMixer {
    private let c: GatedRetentionConfiguration
    private let query: Matrix
    private let key: Matrix
    private let value: Matrix
    private let decay: Matrix
    private let gate: Matrix?
    private let output: HeadOutput
    private let rotary: Rotary
    private let memory: MatrixMemory

    init(_ builder: inout ModelBuilder, _ c: GatedRetentionConfiguration, _ place: MixerPlace) throws {
        self.c = c
        let (d, keys, values) = (place.hiddenSize, c.headCount * c.keySize, c.headCount * c.valueSize)
        query = try builder.linear("query", from: d, to: keys)
        key = try builder.linear("key", from: d, to: keys)
        value = try builder.linear("value", from: d, to: values)
        decay = try builder.linear("decay", from: d, to: c.headCount)
        gate = c.gate == .none ? nil : try builder.linear("gate", from: d, to: values)
        output = try HeadOutput(
            &builder, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: d)
        rotary = builder.rotary(
            angles: c.rotation.angles(keySize: c.keySize), isInterleaved: c.rotation == .interleaved)
        memory = try builder.state.memory(
            "memory",
            MatrixShape(
                headCount: c.headCount, keySize: c.keySize, valueSize: c.valueSize, decays: RN_HEAD_DECAY))
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let (xq, xk, v) = (products.add(query), products.add(key), products.add(value))
        let (decays, g) = (products.add(decay), products.add(gate))
        products.run()
        rn_decay_gates(
            decays.data, Int64(decays.count * decays.width), Float(c.gateDivisor), -.infinity)
        let q = pass.rotate(xq, heads: c.headCount, by: rotary)
        let k = pass.rotate(xk, heads: c.headCount, by: rotary, scale: 1 / Double(c.keySize).squareRoot())
        var step = MatrixStep(q, k, v)
        step.decays = .rows(decays)
        return output(pass.run(step, at: memory), gate: g, pass)
    }
}

/// Gated linear attention (GLA, arXiv 2312.06635): a data-dependent decay per key channel.
///
///     Q = X W_Q / √K     K = X W_K     V = X W_V        each through a short convolution and swish where there is one
///     ln α = ln σ(X W₁ W₂ + b) / 16                     one number per key channel and position
///     S_t = diag(α_t) S_{t-1} + k_tᵀ v_t     o_t = q_t S_t
///     Y = (swish(X W_G) ⊙ HeadNorm(o)) W_O
struct GatedLinearAttention: RuntimeMixer {
    private let c: GatedLinearAttentionConfiguration
    private let inputs: ConvolvedProjections
    private let decayDown: Matrix
    private let decayUp: Matrix
    private let gate: Matrix?
    private let output: HeadOutput
    private let memory: MatrixMemory

    init(_ builder: inout ModelBuilder, _ c: GatedLinearAttentionConfiguration, _ place: MixerPlace) throws {
        self.c = c
        let (d, keys, values) = (place.hiddenSize, c.headCount * c.keySize, c.headCount * c.valueSize)
        memory = try builder.state.memory(
            "memory",
            MatrixShape(
                headCount: c.headCount, keySize: c.keySize, valueSize: c.valueSize, decays: RN_CHANNEL_DECAY))
        inputs = try ConvolvedProjections(&builder, c.convolved, width: c.convolutionWidth, hiddenSize: d)
        decayDown = try builder.linear("decay_down", from: d, to: c.gateRank)
        decayUp = try builder.linear("decay_up", from: c.gateRank, to: keys, bias: true)
        gate = c.gate == .none ? nil : try builder.linear("gate", from: d, to: values)
        output = try HeadOutput(
            &builder, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: d)
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let projected = inputs.add(to: &products)
        let (down, g) = (products.add(decayDown), products.add(gate))
        products.run()
        let (xq, k, v) = inputs.convolved(projected, alwaysActivates: false, pass)
        let q = pass.rotate(
            xq, heads: c.headCount, by: .none, scale: 1 / Double(c.keySize).squareRoot())
        let gates = pass.multiply(down, decayUp)
        rn_decay_gates(
            gates.data, Int64(gates.count * gates.width), Float(c.gateDivisor),
            Float(c.minimumLogGate ?? -.infinity))
        var step = MatrixStep(q, k, v)
        step.decays = .rows(gates)
        return output(pass.run(step, at: memory), gate: g, pass)
    }
}

/// The delta rule: DeltaNet (arXiv 2406.06484) and Gated DeltaNet (arXiv 2412.06464).
///
///     Q, K, V = silu(conv(X W))      q, k divided by their lengths, q by √K too
///     β = r σ(X W_β)                 ln α = -e^a softplus(X W_α + b), where it decays
///     S_t = α_t (I - β_t k_tᵀ k_t) S_{t-1} + β_t k_tᵀ v_t     o_t = q_t S_t
///     Y = (HeadNorm(o) ⊙ swish(X W_G)) W_O
struct GatedDeltaNet: RuntimeMixer {
    private let c: GatedDeltaNetConfiguration
    private let inputs: ConvolvedProjections
    private let strength: Matrix
    private let decay: (projection: Matrix, stepBias: UnsafePointer<Float>, log: UnsafePointer<Float>)?
    private let gate: Matrix?
    private let output: HeadOutput
    private let memory: MatrixMemory

    init(_ builder: inout ModelBuilder, _ c: GatedDeltaNetConfiguration, _ place: MixerPlace) throws {
        self.c = c
        let d = place.hiddenSize
        memory = try builder.state.memory(
            "memory",
            MatrixShape(
                headCount: c.headCount, keySize: c.keySize, valueSize: c.valueSize,
                decays: c.decays ? RN_HEAD_DECAY : RN_NO_DECAY))
        inputs = try ConvolvedProjections(&builder, c.convolved, width: c.convolutionWidth, hiddenSize: d)
        strength = try builder.linear("strength", from: d, to: c.headCount)
        decay =
            c.decays
            ? (
                try builder.linear("decay", from: d, to: c.headCount),
                try builder.vector("step_bias", c.headCount), try builder.vector("decay_log", c.headCount)
            ) : nil
        gate = c.gate == .none ? nil : try builder.linear("gate", from: d, to: c.headCount * c.valueSize)
        output = try HeadOutput(
            &builder, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: d)
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let projected = inputs.add(to: &products)
        let (beta, g) = (products.add(strength), products.add(gate))
        let decays = products.add(decay?.projection)
        products.run()
        let (xq, xk, v) = inputs.convolved(projected, alwaysActivates: true, pass)
        let q = unit(xq, scale: 1 / Double(c.keySize).squareRoot(), pass)
        let k = unit(xk, scale: 1, pass)
        let strengths = pass.apply(RN_SIGMOID, beta)
        if c.betaRange != 1 { pass.add(strengths, times: 0, to: strengths, times: c.betaRange) }
        var step = MatrixStep(q, k, v)
        step.strengths = strengths
        if let decay, let decays {
            let (steps, gates) = (pass.rows(c.headCount), pass.rows(c.headCount))
            rn_decay_steps(
                decays.data, Int64(decays.stride), decay.stepBias, decay.log, 0, .infinity, steps.data,
                gates.data, Int64(x.count), Int64(c.headCount))
            step.decays = .rows(gates)
        }
        return output(pass.run(step, at: memory), gate: g, pass)
    }

    /// Returns every head divided by its length, times a scale.
    private func unit(_ x: Rows, scale: Double, _ pass: Pass) -> Rows {
        // x / √(Σ x² + ε) = (x / √(mean x² + ε / K)) / √K
        let size = Double(c.keySize)
        let heads = pass.normalize(x, RN_RMS, heads: c.headCount, epsilon: 1e-6 / size)
        return pass.rotate(heads, heads: c.headCount, by: .none, scale: scale / size.squareRoot())
    }
}

extension Rotary {
    /// No rotation.
    static let none = Rotary(number: 0, angles: [], isInterleaved: false)
}
