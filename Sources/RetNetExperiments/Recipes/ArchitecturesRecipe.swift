import RetNetModels
import RetNetReporting

/// RetNet beside the other architectures on one text, scored in and out of domain (Table 5).
public struct ArchitecturesRecipe: ComparisonRecipe {
    /// `architectures`.
    public static let name = "architectures"
    /// Table 5.
    public static let summary =
        "RetNet, Linear Transformer, RWKV, H3, Hyena and a Transformer in and out of domain (Table 5);"
        + " --contenders all for every architecture"
    /// Those of the table, and the Transformer, which is not in it.
    private static let own: [ComparedArchitecture] = [
        .retnet, .linearTransformer, .rwkv, .h3, .hyena, .transformer,
    ]

    let comparison: TextComparison

    /// Width 128 for `tiny`, 256 for `small`, the paper's 1,024 with 16 layers for `paper`.
    public init(_ context: ExperimentContext) throws {
        let (size, settings) = Self.plan(context)
        let architectures = try Contender.architectures(context.contenders, otherwise: Self.own)
        comparison = try TextComparison(
            context: context,
            contenders: architectures.map { Contender($0, size, length: settings.length) },
            run: TextRun(context: context, settings: settings))
    }

    static func plan(_ context: ExperimentContext) -> (ModelSize, TextRun.Settings) {
        switch context.scale {
        case .tiny:
            (
                .small(width: 128, layerCount: 3),
                TextRun.Settings(steps: context.steps(300), batch: 8, length: 256, learningRate: 3e-3)
            )
        case .small:
            (
                .small(width: 256, layerCount: 6),
                TextRun.Settings(steps: context.steps(1800), batch: 16, length: 512, learningRate: 2e-3)
            )
        case .paper:
            (
                ModelSize(width: 1024, layerCount: 16),
                TextRun.Settings(
                    steps: context.steps(10_000), batch: 8, length: 2048, learningRate: 6e-4,
                    accumulation: 30,
                    warmup: 375, dropout: 0.1, recomputes: true)
            )
        }
    }

    /// Scores, gaps beside the paper's, a plot.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Architectures beside each other (RetNet, Table 5)")
        report.add(comparison.method())
        report.add(
            .text(
                "The paper trains 200M parameters on 5 billion tokens of an unknown tokenizer; its perplexities cannot"
                    + " be compared with these, only orderings and gaps. It has no plain Transformer in this table."
            ))
        report.add(.text(comparison.agreement(results, base: "RetNet", published: RetNetPaper.architectures)))
        report.add(
            .chart(name: "architectures", comparison.chart(results, title: "Architectures, same budget")))
        report.add(.heading("Scores"))
        report.add(.table(comparison.scoreTable(results)))
        if let section = comparison.divergence(results) { report.add(section) }
        report.add(.heading("Gaps"))
        report.add(.text("Ours are in nats a byte; the paper's in nats a token."))
        report.add(.table(comparison.gapTable(results, base: "RetNet", published: RetNetPaper.architectures)))
        report.add(RetNetPaper.architectures)
        report.add(
            .text("The paper's later version, of other models, training and text, has a Transformer too:"))
        report.add(RetNetPaper.laterArchitectures)
        return report
    }
}
