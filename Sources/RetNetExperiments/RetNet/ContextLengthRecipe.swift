import Foundation
import RetNetLayers
import RetNetModels
import RetNetPlots
import RetNetReporting
import RetNetText
import RetNetTorch

/// The benefit of context: the loss of the last tokens of a window by the length of text before them (Table 8).
public struct ContextLengthRecipe: ComparisonRecipe {
    /// `context-length`.
    public static let name = "context-length"
    /// Table 8.
    public static let summary =
        "loss of the last tokens by length of the context, RetNet and Transformer (Table 8)"

    let comparison: TextComparison
    private let lengths: [Int]
    private let scored: Int

    /// Plans windows of 512 bytes, or tokens, for `tiny`, 1,024 for `small` and 2,048 for `paper`.
    public init(_ context: ExperimentContext) throws {
        let settings: TextTraining.Settings
        let size: ModelSize
        switch context.scale {
        case .tiny:
            settings = .init(steps: context.steps(360), batch: 8, length: 512, learningRate: 3e-3)
            size = .small(width: 128, layerCount: 3)
            (lengths, scored) = ([64, 128, 256, 512], 32)
        case .small:
            settings = .init(steps: context.steps(2400), batch: 8, length: 1024, learningRate: 2e-3)
            size = .small(width: 256, layerCount: 6)
            (lengths, scored) = ([128, 256, 512, 1024], 64)
        case .paper:
            settings = .init(
                steps: context.steps(10_000), batch: 8, length: 2048, learningRate: 6e-4, accumulation: 30,
                warmup: 375, dropout: 0.1, recomputes: true)
            size = ModelSize(width: 1024, layerCount: 16)
            (lengths, scored) = ([512, 1024, 2048], 128)
        }
        let architectures = try context.architectures(otherwise: [.transformer, .retnet])
        comparison = try TextComparison(
            context: context,
            contenders: architectures.map { Contender($0, size, length: settings.length) },
            settings: settings
        ) { [lengths, scored] model, training, progress in
            var values: [String: Double] = [:]
            for length in lengths {
                try progress.report(
                    "scoring with \(length) \(training.context.texts.unit) of context", fraction: 0.95)
                values["context \(length)"] = try Self.lastTokenLoss(
                    model, on: training.context.texts.validation, scored: scored, context: length,
                    window: lengths[lengths.count - 1])
            }
            return values
        }
    }

    private var contenders: [Contender] { comparison.contenders }
    private var unit: String { comparison.context.texts.unit }

    /// The models, their training, and the lengths of context at the scale.
    public var settings: [String: String] {
        var settings = comparison.settings
        settings["contexts"] = lengths.map(String.init).joined(separator: " ") + ", last \(scored)"
        return settings
    }

    /// Returns nats per token over the last `scored` tokens of all complete windows of a text.
    ///
    /// Of each window, only the last `length` tokens are read.
    private static func lastTokenLoss(
        _ model: LanguageModel, on stream: TokenStream, scored: Int, context length: Int, window: Int
    ) throws -> Double {
        let windowCount = (stream.tokenCount - 1) / window
        guard windowCount > 0 else {
            throw ExperimentError.unusable("the held-out text has fewer than \(window) tokens: add text")
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

    // MARK: Report

    /// Reports the loss by length of the context, next to the perplexities of the paper.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Loss by length of the context (Table 8)")
        report.add(comparison.method())
        report.add(
            .text(
                "Held-out text is divided into windows of \(lengths[lengths.count - 1]) \(unit). The last \(scored) \(unit) of"
                    + " each are scored; the lengths of context include these \(scored) \(unit)."))
        report.add(.text(verdict(results)))
        report.add(.chart(name: "context", chart(results)))
        var table = MarkdownTable(
            header: ["nats/\(unit.dropLast()) with a context of"] + lengths.map { "\($0) \(unit)" },
            alignments: [.left] + lengths.map { _ in .right })
        for contender in contenders {
            table.append(
                [contender.name] + lengths.map { sample(results, contender.name, $0).text(decimals: 3) })
        }
        report.add(.table(table))
        if let section = comparison.divergence(results) { report.add(section) }
        report.add(RetNetPaper.contextLength)
        return report
    }

    private func sample(_ results: [UnitResult], _ contender: String, _ length: Int) -> Sample {
        results.sample(contender, "context \(length)")
    }

    private func verdict(_ results: [UnitResult]) -> String {
        let gains = contenders.map { contender -> String in
            let means = lengths.compactMap { sample(results, contender.name, $0).mean }
            let falls = means.count == lengths.count && zip(means, means.dropFirst()).allSatisfy { $0 > $1 }
            return
                "\(contender.name) \(falls ? "improves with every length" : "does not improve with every length")"
        }
        var text =
            "**More context** (paper: both improve with every length): \(gains.joined(separator: "; "))."
        let names = contenders.map(\.name)
        guard names.contains("RetNet"), names.contains("Transformer") else { return text }
        func count(_ isBelow: (Sample, Sample) -> Bool) -> Int {
            lengths.count { isBelow(sample(results, "RetNet", $0), sample(results, "Transformer", $0)) }
        }
        text +=
            " **RetNet's loss is below the Transformer's** (paper: at every length) at"
            + " \(count { $0.isClearlyBelow($1) }) of \(lengths.count) lengths, above it at"
            + " \(count { $1.isClearlyBelow($0) }), not decided by these seeds at the others."
        return text
    }

    private func chart(_ results: [UnitResult]) -> LineChart {
        LineChart(
            title: "Loss of the last \(unit) of a window", subtitle: "mean and standard deviation of seeds",
            xAxis: ChartAxis("\(unit) of context", scale: .binaryLogarithmic),
            yAxis: ChartAxis("nats per \(unit.dropLast())"),
            series: contenders.map { contender in
                .means(
                    name: contender.name,
                    lengths.map { (Double($0), sample(results, contender.name, $0)) })
            })
    }
}
