import Foundation
import RetNetTorch

/// The score factors of retention that depend on nothing but decay and token count.
enum ScoreNormalizer {
    /// wₙ = Σ_{j≤n} γʲ = (1 - γ^(n+1)) / (1 - γ), and n + 1 for γ = 1. (Paper section 2.4, factor 2.)
    static func decaySum(logGamma: Double, index: Int) -> Double {
        logGamma == 0 ? Double(index + 1) : expm1(Double(index + 1) * logGamma) / expm1(logGamma)
    }

    /// wₙ for every row and head, [B or 1, H, T]; `counts` are the tokens absorbed before the call.
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
