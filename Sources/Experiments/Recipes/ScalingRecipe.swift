import Foundation
import Models
import Reporting

/// RetNet and the Transformer at three sizes on the same tokens (Figure 5).
public struct ScalingRecipe: Recipe {
    /// `scaling`.
    public static let name = "scaling"
    /// Figure 5.
    public static let summary = "RetNet and Transformer at three sizes on the same tokens (Figure 5)"

    private struct Entry {
        let contender: Contender
        let family: String
        let learningRate: Double
    }

    private let context: ExperimentContext
    private let run: TextRun
    private let entries: [Entry]

    /// Widths from 64 to 192 for `tiny`, to 512 for `small`, 1.3B to 6.7B for `paper`.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        let sizes: [(size: ModelSize, rate: Double)]
        let settings: TextRun.Settings
        switch context.scale {
        case .tiny:
            sizes = [
                (.small(width: 64, layerCount: 2), 4e-3), (.small(width: 128, layerCount: 3), 3e-3),
                (.small(width: 192, layerCount: 4), 2e-3),
            ]
            settings = .init(steps: context.steps(160), batch: 16, length: 256, learningRate: 3e-3)
        case .small:
            sizes = [
                (.small(width: 128, layerCount: 4), 3e-3), (.small(width: 256, layerCount: 6), 2e-3),
                (.small(width: 512, layerCount: 6), 1e-3),
            ]
            settings = .init(steps: context.steps(1800), batch: 16, length: 512, learningRate: 2e-3)
        case .paper:
            sizes = [
                (ModelSize(width: 2048, layerCount: 24), 6e-4), (ModelSize(width: 2560, layerCount: 32), 3e-4),
                (ModelSize(width: 4096, layerCount: 32), 3e-4),
            ]
            settings = .init(
                steps: context.steps(25_000), batch: 8, length: 2048, learningRate: 3e-4, accumulation: 244,
                dropout: 0.1)
        }
        run = TextRun(context: context, settings: settings)
        let architectures = try Contender.architectures(
            context.contenders, otherwise: [.transformer, .retnet])
        entries = try sizes.flatMap { size, rate in
            try architectures.map { architecture in
                let model = Contender(architecture, size, length: settings.length)
                let count = try ModelAccounting(model.configuration).blockMatrixParameterCount
                return Entry(
                    contender: Contender(
                        name: "\(architecture.title) \(Format.count(count))", configuration: model.configuration),
                    family: architecture.title, learningRate: rate)
            }
        }
    }

    /// Models and training at the scale.
    public var settings: [String: String] { ["training": run.settings.text] }

    /// One unit a model and seed.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.flatMap { seed in
            entries.map { entry in
                let width = entry.contender.configuration.hiddenSize
                let depth = entry.contender.configuration.layerCount
                return ExperimentUnit(
                    id: "\(entry.contender.slug)-seed\(seed)", contender: entry.contender.name, seed: seed,
                    weight: Double(width * width * depth) / 5000
                ) { progress in
                    try run.values(
                        entry.contender.configuration, seed: seed, learningRate: entry.learningRate, progress)
                }
            }
        }
    }

    /// The work of all units, for all scales but the smallest.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        return try TextComparison(context: context, contenders: entries.map(\.contender), run: run).estimate()
    }

    /// The curve, with its numbers.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Scaling of RetNet and the Transformer (Figure 5)")
        let rates = entries.map { "\($0.contender.name): \($0.learningRate)" }
        report.add(
            .text(
                """
                **What was done.** \(entries.count) models, \(context.seeds.count) seeds each, all on the same text in \
                the same order: \(run.settings.text), but for the learning rate, which falls with the width \
                (\(rates.joined(separator: ", "))). \(context.texts.origin) Passes in \(context.computeType).
                """))
        report.add(.text(verdict(results)))
        report.add(.chart(name: "scaling", chart(results)))
        var table = MarkdownTable(
            header: ["model", "parameters in blocks", "in-domain (nats/byte)", "perplexity per byte", "state"],
            alignments: [.left, .right, .right, .right, .right])
        for entry in entries {
            let name = entry.contender.name
            let loss = results.sample(name, "validation")
            table.append([
                name, Format.count(results.sample(name, "block_parameters").mean ?? 0), loss.text(decimals: 3),
                loss.mean.map { Format.fixed(exp($0), decimals: 2) } ?? "–",
                Format.count(results.sample(name, "state_numbers").mean ?? 0),
            ])
        }
        report.add(.table(table))
        report.add(
            .text(
                "The paper's curve is a figure without printed values, and its readers disagree about them, so none are"
                    + " shown. Its text states that the Transformer is slightly better at 1.3B and RetNet from about 2B"
                    + " upwards; sizes as small as these cannot confirm or refute that."))
        return report
    }

    private func verdict(_ results: [UnitResult]) -> String {
        let families = entries.map(\.family).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let parts = families.map { family in
            let means = entries.filter { $0.family == family }
                .compactMap { results.sample($0.contender.name, "validation").mean }
            let falls = zip(means, means.dropFirst()).allSatisfy { $0 > $1 }
            return "\(family) \(falls ? "improves with every size" : "does not improve with every size")"
        }
        return "**Scaling:** \(parts.joined(separator: "; "))."
    }

    private func chart(_ results: [UnitResult]) -> LineChart {
        let families = entries.map(\.family).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let series = families.map { family -> LineChart.Series in
            let points = entries.filter { $0.family == family }.compactMap { entry -> (Double, Sample)? in
                let name = entry.contender.name
                guard let size = results.sample(name, "block_parameters").mean else { return nil }
                return (size, results.sample(name, "validation"))
            }
            return LineChart.Series(
                name: family, points: points.compactMap { x, y in y.mean.map { ChartPoint(x, $0) } },
                band: points.compactMap { x, y in
                    guard let mean = y.mean, let spread = y.standardDeviation else { return nil }
                    return LineChart.BandPoint(x: x, low: mean - spread, high: mean + spread)
                }, showsMarkers: true)
        }
        return LineChart(
            title: "Held-out loss against size", subtitle: "mean and standard deviation of seeds",
            xAxis: ChartAxis("parameters in blocks", scale: .logarithmic), yAxis: ChartAxis("nats a byte"),
            series: series)
    }
}
