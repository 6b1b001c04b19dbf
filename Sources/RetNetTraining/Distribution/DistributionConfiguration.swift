import RetNetDistributed
import RetNetSettings

/// How several ranks share a run: `distributed` in a run's configuration; of no effect for one process.
public struct DistributionConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The element type in which gradients travel and are summed.
    public enum Reduction: String, Sendable, CaseIterable {
        case float32, bfloat16
    }

    /// What ranks have parts of: rows, sequences or layers; rows by default.
    public var mesh = MeshRequest()
    /// Element type of gradients between ranks.
    public var reduction = Reduction.float32
    /// Gradients that travel together, in megabytes.
    public var bucketMegabytes = 8

    /// True if every rank keeps the optimizer's state of its share of the parameters only (ZeRO-1).
    public var shardsOptimizer = false

    /// Copies of the model, and exact sums in buckets of 8 MB.
    public init() {}

    /// Copies of the model, and exact sums in buckets of 8 MB.
    public static let standard = DistributionConfiguration()

    /// `mesh`, `reduction`, `bucket_megabytes` and `shard_optimizer`.
    public static var declarations: [Setting<Self>] {
        [
            Setting(
                "mesh", values: "'auto', or axes with their numbers of ranks",
                "Ranks along the axes `data` (copies of the model), `sequence` (parts of every sequence) and `tensor` (parts of"
                    + " every layer), as in `data=2,sequence=1,tensor=2`. Axes that are left out have one rank, `data` those that"
                    + " remain.",
                read: { reader, root in
                    guard let text = reader.optionalString("mesh") else { return }
                    do {
                        root.mesh = try MeshRequest(parsing: text)
                    } catch {
                        reader.reportContradiction("mesh", "\(error)")
                    }
                }, write: { .string($0.mesh.description) }),
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
