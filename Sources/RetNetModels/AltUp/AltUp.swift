import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Alternating updates by definition: the specification for tests of all faster forms.
///
///     predict   x̂ⁱ     = Σⱼ pᵢⱼ x_oldʲ
///     compute   x̃      = L(x_oldᵃ)                    one layer, on the active stream a alone
///     correct   x_newⁱ = x̂ⁱ + gᵢ (x̃ - x̂ᵃ)
///
/// L holds its own residual sums. Source: arXiv 2301.13310, algorithm 1.
public enum AltUp {
    /// Computes the three steps as they are written; p is [K, K], g is [K].
    public static func definition(
        _ streams: [Tensor], prediction: Tensor, correction: Tensor, active: Int,
        layerInput: AltUpConfiguration.LayerInput = .old, _ layer: (Tensor) throws -> Tensor
    ) throws -> [Tensor] {
        let predicted = try streams.indices.map { i in
            try sum(
                streams.indices.map { j in try streams[j] * prediction.selected(0, i).selected(0, j) })
        }
        let computed = try layer(layerInput == .old ? streams[active] : predicted[active])
        let innovation = try computed - predicted[active]
        return try streams.indices.map { try predicted[$0] + innovation * correction.selected(0, $0) }
    }

    /// Computes Sequence-AltUp token by token: x [B, T, D], L on the anchors [B, ⌈T/k⌉, D].
    ///
    ///     ŷᵢ = a₁ xᵢ + a₂ x_c        y = L(anchors)        outᵢ = ŷᵢ + b (y_c - ŷ_c)        c = ⌊i/k⌋ k
    public static func sequenceDefinition(
        _ x: Tensor, stride: Int, coefficients: Tensor, _ layer: (Tensor) throws -> Tensor
    ) throws -> Tensor {
        let (a1, a2, b) = try (
            coefficients.selected(0, 0), coefficients.selected(0, 1), coefficients.selected(0, 2)
        )
        let computed = try layer(x.sliced(1, 0..<x.size(1), by: stride))
        let outputs = try (0..<x.size(1)).map { token in
            let anchor = try x.selected(1, token / stride * stride)
            let predicted = try x.selected(1, token) * a1 + anchor * a2
            let innovation = try computed.selected(1, token / stride) - (anchor * a1 + anchor * a2)
            return try predicted + innovation * b
        }
        return try Tensor.stacked(outputs, axis: 1)
    }

    private static func sum(_ tensors: [Tensor]) throws -> Tensor {
        guard let first = tensors.first else { throw TorchError(kind: .value, message: "no streams to add") }
        return try tensors.dropFirst().reduce(first) { try $0 + $1 }
    }
}

/// A mix of K streams around one layer.
protocol StreamMix {
    /// The stream on which the layer computes.
    var active: Int { get }
    /// Returns the new streams, given a layer that computes on one of width d, and the layer's second result.
    func callAsFunction<Rest>(
        _ streams: [Tensor], _ context: ForwardContext, _ layer: (Tensor) throws -> (Tensor, Rest)
    ) throws -> ([Tensor], Rest)
}

/// AltUp's mix around one layer: prediction and correction in one native pass.
public struct AltUpMix: StreamMix {
    /// The stream on which the layer computes.
    public let active: Int
    /// The prediction coefficients p, [K, K].
    public let prediction: Tensor
    /// The correction coefficients g, [K].
    public let correction: Tensor
    private let layerInput: AltUpConfiguration.LayerInput

    /// Declares `prediction` and `correction`, both without weight decay.
    public init(_ scope: ParameterScope, _ configuration: AltUpConfiguration, layer: Int) throws {
        let k = configuration.streamCount
        let active = configuration.activeStream(layer: layer)
        let identity = (0..<k * k).map { $0 / k == $0 % k ? 1.0 : 0 }
        prediction = try scope.parameter(
            "prediction", [k, k],
            configuration.initialization == .averaging ? .constant(1 / Double(k)) : .values(identity),
            decays: false)
        correction = try scope.parameter(
            "correction", [k],
            configuration.initialization == .active
                ? .values((0..<k).map { $0 == active ? 1 : 0 }) : .constant(1), decays: false)
        self.active = active
        layerInput = configuration.layerInput
    }

    /// Returns the new streams after a layer that maps the active one, [B, T, D] → [B, T, D].
    public func callAsFunction<Rest>(
        _ streams: [Tensor], _ context: ForwardContext = .inference,
        _ layer: (Tensor) throws -> (Tensor, Rest)
    ) throws -> ([Tensor], Rest) {
        let input =
            layerInput == .old
            ? streams[active]
            : try FusedOperators.altUpPrediction(streams, prediction: prediction, active: active)
        let (output, rest) = try layer(input)
        let mixed = try FusedOperators.altUpMix(
            streams, layerOutput: output, prediction: prediction, correction: correction, active: active)
        return (mixed, rest)
    }
}
