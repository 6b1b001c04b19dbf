import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Mamba-2 (arXiv 2405.21060): a state space with one data-dependent decay per head, as a matrix recurrence.
///
///     [z, x, B, C, Δ] = X W_in        x, B, C = silu(conv(x, B, C))        Δ = softplus(Δ + b), within limits
///     S_t = e^(-Δ e^(a)) S_{t-1} + B_tᵀ (Δ_t x_t)     y_t = C_t S_t + D x_t
///     Y = RMSNorm(y ⊙ silu(z)) W_out
///
/// B and C are shared by the heads of a group. The norm runs over all heads, or over the heads of each group.
public struct Mamba2: TokenMixer {
    /// Sizes.
    public let configuration: Mamba2Configuration
    private let input: Linear
    private let convolution: ShortConvolution?
    private let stepBias: Tensor
    private let decayLog: Tensor
    private let skip: Tensor
    private let normWeight: Tensor
    private let output: Linear
    private let layout: MatrixStateLayout

    /// `mamba2`.
    public var name: String { "mamba2" }

    /// Declares `input`, `convolution`, `step_bias`, `decay_log`, `skip`, `norm` and `output`.
    public init(_ scope: ParameterScope, _ configuration: Mamba2Configuration, _ context: LayerContext) throws
    {
        self.configuration = configuration
        let c = configuration
        input = try Linear(
            scope.scope("input"), from: context.hiddenSize, to: c.innerSize + c.convolvedSize + c.headCount,
            bias: c.biases, initializer: context.initialization.matrix(.fanInUniform(scale: 1)))
        convolution =
            c.convolutionWidth > 1
            ? try ShortConvolution(
                scope.scope("convolution"), channels: c.convolvedSize, width: c.convolutionWidth,
                bias: c.convolutionBiases)
            : nil
        // Steps from 0.001 to 0.1 and rates from 1 to 16: windows from less than one to a thousand positions.
        stepBias = try scope.parameter(
            "step_bias", [c.headCount], .inverseSoftplusOfLogUniform(from: 1e-3, to: 0.1), decays: false)
        decayLog = try scope.parameter(
            "decay_log", [c.headCount], .logarithmOfUniform(from: 1, to: 16), decays: false)
        skip = try scope.parameter("skip", [c.headCount], .constant(1), decays: false)
        normWeight = try scope.scope("norm").parameter("weight", [c.innerSize], .constant(1))
        output = try Linear(
            scope.scope("output"), from: c.innerSize, to: context.hiddenSize, bias: c.biases,
            initializer: context.initialization.deepMatrix(.fanInUniform(scale: 1)))
        layout = c.layout
    }

    /// True: the state decays by known gates.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let c = configuration
        let (batch, time, wide) = (x.size(0), x.size(1), x.elementType.accumulator)
        let previous = try layout.checked(state, batch: batch)
        let projected = try input(x)
        let (convolved, ring) = try convolve(
            projected.sliced(2, c.innerSize..<c.innerSize + c.convolvedSize), previous, pass)
        let values = try convolved.sliced(2, 0..<c.innerSize)
            .reshaped([batch, time, c.headCount, c.headSize])
        let writes = c.groupCount * c.stateSize
        let steps = try limited(
            (projected.sliced(2, c.innerSize + c.convolvedSize..<projected.size(2)).to(wide)
                + stepBias.to(wide)).softplus())
        let weighted = try (values.to(wide) * steps.unsqueezed(-1)).to(x.elementType)
        let result = try MatrixRecurrence(
            query: convolved.sliced(2, c.innerSize + writes..<c.convolvedSize).heads(c.groupCount),
            key: convolved.sliced(2, c.innerSize..<c.innerSize + writes).heads(c.groupCount),
            value: weighted.reshaped([batch, time, c.innerSize]).heads(c.headCount),
            logGates: (steps * decayLog.to(wide).exp().negated()).transposed(1, 2),
            state: previous?.matrix
        ).fused(pass.form, in: pass.context.sequence, overwritesState: pass.context.overwritesStates)
        let direct = try values * skip.to(x.elementType).unsqueezed(-1)
        let y = try (result.output.transposed(1, 2) + direct).reshaped([batch, time, c.innerSize])
        let gated = try FusedOperators.gatedActivation(
            projected.sliced(2, 0..<c.innerSize), y, activation: .swish)
        return (
            try output(normalized(gated)),
            MatrixState(matrix: result.state, rings: ring.map { [("ring", $0)] } ?? [])
        )
    }

    private func limited(_ steps: Tensor) throws -> Tensor {
        let c = configuration
        if let highest = c.maximumStep { return try steps.clamped(c.minimumStep, highest) }
        return c.minimumStep > 0 ? try steps.maximum(c.minimumStep) : steps
    }

    private func convolve(_ x: Tensor, _ previous: MatrixState?, _ pass: ForwardPass) throws -> (
        Tensor, Tensor?
    ) {
        guard let convolution else {
            return (try FusedOperators.gatedActivation(x, nil, activation: .swish), nil)
        }
        let (y, ring) = try convolution(
            x, ring: previous?.rings.first?.tensor, in: pass.context.sequence, activation: .swish,
            isTraining: pass.context.isTraining)
        return (y, ring)
    }

    private func normalized(_ y: Tensor) throws -> Tensor {
        let c = configuration
        if c.groupCount == 1 {
            return try FusedOperators.rmsNorm(y, weight: normWeight, epsilon: c.epsilon)
        }
        let groups = try y.reshaped([y.size(0), y.size(1), c.groupCount, c.innerSize / c.groupCount])
        let rows = try FusedOperators.rmsNorm(groups, weight: nil, epsilon: c.epsilon)
        return try rows.reshaped(y.shape) * normWeight.to(y.elementType)
    }

    // MARK: State

    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try layout.initial(batch: batch, elementType: elementType, device: device)
    }

    /// Returns a state of the tensors `memory` and `ring`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        try layout.state(from: tensors)
    }
}

extension Mamba2Configuration: MixerBuilding {
    /// Returns a Mamba-2 layer of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try Mamba2(scope, self, context)
    }
}
