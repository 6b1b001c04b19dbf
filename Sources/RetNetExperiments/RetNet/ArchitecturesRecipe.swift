import RetNetModels
import RetNetReporting

/// RetNet compared with other architectures on one text, scored in and out of domain (Table 5).
public struct ArchitecturesRecipe: ComparisonRecipe {
    /// `architectures`.
    public static let name = "architectures"
    /// Table 5.
    public static let summary =
        "loss in and out of domain of RetNet, Linear Transformer, RWKV, H3, Hyena and Transformer (Table 5);"
        + " contenders 'all': every architecture"
    /// The architectures of the table, and the Transformer, which is not in it.
    private static let own: [ComparedArchitecture] = [
        .retnet, .linearTransformer, .rwkv, .h3, .hyena, .transformer,
    ]

    let comparison: TextComparison

    /// Plans models of width 128 for `tiny`, 256 for `small`, and the paper's 1,024 with 16 layers for `paper`.
    public init(_ context: ExperimentContext) throws {
        let (size, settings) = Self.plan(context)
        let architectures = try context.architectures(otherwise: Self.own)
        comparison = try TextComparison(
            context: context,
            contenders: architectures.map { Contender($0, size, length: settings.length) },
            settings: settings)
    }

    /// Returns the size of the models and their training at the scale.
    static func plan(_ context: ExperimentContext) -> (ModelSize, TextTraining.Settings) {
        switch context.scale {
        case .tiny:
            (
                .small(width: 128, layerCount: 3),
                TextTraining.Settings(steps: context.steps(300), batch: 8, length: 256, learningRate: 3e-3)
            )
        case .small:
            (
                .small(width: 256, layerCount: 6),
                TextTraining.Settings(steps: context.steps(1800), batch: 16, length: 512, learningRate: 2e-3)
            )
        case .paper:
            (
                ModelSize(width: 1024, layerCount: 16),
                TextTraining.Settings(
                    steps: context.steps(10_000), batch: 8, length: 2048, learningRate: 6e-4,
                    accumulation: 30,
                    warmup: 375, dropout: 0.1, recomputes: true)
            )
        }
    }

    /// Reports the scores, and the gaps to RetNet next to those of the paper.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Comparison of architectures (RetNet, Table 5)")
        report.add(comparison.method())
        report.add(
            .text(
                "The paper trains 200M parameters on 5 billion tokens of an unknown tokenizer: only order and gaps can be"
                    + " compared with its perplexities. Its table does not include a plain Transformer."))
        report.add(.text(comparison.agreement(results, base: "RetNet", published: RetNetPaper.architectures)))
        report.add(
            .chart(
                name: "architectures",
                comparison.chart(results, title: "Architectures, same parameter budget")))
        report.add(.heading("Scores"))
        report.add(.table(comparison.scoreTable(results)))
        if let section = comparison.divergence(results) { report.add(section) }
        report.add(.heading("Gaps"))
        report.add(.text("Measured gaps are in nats per byte, those of the paper in nats per token."))
        report.add(.table(comparison.gapTable(results, base: "RetNet", published: RetNetPaper.architectures)))
        report.add(RetNetPaper.architectures)
        report.add(
            .text(
                "The later version of the paper, with different models, training and text, includes a Transformer:"
            ))
        report.add(RetNetPaper.laterArchitectures)
        return report
    }
}
