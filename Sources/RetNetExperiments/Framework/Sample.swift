import Foundation
import RetNetReporting

/// Numbers that differ by their seed alone, with their mean and spread.
public struct Sample: Sendable, Equatable {
    /// The numbers that are finite.
    public let values: [Double]

    /// A sample of the finite ones among some numbers.
    public init(_ values: [Double]) { self.values = values.filter(\.isFinite) }

    /// How many there are.
    public var count: Int { values.count }
    /// The mean; nil for none.
    public var mean: Double? { values.isEmpty ? nil : values.reduce(0, +) / Double(count) }
    /// The standard deviation with n - 1; nil for fewer than two.
    public var standardDeviation: Double? {
        guard let mean, count > 1 else { return nil }
        return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)).squareRoot()
    }
    /// The middle number, the mean of the two in the middle of an even count; nil for none.
    public var median: Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
    }

    /// The smallest and the largest number; nil for none.
    public var range: ClosedRange<Double>? {
        guard let low = values.min(), let high = values.max() else { return nil }
        return low...high
    }

    /// Mean and standard deviation as text, `1.23 ± 0.04`; a dash for none.
    public func text(decimals: Int) -> String {
        guard let mean else { return "–" }
        let text = Format.fixed(mean, decimals: decimals)
        return standardDeviation.map { "\(text) ± \(Format.fixed($0, decimals: decimals))" } ?? text
    }

    /// Whether this mean lies below the other by more than both standard deviations together.
    public func isClearlyBelow(_ other: Sample) -> Bool {
        guard let mean, let otherMean = other.mean else { return false }
        return otherMean - mean > (standardDeviation ?? 0) + (other.standardDeviation ?? 0)
    }
}
