import Foundation
import RetNetMixers
import RetNetModels
import RetNetPlots
import RetNetReporting

/// Speed and memory of training by sequence length: Transformer, memory-efficient Transformer, RetNet (Table 4).
public struct TrainingCostRecipe: Recipe {
    /// `training-cost`.
    public static let name = "training-cost"
    /// Table 4.
    public static let summary =
        "speed and memory of training by length: Transformer, memory-efficient Transformer, RetNet (Table 4)"
    /// False: speed does not depend on the text.
    public static let readsTexts = false

    private struct Side {
        let name: String
        let key: String
        let preset: String
        let form: MixerForm
        /// The column of the paper's table.
        let published: String
    }

    private let context: ExperimentContext
    private let sides: [Side]
    private let lengths: [Int]
    private let tokensPerStep: Int
    private let repetitions: Int

    /// Plans 3M parameters for `tiny`, 22M for `small`, and the paper's 1.3B at length 8,192 for `paper`.
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
                name: "Transformer", key: "transformer", preset: "transformer-\(size)", form: .parallel,
                published: RetNetPaper.trainingSides[0]),
            Side(
                name: "Transformer, memory-efficient", key: "transformer-memory-efficient",
                preset: "transformer-\(size)", form: .chunkwise(chunk),
                published: RetNetPaper.trainingSides[1]),
            Side(
                name: "RetNet", key: "retnet", preset: "retnet-\(size)", form: .chunkwise(chunk),
                published: RetNetPaper.trainingSides[2]),
        ]
        sides = try context.requestedContenders(from: all, otherwise: all) { $0.key }
    }

    /// The models and lengths at the scale, and the machine.
    public var settings: [String: String] {
        [
            "lengths": lengths.map(String.init).joined(separator: " "), "tokens a step": "\(tokensPerStep)",
            "models": sides.map { "\($0.preset) \($0.form)" }.joined(separator: " "),
            "repetitions in a process": "\(repetitions)",
            "machine": context.machine,
        ]
    }

    /// Returns one unit per side, length and round; the order of units alternates from round to round.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.enumerated().flatMap { round, seed in
            let order = lengths.flatMap { length in sides.map { ($0, length) } }
            return (round % 2 == 0 ? order : order.reversed()).map { side, length in
                ExperimentUnit(
                    id: "\(side.key)-\(length)-round\(seed)", contender: "\(side.name) at \(length)",
                    seed: seed, measuresSpeed: true
                ) { progress in
                    try progress.report("measuring")
                    let object = try context.measure(
                        .training(
                            preset: side.preset, form: side.form, batch: max(1, tokensPerStep / length),
                            length: length, repetitions: repetitions))
                    return try SpeedMeasurement.numbers(object, ["tokens_per_second", "peak_bytes"])
                }
            }
        }
    }

    /// Returns the work and the memory of the largest model at the published sizes; nil at other scales.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale == .paper else { return nil }
        let accountings = try sides.map { try ModelAccounting(Preset.named($0.preset).configuration) }
        let steps = Double((repetitions + 1) * lengths.count * context.seeds.count * tokensPerStep)
        return ExperimentCost(
            trainingFLOPs: accountings.reduce(0) { $0 + steps * Double($1.trainingFLOPsPerToken) },
            tokenCount: steps * Double(sides.count), modelCount: sides.count,
            largestByteCount: accountings.map { $0.trainingByteCount(mixedPrecision: true) }.max() ?? 0,
            remarks: [
                "Activations need additional memory, the plain Transformer also for scores of all pairs of positions.",
                "The paper uses eight A100 GPUs, with tensor parallelism from 6.7B; this recipe uses one device at 1.3B.",
            ])
    }

    // MARK: Report

    /// Reports speed and memory by length, next to the numbers of the paper.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        var report = ExperimentReport(title: "Cost of training by sequence length (Table 4)")
        let models = Set(sides.map(\.preset)).sorted().map { "`\($0)`" }.joined(separator: " and ")
        report.add(
            .text(
                """
                **Methods.** Complete training steps (forward, backward, clipping, AdamW) of \(models), \
                \(Format.grouped(tokensPerStep)) tokens per step at every length, each measurement in a process of its \
                own, \(context.seeds.count) rounds of all measurements in alternating order. Memory is the peak of the \
                process, which includes weights, gradients, optimizer and libraries; with a GPU, it is the memory of \
                the host only. Figures are medians over rounds.
                """))
        report.add(.text(verdict(results)))
        report.add(
            .chart(
                name: "training-cost",
                ChartGrid(
                    title: "Training by sequence length",
                    charts: [
                        chart(
                            results, "tokens_per_second", ChartAxis("tokens per second", includesZero: true)),
                        chart(
                            results, "peak_bytes",
                            ChartAxis("peak memory", includesZero: true, format: .bytes)),
                    ])))
        for (key, title) in [("tokens_per_second", "tokens per second"), ("peak_bytes", "peak memory")] {
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

    /// RetNet's speed and memory relative to the others at the longest length, and the paper's at 1.3B.
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
            return "Compared with *\(side.name)*, RetNet has \(speed) the speed and \(memory) the memory."
        }
        return "**At length \(Format.grouped(last))** (paper: 1.3B at 8,192): "
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
