import Foundation
import Models
import Reporting

/// Speed and memory of training against length: Transformer plain and in tiles, RetNet (Table 4).
public struct TrainingCostRecipe: Recipe {
    /// `training-cost`.
    public static let name = "training-cost"
    /// Table 4.
    public static let summary =
        "training speed and memory against length: Transformer plain and memory-efficient, RetNet (Table 4)"

    private struct Side {
        let name: String
        let preset: String
        let form: String
    }

    private let context: ExperimentContext
    private let sides: [Side]
    private let lengths: [Int]
    private let tokensPerStep: Int
    private let repetitions: Int

    /// 22M parameters for `tiny`, 50M for `small`, the paper's 1.3B and length 8,192 for `paper`.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        let size: String
        switch context.scale {
        case .tiny: (size, lengths, tokensPerStep, repetitions) = ("22m", [256, 512, 1024, 2048, 4096], 4096, 2)
        case .small:
            (size, lengths, tokensPerStep, repetitions) = ("22m", [512, 1024, 2048, 4096, 8192, 16_384], 16_384, 5)
        case .paper: (size, lengths, tokensPerStep, repetitions) = ("1.3b", [8192], 8192, 5)
        }
        sides = [
            Side(name: "Transformer", preset: "transformer-\(size)", form: "parallel"),
            Side(name: "Transformer, memory-efficient", preset: "transformer-\(size)", form: "chunkwise:128"),
            Side(name: "RetNet", preset: "retnet-\(size)", form: "chunkwise:128"),
        ]
    }

    /// Sizes and lengths at the scale.
    public var settings: [String: String] {
        ["lengths": lengths.map(String.init).joined(separator: " "), "tokens a step": "\(tokensPerStep)"]
    }

    /// One unit a side, length and round; every round in the opposite order to the one before.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.enumerated().flatMap { round, seed in
            let order = lengths.flatMap { length in sides.map { ($0, length) } }
            return (round % 2 == 0 ? order : order.reversed()).map { side, length in
                let slug = "\(side.preset)-\(side.form.replacing(":", with: ""))-\(length)-round\(seed)"
                return ExperimentUnit(
                    id: slug, contender: "\(side.name) at \(length)", seed: seed, weight: 10
                ) { progress in
                    try progress.report("measuring")
                    let object = try context.measure([
                        "bench", "train", "--preset", side.preset, "--length", "\(length)", "--batch",
                        "\(max(1, tokensPerStep / length))", "--form", side.form, "--repetitions",
                        "\(repetitions)", "--json",
                    ])
                    return try BenchValues.numbers(object, ["tokens_per_second", "peak_bytes"])
                }
            }
        }
    }

    /// Speed and memory by length, beside the paper's ratios.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Cost of training against length (Table 4)")
        report.add(
            .text(
                """
                **What was done.** Whole training steps (forward, backward, clipping, AdamW) of `\(sides[0].preset)` and \
                `\(sides[2].preset)`, \(tokensPerStep) tokens a step at every length, each measurement in a process of \
                its own, \(context.seeds.count) rounds in turns, every second round in the opposite order. Memory is \
                the peak of the process, weights, gradients and optimiser included. Figures are medians over rounds.
                """))
        report.add(.text(verdict(results)))
        report.add(
            .chart(
                name: "training-cost",
                ChartGrid(
                    title: "Training against length",
                    charts: [
                        chart(results, "tokens_per_second", ChartAxis("tokens a second", includesZero: true)),
                        chart(results, "peak_bytes", ChartAxis("peak memory", includesZero: true, format: .bytes)),
                    ])))
        for (key, title) in [("tokens_per_second", "tokens a second"), ("peak_bytes", "peak memory")] {
            var table = MarkdownTable(
                header: [title] + lengths.map { "length \(Format.grouped($0))" },
                alignments: [.left] + lengths.map { _ in .right })
            for side in sides {
                table.append(
                    [side.name]
                        + lengths.map { length in
                            guard let value = median(results, side, length, key) else { return "–" }
                            return key == "peak_bytes" ? Format.bytes(value) : Format.grouped(Int(value))
                        })
            }
            report.add(.table(table))
        }
        report.add(
            .text(
                "The paper's Table 4 (length 8,192, eight A100, plain PyTorch, words a second; a second source confirms"
                    + " the throughput, one transcription has the memory):"))
        var published = MarkdownTable(
            header: [
                "size", "Transformer", "with FlashAttention", "RetNet", "memory in GB (one transcription)",
            ], alignments: [.left, .right, .right, .right, .left])
        for (speed, memory) in zip(RetNetPaper.trainingThroughput, RetNetPaper.trainingMemory) {
            published.append(
                [speed.size] + [speed.transformer, speed.flash, speed.retnet].map { Format.fixed($0, decimals: 1) }
                    + ["\(memory.transformer) / \(memory.flash) / \(memory.retnet)"])
        }
        report.add(.table(published))
        return report
    }

    private func median(_ results: [UnitResult], _ side: Side, _ length: Int, _ key: String) -> Double? {
        results.sample("\(side.name) at \(length)", key).median
    }

    private func verdict(_ results: [UnitResult]) -> String {
        guard let last = lengths.last,
            let plain = median(results, sides[0], last, "tokens_per_second"),
            let tiled = median(results, sides[1], last, "tokens_per_second"),
            let ours = median(results, sides[2], last, "tokens_per_second")
        else { return "" }
        func ratio(_ a: Double, _ b: Double) -> String { Format.fixed(a / b, decimals: 2) }
        return "**At length \(Format.grouped(last))** RetNet trains \(ratio(ours, plain)) times as fast as the plain"
            + " Transformer and \(ratio(ours, tiled)) times as fast as the memory-efficient one (paper, 1.3B at 8,192:"
            + " 6.77 and 1.15). The direction \(ours > plain ? "agrees" : "does not agree") for the plain and"
            + " \(ours > tiled ? "agrees" : "does not agree") for the memory-efficient Transformer."
    }

    private func chart(_ results: [UnitResult], _ key: String, _ axis: ChartAxis) -> LineChart {
        LineChart(
            xAxis: ChartAxis("length", scale: .binaryLogarithmic), yAxis: axis,
            series: sides.map { side in
                LineChart.Series(
                    name: side.name,
                    points: lengths.compactMap { length in
                        median(results, side, length, key).map { ChartPoint(Double(length), $0) }
                    }, showsMarkers: true)
            })
    }
}
