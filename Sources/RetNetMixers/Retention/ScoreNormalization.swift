import RetNetArchitecture
import RetNetTorch

extension ScoreNormalization {
    /// Returns eps · (wₙ cₙ²): the head norm's epsilon for raw numerators that equals dividing scores by √wₙ cₙ.
    ///
    /// RMSNorm(o / s; eps) = o / √(mean(o²) + eps s²). Applying the factor to eps instead of the scores is what
    /// makes all forms agree at any eps: states and numerators stay raw. `decaySums` are wₙ [B or 1, H, T];
    /// `sums` returns Σ R of `decayAbsSum` or Σ |R| of `decaySumAbs` without the root of w, [B, H, T].
    func foldedEpsilons(_ epsilon: Double, decaySums w: Tensor, sums: () throws -> Tensor) throws -> Tensor {
        switch self {
        case .none, .decay: return try w * epsilon
        case .decayAbsSum:
            // c = max(|Σ R|, 1) with R = scores / √w
            let factor = try (sums().abs() / w.sqrt()).maximum(1)
            return try w * factor.power(2) * epsilon
        case .decaySumAbs:
            // torchscale clamps at 5e4 as well; the paper does not.
            let factor = try (sums() / w.sqrt()).clamped(1, 5e4)
            return try w * factor.power(2) * epsilon
        }
    }

    /// Returns wₙ for every row and head, [B or 1, H, T]; `counts` are the tokens absorbed before the pass.
    static func decaySums(
        logGammas: [Double], counts: [Int], length: Int, type: ElementType, device: Device
    ) throws -> Tensor {
        let rows = Set(counts).count == 1 ? Array(counts.prefix(1)) : counts
        var values: [Double] = []
        values.reserveCapacity(rows.count * logGammas.count * length)
        for count in rows {
            for log in logGammas {
                for t in 0..<length { values.append(decaySum(logGamma: log, index: count + t)) }
            }
        }
        return try Tensor.from(values, [rows.count, logGammas.count, length]).to(type, on: device)
    }
}
