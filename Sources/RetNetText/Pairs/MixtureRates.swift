import Foundation

/// How often tasks of different sizes are drawn in a mixture (Raffel et al., arXiv 1910.10683, section 3.5.2).
public enum MixtureRates {
    /// Shares that add up to 1: min(size, limit)^(1/temperature) over the sum of all.
    ///
    /// A temperature of 1 draws in proportion to size; higher ones bring the shares closer to each other. Without a
    /// limit, sizes count as they are.
    public static func shares(sizes: [Int], limit: Int? = nil, temperature: Double = 1) -> [Double] {
        let weights = sizes.map { pow(Double(min($0, limit ?? $0)), 1 / max(temperature, 1e-6)) }
        let sum = weights.reduce(0, +)
        return sum > 0 ? weights.map { $0 / sum } : weights
    }
}
