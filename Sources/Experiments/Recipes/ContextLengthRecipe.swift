import Foundation
import Layers
import Models
import Reporting
import Text
import Torch

/// How much earlier text helps: the loss of the last tokens of a window with more and more of it read (Table 8).
public struct ContextLengthRecipe: Recipe {
    /// `context-length`.
    public static let name = "context-length"
    /// Table 8.
    public static let summary = "loss of the last tokens for growing context, RetNet and Transformer (Table 8)"

    private let context: ExperimentContext
    private let run: TextRun
    private let contenders: [Contender]
    private let lengths: [Int]
    private let scored: Int

    /// Windows of 512 bytes for `tiny`, 1,024 for `small`, 2,048 for `paper`.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        let settings: TextRun.Settings
        let size: ModelSize
        switch context.scale {
        case .tiny:
            settings = .init(steps: context.steps(180), batch: 8, length: 512, learningRate: 3e-3)
            size = .small(width: 128, layerCount: 3)
            (lengths, scored) = ([64, 128, 256, 512], 32)
        case .small:
            settings = .init(steps: context.steps(3600), batch: 8, length: 1024, learningRate: 2e-3)
            size = .small(width: 256, layerCount: 6)
            (lengths, scored) = ([128, 256, 512, 1024], 64)
        case .paper:
            settings = .init(
                steps: context.steps(10_000), batch: 8, length: 2048, learningRate: 6e-4, accumulation: 30,
                dropout: 0.1)
            size = ModelSize(width: 1024, layerCount: 16)
            (lengths, scored) = ([512, 1024, 2048], 128)
        }
        run = TextRun(context: context, settings: settings)
        let architectures = try Contender.architectures(
            context.contenders, otherwise: [.transformer, .retnet])
        contenders = architectures.map { Contender($0, size, length: settings.length) }
    }

    /// Models and training at the scale.
    public var settings: [String: String] { ["training": run.settings.text] }

    /// One unit a contender and seed.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.flatMap { seed in
            contenders.map { contender in
                ExperimentUnit(
                    id: "\(contender.slug)-seed\(seed)", contender: contender.name, seed: seed, weight: 10
                ) { progress in
                    let (model, loss) = try run.train(contender.configuration, seed: seed, progress)
                    var values = ["training": loss]
                    for length in lengths {
                        try progress.report("scoring with \(length) bytes of context")
                        values["context \(length)"] = try lastTokenLoss(model, context: length)
                    }
                    return values
                }
            }
        }
    }

    /// The work of all units, for all scales but the smallest.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        return try TextComparison(context: context, contenders: contenders, run: run).estimate()
    }

    /// Nats a token over the last tokens of all whole windows of the held-out text, each window cut at its front.
    private func lastTokenLoss(_ model: LanguageModel, context length: Int) throws -> Double {
        let stream = context.texts.validation
        let window = lengths[lengths.count - 1]
        let windowCount = (stream.tokenCount - 1) / window
        guard windowCount > 0 else {
            throw ExperimentError.unusable("the held-out text has fewer than \(window) bytes")
        }
        var (total, count) = (0.0, 0)
        let rows = max(1, 8192 / length)
        for first in stride(from: 0, to: windowCount, by: rows) {
            let indices = first..<min(first + rows, windowCount)
            let pieces = try indices.map { index in
                let end = (index + 1) * window
                return try stream.tokens(in: end - length..<end + 1).map(Int64.init)
            }
            let shape = [pieces.count, length]
            let tokens = try Tensor.from(pieces.flatMap { $0.dropLast() }, shape)
            let targets = try Tensor.from(pieces.flatMap { $0.dropFirst() }, shape)
            let losses = try withoutGradients {
                try model.tokenLosses(
                    tokens.to(on: model.device), targets: targets.to(on: model.device),
                    form: model.configuration.trainingForm
                ).losses.sliced(1, length - scored..<length).to(.float64).sum().item()
            }
            total += losses
            count += pieces.count * scored
        }
        return total / Double(count)
    }

    /// The losses by context, beside the paper's.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Loss against context (Table 8)")
        report.add(
            .text(
                """
                **What was done.** \(contenders.count) models of width \(contenders[0].configuration.hiddenSize), \
                \(context.seeds.count) seeds each: \(run.settings.text). Held-out text is cut into windows of \
                \(lengths[lengths.count - 1]) bytes; the last \(scored) bytes of each are scored after so many bytes of \
                it. \(context.texts.origin) Passes in \(context.computeType).
                """))
        let gains = contenders.map { contender -> String in
            let samples = lengths.map { results.sample(contender.name, "context \($0)") }
            let means = samples.compactMap(\.mean)
            let falls = zip(means, means.dropFirst()).allSatisfy { $0 >= $1 }
            return "\(contender.name) \(falls ? "gains from every step" : "does not gain from every step")"
        }
        report.add(
            .text("**More context** (the paper: both gain from every step): \(gains.joined(separator: "; "))."))
        report.add(.chart(name: "context", chart(results)))
        var table = MarkdownTable(
            header: ["nats/byte after"] + lengths.map { "\($0) bytes" },
            alignments: [.left] + lengths.map { _ in .right })
        for contender in contenders {
            table.append(
                [contender.name] + lengths.map { results.sample(contender.name, "context \($0)").text(decimals: 3) })
        }
        report.add(.table(table))
        report.add(
            .text("The paper's Table 8, perplexity of a token after so many tokens, verified in two texts:"))
        var published = MarkdownTable(
            header: ["paper"] + RetNetPaper.contextLengths.map { "\($0) tokens" },
            alignments: [.left] + RetNetPaper.contextLengths.map { _ in .right })
        for row in RetNetPaper.context {
            published.append([row.contender] + row.values.map { Format.fixed($0, decimals: 2) })
        }
        report.add(.table(published))
        return report
    }

    private func chart(_ results: [UnitResult]) -> LineChart {
        LineChart(
            title: "Loss of the last bytes of a window", subtitle: "mean and standard deviation of seeds",
            xAxis: ChartAxis("bytes of context", scale: .binaryLogarithmic), yAxis: ChartAxis("nats a byte"),
            series: contenders.map { contender in
                let samples = lengths.map { ($0, results.sample(contender.name, "context \($0)")) }
                return LineChart.Series(
                    name: contender.name,
                    points: samples.compactMap { x, y in y.mean.map { ChartPoint(Double(x), $0) } },
                    band: samples.compactMap { x, y in
                        guard let mean = y.mean, let spread = y.standardDeviation else { return nil }
                        return .init(x: Double(x), low: mean - spread, high: mean + spread)
                    }, showsMarkers: true)
            })
    }
}
