import RetNetLayers
import RetNetTorch

/// Gemma 3n's mix around one layer: coefficients depend on the token, and the layer reads the prediction.
///
///     m(x) = tanh(W_r RMSNorm(x) / D)        A = W_p m(x⁰), as [K, K]        x̂ⁱ = xⁱ + Σⱼ Aᵢⱼ xʲ
///     x̃ = L(x̂⁰)        c = W_c m(x̃) + 1        x_newⁱ = x̂ⁱ + cᵢ (x̃ - x̂⁰)
///
/// Coefficients and sums are computed in float32 or wider. Weights of coefficients count as clipped. Source: the
/// public implementations of Gemma 3n; its per-layer embeddings and low-rank residuals are not part of AltUp.
struct GemmaMix: BlockMix {
    let active = 0
    private let routerNorm: Norm
    private let router: Tensor
    private let prediction: Tensor
    private let correction: Tensor
    private let clip: Double?

    /// Declares `router_norm`, `router`, `prediction_coefficients` and `correction_coefficients`.
    init(_ scope: ParameterScope, _ configuration: AltUpConfiguration, hiddenSize: Int) throws {
        let k = configuration.blockCount
        func matrix(_ name: String, _ shape: [Int], _ deviation: Double) throws -> Tensor {
            try scope.scope(name).parameter(
                "weight", shape, .normal(standardDeviation: deviation), decays: false)
        }
        routerNorm = try Norm(
            scope.scope("router_norm"), size: hiddenSize, kind: .rms, epsilon: 1e-6, affine: true)
        // Google's code starts coefficients at noise of 1e-4 and 1e-2; the router's deviation is a choice.
        router = try matrix("router", [k, hiddenSize], 1)
        prediction = try matrix("prediction_coefficients", [k * k, k], 1e-4)
        correction = try matrix("correction_coefficients", [k, k], 1e-2)
        clip = configuration.coefficientClip
    }

    func callAsFunction<Rest>(_ blocks: [Tensor], _ layer: (Tensor) throws -> (Tensor, Rest)) throws
        -> ([Tensor], Rest)
    {
        let k = blocks.count
        let type = blocks[0].elementType
        let wide = type.accumulator
        let leading = Array(blocks[0].shape.dropLast())
        let coefficients = try modalities(blocks[0]).linear(limited(prediction, wide))
            .reshaped(leading + [k, k])
        let stacked = try Tensor.stacked(blocks.map { try $0.to(wide) }, axis: -2)
        let predicted = try stacked + coefficients.matmul(stacked)
        let reading = try predicted.selected(-2, 0).contiguous()
        let (output, rest) = try layer(reading.to(type))
        let innovation = try output.to(wide) - reading
        let factors = try modalities(output).linear(limited(correction, wide)) + 1
        let mixed = try predicted + innovation.unsqueezed(-2) * factors.unsqueezed(-1)
        return (try (0..<k).map { try mixed.selected(-2, $0).to(type).contiguous() }, rest)
    }

    /// m(x), [..., K].
    private func modalities(_ x: Tensor) throws -> Tensor {
        let wide = x.elementType.accumulator
        let scores = try routerNorm(x).to(wide).linear(try router.to(wide))
        return try (scores * (1 / Double(x.size(-1)))).tanh()
    }

    private func limited(_ weight: Tensor, _ type: ElementType) throws -> Tensor {
        let weight = try weight.to(type)
        return try clip.map { try weight.clamped(-$0, $0) } ?? weight
    }
}
