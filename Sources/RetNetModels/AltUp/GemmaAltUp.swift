import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Gemma 3n's mix around one layer: coefficients depend on the token, and the layer reads the prediction.
///
///     m(x) = tanh(W_r RMSNorm(x) / D)        A = W_p m(x⁰), as [K, K]        x̂ⁱ = xⁱ + Σⱼ Aᵢⱼ xʲ
///     x̃ = L(x̂⁰)        c = W_c m(x̃) + 1        x_newⁱ = x̂ⁱ + cᵢ (x̃ - x̂⁰)
///
/// Coefficients and sums are computed in float32 or wider; in training the weights of coefficients are clipped. Source:
/// the public implementations of Gemma 3n; its per-layer embeddings and low-rank residuals are not part of AltUp.
struct GemmaMix: StreamMix {
    let active = 0
    private let routerNorm: Norm
    private let router: Tensor
    private let prediction: Tensor
    private let correction: Tensor
    private let clip: Double?

    /// Declares `router_norm`, `router`, `prediction_coefficients` and `correction_coefficients`.
    init(_ scope: ParameterScope, _ configuration: AltUpConfiguration, hiddenSize: Int) throws {
        let k = configuration.streamCount
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

    func callAsFunction<Rest>(
        _ streams: [Tensor], _ context: ForwardContext, _ layer: (Tensor) throws -> (Tensor, Rest)
    ) throws -> ([Tensor], Rest) {
        let k = streams.count
        let type = streams[0].elementType
        let wide = type.accumulator
        let leading = Array(streams[0].shape.dropLast())
        let coefficients = try modalities(streams[0]).linear(limited(prediction, wide, context))
            .reshaped(leading + [k, k])
        let stacked = try Tensor.stacked(streams.map { try $0.to(wide) }, axis: -2)
        let predicted = try stacked + coefficients.matmul(stacked)
        let reading = try predicted.selected(-2, 0).contiguous()
        let (output, rest) = try layer(reading.to(type))
        let innovation = try output.to(wide) - reading
        let factors = try modalities(output).linear(limited(correction, wide, context)) + 1
        let mixed = try predicted + innovation.unsqueezed(-2) * factors.unsqueezed(-1)
        return (try (0..<k).map { try mixed.selected(-2, $0).to(type).contiguous() }, rest)
    }

    /// m(x), [..., K].
    private func modalities(_ x: Tensor) throws -> Tensor {
        let wide = x.elementType.accumulator
        let scores = try routerNorm(x).to(wide).linear(try router.to(wide))
        return try (scores * (1 / Double(x.size(-1)))).tanh()
    }

    /// Returns the weights of coefficients, clipped in training as in the public code; inference takes what was trained.
    private func limited(_ weight: Tensor, _ type: ElementType, _ context: ForwardContext) throws -> Tensor {
        let weight = try weight.to(type)
        guard context.isTraining, let clip else { return weight }
        return try weight.clamped(-clip, clip)
    }
}

/// Gemma 3n's expansion and collapse: every further stream is a projection, scaled to the magnitude of the first.
struct GemmaEnds {
    private let expand: [Linear]
    private let collapse: [Linear]

    /// Declares `expand.i` and `collapse.i` for i from 1.
    init(_ scope: ParameterScope, _ configuration: AltUpConfiguration, hiddenSize: Int) throws {
        func projections(_ name: String) throws -> [Linear] {
            try (1..<max(1, configuration.streamCount)).map {
                try Linear(
                    scope.scope("\(name).\($0)"), from: hiddenSize, to: hiddenSize, bias: false,
                    initializer: .fanInUniform(scale: 1))
            }
        }
        expand = try projections("expand")
        collapse = try projections("collapse")
    }

    func streams(of x: Tensor) throws -> [Tensor] {
        let target = try Self.meanSquare(x)
        return [x] + (try expand.map { try Self.matched($0(x), to: target) })
    }

    func one(of streams: [Tensor]) throws -> Tensor {
        let target = try Self.meanSquare(streams[0])
        let parts =
            try [streams[0]] + zip(streams.dropFirst(), collapse).map { try Self.matched($1($0), to: target) }
        let weights = [Double](repeating: 1 / Double(parts.count), count: parts.count)
        return try FusedOperators.combine(parts, weights: [weights])[0]
    }

    private static func meanSquare(_ x: Tensor) throws -> Tensor {
        let wide = try x.to(x.elementType.accumulator)
        return try (wide * wide).mean([-1], keepingAxes: true)
    }

    /// Returns x scaled to the root mean square of another tensor; the floor under the root is the public code's.
    private static func matched(_ x: Tensor, to target: Tensor) throws -> Tensor {
        let factor = try target.sqrt() * meanSquare(x).maximum(1e-5).rsqrt()
        return try (x.to(factor.elementType) * factor).to(x.elementType)
    }
}
