import Foundation
import RetNetModels
import RetNetPlots
import RetNetReporting

/// RetNet and the Transformer at three sizes on the same tokens (Figure 5).
public struct ScalingRecipe: ComparisonRecipe {
    /// `scaling`.
    public static let name = "scaling"
    /// Figure 5.
    public static let summary = "loss of RetNet and Transformer at three sizes on the same tokens (Figure 5)"

    /// A point of the curve.
    private struct Entry {
        let name: String
        let family: String
        /// Index of the size, smallest first.
        let size: Int
    }

    let comparison: TextComparison
    private let entries: [Entry]
    private let families: [String]

    /// Plans widths from 64 to 192 for `tiny`, 128 to 512 for `small`, and 1.3B to 6.7B parameters for `paper`.
    public init(_ context: ExperimentContext) throws {
        let (sizes, settings) = Self.plan(context)
        let architectures = try context.architectures(otherwise: [.transformer, .retnet])
        var contenders: [Contender] = []
        var entries: [Entry] = []
        for (index, (size, rate)) in sizes.enumerated() {
            for architecture in architectures {
                let model = Contender(architecture, size, length: settings.length)
                let count = try ModelAccounting(model.configuration).blockMatrixParameterCount
                let name = "\(architecture.title) \(Format.count(count))"
                contenders.append(
                    Contender(
                        name: name, configuration: model.configuration, key: architecture.rawValue,
                        learningRate: rate))
                entries.append(Entry(name: name, family: architecture.title, size: index))
            }
        }
        self.entries = entries
        families = architectures.map(\.title)
        comparison = try TextComparison(context: context, contenders: contenders, settings: settings)
    }

    /// Returns the sizes with their learning rates and the training at the scale.
    private static func plan(_ context: ExperimentContext)
        -> (sizes: [(size: ModelSize, rate: Double)], settings: TextTraining.Settings)
    {
        switch context.scale {
        case .tiny:
            (
                [
                    (.small(width: 64, layerCount: 2), 4e-3), (.small(width: 128, layerCount: 3), 3e-3),
                    (.small(width: 192, layerCount: 4), 2e-3),
                ], TextTraining.Settings(steps: context.steps(280), batch: 8, length: 256, learningRate: 3e-3)
            )
        case .small:
            (
                [
                    (.small(width: 128, layerCount: 4), 3e-3), (.small(width: 256, layerCount: 6), 2e-3),
                    (.small(width: 512, layerCount: 6), 1e-3),
                ],
                TextTraining.Settings(steps: context.steps(1800), batch: 16, length: 512, learningRate: 2e-3)
            )
        case .paper:
            (
                [
                    (ModelSize(width: 2048, layerCount: 24), 6e-4),
                    (ModelSize(width: 2560, layerCount: 32), 3e-4),
                    (ModelSize(width: 4096, layerCount: 32), 3e-4),
                ],
                TextTraining.Settings(
                    steps: context.steps(25_000), batch: 8, length: 2048, learningRate: 3e-4,
                    accumulation: 244, warmup: 375, dropout: 0.1, recomputes: true)
            )
        }
    }

    // MARK: Report

    /// Reports loss by size, and the gaps between RetNet and the Transformer.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        let context = comparison.context
        var report = ExperimentReport(title: "Scaling of RetNet and the Transformer (Figure 5)")
        report.add(
            .text(
                """
                **Methods.** \(entries.count) models, \(context.seeds.count) seeds each, all on the same text in the \
                same order: \(comparison.training.settings.text), except that the learning rate decreases with the \
                size. \(comparison.rates)\(context.texts.origin) Forward and backward passes in \
                \(context.computeType.rawValue). Figures are means ± standard deviations over seeds.
                """))
        report.add(.text(verdict(results)))
        report.add(.chart(name: "scaling", chart(results)))
        report.add(.table(table(results)))
        if let section = comparison.divergence(results) { report.add(section) }
        if let gaps = gapTable(results) {
            report.add(.heading("Gaps at the same size"))
            report.add(.table(gaps))
        }
        report.add(
            .text(
                "The paper states that the Transformer is slightly better at 1.3B, and RetNet from about 2B upwards."
                    + " Models as small as these can neither confirm nor refute this."))
        report.add(RetNetPaper.curves)
        return report
    }

    private func samples(_ family: String, _ results: [UnitResult]) -> [Sample] {
        entries.filter { $0.family == family }.map { results.sample($0.name, "validation") }
    }

    private func verdict(_ results: [UnitResult]) -> String {
        let parts = families.map { family in
            let steps = samples(family, results)
            let means = steps.compactMap(\.mean)
            let falls = means.count == steps.count && zip(means, means.dropFirst()).allSatisfy { $0 > $1 }
            return "\(family) \(falls ? "improves with every size" : "does not improve with every size")"
        }
        return "**Scaling** (the paper: both improve with every size): \(parts.joined(separator: "; "))."
    }

    private func table(_ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: [
                "model", "parameters", "in blocks", "in-domain (nats/byte)", "bits/byte",
                "perplexity per byte", "state",
            ], alignments: [.left, .right, .right, .right, .right, .right, .right])
        for entry in entries {
            let loss = results.sample(entry.name, "validation")
            func size(_ key: String) -> String {
                results.sample(entry.name, key).mean.map { Format.count($0) } ?? "–"
            }
            table.append([
                entry.name, size("parameters"), size("block_parameters"), loss.text(decimals: 3),
                loss.mean.map { Format.fixed($0 / log(2), decimals: 3) } ?? "–",
                loss.mean.map { Format.fixed(exp($0), decimals: 2) } ?? "–", size("state_numbers"),
            ])
        }
        return table
    }

    /// Returns RetNet's loss minus the Transformer's at every size.
    private func gapTable(_ results: [UnitResult]) -> MarkdownTable? {
        guard families.contains("RetNet"), families.contains("Transformer") else { return nil }
        var table = MarkdownTable(
            header: ["RetNet", "minus the Transformer (nats/byte)", "decided by these seeds"],
            alignments: [.left, .right, .left])
        for entry in entries where entry.family == "RetNet" {
            guard let other = entries.first(where: { $0.family == "Transformer" && $0.size == entry.size })
            else {
                continue
            }
            let (ours, theirs) = (
                results.sample(entry.name, "validation"), results.sample(other.name, "validation")
            )
            let isDecided = ours.isClearlyBelow(theirs) || theirs.isClearlyBelow(ours)
            table.append([
                entry.name, TextComparison.gap(ours, theirs).map(TextComparison.signed) ?? "–",
                isDecided ? "yes" : "no",
            ])
        }
        return table
    }

    private func chart(_ results: [UnitResult]) -> LineChart {
        let series = families.map { family -> LineChart.Series in
            let points = entries.filter { $0.family == family }.compactMap { entry -> (Double, Sample)? in
                guard let size = results.sample(entry.name, "block_parameters").mean else { return nil }
                return (size, results.sample(entry.name, "validation"))
            }
            return .means(name: family, points)
        }
        return LineChart(
            title: "Held-out loss against size", subtitle: "mean and standard deviation of seeds",
            xAxis: ChartAxis("parameters in blocks", scale: .logarithmic), yAxis: ChartAxis("nats per byte"),
            series: series)
    }
}
