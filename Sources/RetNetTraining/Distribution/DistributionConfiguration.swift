import RetNetSettings

/// How several ranks exchange gradients: `distributed` in a run's configuration; of no effect for one process.
public struct DistributionConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The element type in which gradients travel and are summed.
    public enum Reduction: String, Sendable, CaseIterable {
        case float32, bfloat16
    }

    /// Element type of gradients between ranks.
    public var reduction = Reduction.float32
    /// Gradients that travel together, in megabytes.
    public var bucketMegabytes = 8

    /// True if every rank keeps the optimizer's state of its share of the parameters only (ZeRO-1).
    public var shardsOptimizer = false

    /// Exact sums in buckets of 8 MB.
    public init() {}

    /// Exact sums in buckets of 8 MB.
    public static let standard = DistributionConfiguration()

    /// `reduction`, `bucket_megabytes` and `shard_optimizer`.
    public static var declarations: [Setting<Self>] {
        [
            .choice(
                "reduction", \.reduction,
                "Element type in which gradients travel between ranks and are summed. `bfloat16` halves the traffic and"
                    + " rounds."),
            .int(
                "bucket_megabytes", \.bucketMegabytes, in: 1...1024,
                "Size of the pieces in which gradients travel while the backward pass goes on."),
            .bool(
                "shard_optimizer", \.shardsOptimizer,
                "Every rank keeps the optimizer's state of its share of the parameters, updates those and sends them to the"
                    + " others."),
        ]
    }
}
