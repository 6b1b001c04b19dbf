import RetNetTorch

/// Alternating updates as mathematics: the specification that all faster forms are tested against.
///
///     predict   x̂ⁱ     = Σⱼ pᵢⱼ x_oldʲ
///     compute   x̃      = L(x_oldᵃ)                    one layer, on the active block a only
///     correct   x_newⁱ = x̂ⁱ + gᵢ (x̃ - x̂ᵃ)
///
/// L holds its own residual sums. Source: arXiv 2301.13310, algorithm 1.
public enum AltUp {
    /// The three steps as they are written; p is [K, K], g is [K].
    public static func definition(
        _ blocks: [Tensor], prediction: Tensor, correction: Tensor, active: Int,
        layerInput: AltUpConfiguration.LayerInput = .old, _ layer: (Tensor) throws -> Tensor
    ) throws -> [Tensor] {
        let predicted = try blocks.indices.map { i in
            try sum(
                blocks.indices.map { j in try blocks[j] * prediction.selected(0, i).selected(0, j) })
        }
        let computed = try layer(layerInput == .old ? blocks[active] : predicted[active])
        let innovation = try computed - predicted[active]
        return try blocks.indices.map { try predicted[$0] + innovation * correction.selected(0, $0) }
    }

    /// Sequence-AltUp token by token: x [B, T, D], L on the anchors [B, ⌈T/k⌉, D].
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
        guard let first = tensors.first else { throw TorchError(kind: .value, message: "no blocks to add") }
        return try tensors.dropFirst().reduce(first) { try $0 + $1 }
    }
}
