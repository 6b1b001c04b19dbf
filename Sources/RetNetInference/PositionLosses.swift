import Foundation

/// Losses by the number of tokens that a prediction could see, in buckets that double.
///
/// A model that uses its context has a loss that falls with it; where it stays or rises, the context is not used or too long.
public struct PositionLosses: Sendable, Equatable, Codable {
    /// The predictions with about the same number of tokens before them.
    public struct Bucket: Sendable, Equatable {
        /// Tokens before the predicted one, itself not included.
        public var contextLengths: ClosedRange<Int>
        /// Number of predictions.
        public var tokenCount: Int
        /// Sum of their negative log-likelihoods, in nats.
        public var totalNats: Double

        /// Mean loss in nats per token.
        public var natsPerToken: Double { tokenCount > 0 ? totalNats / Double(tokenCount) : .nan }
        /// Exponential of the mean loss.
        public var perplexity: Double { exp(natsPerToken) }
    }

    private struct Sum: Codable {
        var count = 0
        var nats = 0.0
    }

    private var sums: [Sum] = []

    /// Creates empty losses.
    public init() {}

    /// The buckets with predictions, shortest context first: 1, 2, 3 to 4, 5 to 8 tokens, and so on.
    public var buckets: [Bucket] {
        sums.enumerated().compactMap { index, sum in
            guard sum.count > 0 else { return nil }
            let lower = index == 0 ? 1 : (1 << (index - 1)) + 1
            return Bucket(contextLengths: lower...(1 << index), tokenCount: sum.count, totalNats: sum.nats)
        }
    }

    /// Adds the loss of a prediction after `contextLength` tokens, at least one.
    package mutating func add(_ nats: Double, contextLength: Int) {
        let index = Int.bitWidth - max(0, contextLength - 1).leadingZeroBitCount
        while sums.count <= index { sums.append(Sum()) }
        sums[index].count += 1
        sums[index].nats += nats
    }

    /// Adds the losses of other predictions.
    mutating func add(_ other: PositionLosses) {
        for (index, sum) in other.sums.enumerated() {
            while sums.count <= index { sums.append(Sum()) }
            sums[index].count += sum.count
            sums[index].nats += sum.nats
        }
    }

    /// Returns true if both have the same sums.
    public static func == (left: Self, right: Self) -> Bool { left.buckets == right.buckets }
}
