import Foundation
import RetNetModels
import RetNetPlots
import RetNetReporting

/// Speed and memory of training against length: Transformer plain and in tiles, RetNet (Table 4).
public struct TrainingCostRecipe: Recipe {
    /// `training-cost`.
    public static let name = "training-cost"
    /// Table 4.
    public static let summary =
        "training speed and memory against length: Transformer plain and memory-efficient, RetNet (Table 4)"
    /// Nothing is learnt.
    public static let readsTexts = false

    private struct Side {
        let name: String
        let key: String
        let preset: String
        let form: String
        /// The column of the paper's table.
        let published: String
    }

    private let context: ExperimentContext
    private let sides: [Side]
    private let lengths: [Int]
    private let tokensPerStep: Int
    private let repetitions: Int

    /// 3M parameters for `tiny`, 22M for `small`, the paper's 1.3B and length 8,192 for `paper`.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        let size: String
        switch context.scale {
        case .tiny: (size, lengths, tokensPerStep, repetitions) = ("3m", [512, 1024, 2048, 4096], 4096, 4)
        case .small:
            (size, lengths, tokensPerStep, repetitions) = (
                "22m", [512, 1024, 2048, 4096, 8192, 16_384], 16_384, 5
            )
        case .paper: (size, lengths, tokensPerStep, repetitions) = ("1.3b", [8192], 8192, 5)
        }
        let chunk = context.scale == .paper ? 512 : 128
        let all = [
            Side(
                name: "Transformer", key: "transformer", preset: "transformer-\(size)", form: "parallel",
                published: RetNetPaper.trainingSides[0]),
            Side(
                name: "Transformer, memory-efficient", key: "transformer-memory-efficient",
                preset: "transformer-\(size)", form: "chunkwise:\(chunk)",
                published: RetNetPaper.trainingSides[1]),
            Side(
                name: "RetNet", key: "retnet", preset: "retnet-\(size)", form: "chunkwise:\(chunk)",
                published: RetNetPaper.trainingSides[2]),
        ]
        sides = try Contender.picked(context.contenders, from: all, otherwise: all) { $0.key }
    }

    /// Sizes and lengths at the scale.
    public var settings: [String: String] {
        [
            "lengths": lengths.map(String.init).joined(separator: " "), "tokens a step": "\(tokensPerStep)",
            "models": sides.map { "\($0.preset) \($0.form)" }.joined(separator: " "),
            "repetitions in a process": "\(repetitions)",
            "machine": context.machine,
        ]
    }

    /// One unit a side, length and round; every round in the opposite order to the one before.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.enumerated().flatMap { round, seed in
            let order = lengths.flatMap { length in sides.map { ($0, length) } }
            return (round % 2 == 0 ? order : order.reversed()).map { side, length in
                ExperimentUnit(
                    id: "\(side.key)-\(length)-round\(seed)", contender: "\(side.name) at \(length)",
                    seed: seed
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

    /// What the largest model needs, for the published sizes.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale == .paper else { return nil }
        let accountings = try sides.map { try ModelAccounting(Preset.named($0.preset).configuration) }
        let steps = Double((repetitions + 1) * lengths.count * context.seeds.count * tokensPerStep)
        return ExperimentCost(
            trainingFLOPs: accountings.reduce(0) { $0 + steps * Double($1.trainingFLOPsPerToken) },
            tokenCount: steps * Double(sides.count), modelCount: sides.count,
            largestByteCount: accountings.map { $0.trainingByteCount(mixedPrecision: true) }.max() ?? 0,
            remarks: [
                "Activations come on top, and for the plain Transformer the scores of all pairs of positions.",
                "The paper measures on eight A100 with tensor parallelism from 6.7B; this measures one device at 1.3B.",
            ])
    }

    // MARK: Report

    /// Speed and memory by length, beside the paper's.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Cost of training against length (Table 4)")
        let models = Set(sides.map(\.preset)).sorted().map { "`\($0)`" }.joined(separator: " and ")
        report.add(
            .text(
                """
                **What was done.** Whole training steps (forward, backward, clipping, AdamW) of \(models), \
                \(Format.grouped(tokensPerStep)) tokens a step at every length, each measurement in a process of its \
                own, \(context.seeds.count) rounds in turns, every second round in the opposite order. Memory is the \
                peak of the process, weights, gradients, optimiser and the libraries included; where a graphics device \
                computes, it is the host's memory only. Figures are medians over rounds.
                """))
        report.add(.text(verdict(results)))
        report.add(
            .chart(
                name: "training-cost",
                ChartGrid(
                    title: "Training against length",
                    charts: [
                        chart(results, "tokens_per_second", ChartAxis("tokens a second", includesZero: true)),
                        chart(
                            results, "peak_bytes",
                            ChartAxis("peak memory", includesZero: true, format: .bytes)),
                    ])))
        for (key, title) in [("tokens_per_second", "tokens a second"), ("peak_bytes", "peak memory")] {
            report.add(.table(table(results, key, title)))
        }
        if let section = results.disturbance("tokens_per_second") { report.add(section) }
        report.add(RetNetPaper.trainingThroughput)
        report.add(RetNetPaper.largestTrainingThroughput)
        report.add(RetNetPaper.trainingMemory)
        return report
    }

    private func sample(_ results: [UnitResult], _ side: Side, _ length: Int, _ key: String) -> Sample {
        results.sample("\(side.name) at \(length)", key)
    }

    private func table(_ results: [UnitResult], _ key: String, _ title: String) -> MarkdownTable {
        var table = MarkdownTable(
            header: [title] + lengths.map { "length \(Format.grouped($0))" },
            alignments: [.left] + lengths.map { _ in .right })
        func text(_ value: Double) -> String {
            key == "peak_bytes" ? Format.bytes(value) : Format.count(value)
        }
        for side in sides {
            table.append(
                [side.name]
                    + lengths.map { length in
                        let sample = sample(results, side, length, key)
                        guard let median = sample.median, let range = sample.range else { return "–" }
                        return "\(text(median)) (\(text(range.lowerBound)) to \(text(range.upperBound)))"
                    })
        }
        return table
    }

    /// RetNet's speed and memory against the others at the longest length, beside the paper's at 1.3B.
    private func verdict(_ results: [UnitResult]) -> String {
        guard let last = lengths.last, let own = sides.first(where: { $0.key == "retnet" }) else { return "" }
        func ratio(_ side: Side, _ key: String, _ published: PublishedTable) -> String? {
            guard let ours = sample(results, own, last, key).median,
                let theirs = sample(results, side, last, key).median,
                let paperOwn = published.value("1.3B", own.published),
                let paperOther = published.value("1.3B", side.published)
            else { return nil }
            let (ratio, paper) = (ours / theirs, paperOwn.value / paperOther.value)
            let agrees = (ratio > 1) == (paper > 1) ? "agrees" : "does not agree"
            return "\(Format.fixed(ratio, decimals: 2)) times (paper: \(Format.fixed(paper, decimals: 2)),"
                + " \(paperOwn.grade.rawValue); the direction \(agrees))"
        }
        let sentences = sides.filter { $0.key != own.key }.compactMap { side -> String? in
            guard let speed = ratio(side, "tokens_per_second", RetNetPaper.trainingThroughput),
                let memory = ratio(side, "peak_bytes", RetNetPaper.trainingMemory)
            else { return nil }
            return "Beside \(side.name), RetNet has \(speed) the speed and \(memory) the memory."
        }
        return "**At length \(Format.grouped(last))** (the paper: 1.3B at 8,192): "
            + sentences.joined(separator: " ")
    }

    private func chart(_ results: [UnitResult], _ key: String, _ axis: ChartAxis) -> LineChart {
        LineChart(
            xAxis: ChartAxis("length", scale: .binaryLogarithmic), yAxis: axis,
            series: sides.map { side in
                LineChart.Series(
                    name: side.name,
                    points: lengths.compactMap { length in
                        sample(results, side, length, key).median.map { ChartPoint(Double(length), $0) }
                    }, showsMarkers: true)
            })
    }
}
