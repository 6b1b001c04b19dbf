import Foundation
import RetNetModels
import RetNetPlots
import RetNetReporting

/// Memory, throughput and latency of generation by length and batch size (Figures 1 and 6).
public struct InferenceCostRecipe: Recipe {
    /// `inference-cost`.
    public static let name = "inference-cost"
    /// Figures 1 and 6.
    public static let summary =
        "memory, throughput and latency of generation by length and batch, Transformer and RetNet (Figures 1, 6)"

    /// False: speed does not depend on the text.
    public static let readsTexts = false

    private struct Side {
        let name: String
        let key: String
        let preset: String
    }

    private let context: ExperimentContext
    private let sides: [Side]
    private let positions: [Int]
    private let batches: [Int]
    private let tokens: Int

    /// Plans 3M parameters for `tiny`, 22M for `small`, and the paper's 6.7B for `paper`.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        let size: String
        switch context.scale {
        case .tiny: (size, positions, batches, tokens) = ("3m", [256, 1024, 4096, 16_384], [1, 2, 4, 8], 24)
        case .small:
            (size, positions, batches, tokens) = (
                "22m", [256, 1024, 4096, 16_384, 65_536], [1, 2, 4, 8], 40
            )
        case .paper:
            (size, positions, batches, tokens) = ("6.7b", [1024, 2048, 4096, 8192], [1, 2, 4, 8], 20)
        }
        let all = [
            Side(name: "Transformer", key: "transformer", preset: "transformer-\(size)"),
            Side(name: "RetNet", key: "retnet", preset: "retnet-\(size)"),
        ]
        sides = try context.requestedContenders(from: all, otherwise: all) { $0.key }
    }

    /// The models, positions and batches at the scale, and the machine.
    public var settings: [String: String] {
        [
            "positions": positions.map(String.init).joined(separator: " "),
            "batches": batches.map(String.init).joined(separator: " "),
            "models": sides.map(\.preset).joined(separator: " "), "tokens at a position": "\(2 * tokens)",
            "machine": context.machine,
        ]
    }

    /// Returns one unit per side, batch and round; the order of units alternates from round to round.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.enumerated().flatMap { round, seed in
            let order = batches.flatMap { batch in sides.map { ($0, batch) } }
            return (round % 2 == 0 ? order : order.reversed()).map { side, batch in
                ExperimentUnit(
                    id: "\(side.key)-batch\(batch)-round\(seed)", contender: "\(side.name), batch \(batch)",
                    seed: seed, measuresSpeed: true
                ) { progress in
                    try progress.report("measuring")
                    return try values(
                        context.measure(
                            .generation(
                                preset: side.preset, batch: batch, positions: positions, tokenCount: tokens,
                                repetitions: 2)))
                }
            }
        }
    }

    /// Returns the memory of weights and largest caches together at the published sizes; nil at other scales.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale == .paper else { return nil }
        let batch = batches.max() ?? 1
        let bytes = try sides.map { side in
            let accounting = try ModelAccounting(Preset.named(side.preset).configuration)
            // The states of all positions are held at once, because their steps alternate.
            let states = positions.reduce(0) { $0 + accounting.stateElementCount(tokenCount: $1) * batch }
            return accounting.weightByteCount(bytesPerParameter: weightByteCount) + states * weightByteCount
        }
        return ExperimentCost(
            trainingFLOPs: 0, tokenCount: 0, modelCount: sides.count, largestByteCount: bytes.max() ?? 0,
            remarks: ["This is the largest model with the caches of all positions at batch \(batch)."])
    }

    private var weightByteCount: Int { context.computeType == .bfloat16 ? 2 : 4 }

    private func values(_ object: [String: Any]) throws -> [String: Double] {
        var values = try SpeedMeasurement.numbers(object, ["parameters", "peak_bytes"])
        for entry in try SpeedMeasurement.objects(object, "results") {
            let numbers = try SpeedMeasurement.numbers(
                entry, ["position", "seconds_median", "tokens_per_second", "state_bytes"])
            let position = Int(numbers["position"] ?? 0)
            for (key, value) in numbers where key != "position" { values["\(key) \(position)"] = value }
        }
        return values
    }

    // MARK: Report

    /// Reports memory, throughput and latency, next to the ratios of the paper.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        let (small, large) = (batches[0], batches[batches.count - 1])
        var report = ExperimentReport(title: "Cost of generation by length and batch size (Figures 1 and 6)")
        report.add(
            .text(
                """
                **Methods.** Generation of one token per row after a given number of tokens, for \
                \(sides.map { "`\($0.preset)`" }.joined(separator: " and ")): the Transformer with its cache of keys and \
                values, RetNet in the recurrent form. \(context.seeds.count) rounds of all measurements in alternating \
                order, each batch in a process of its own in which the positions alternate token by token. States of \
                distant positions are made without reading the text before them: a cache is repeated up to its size \
                there. Memory is that of weights and states. Figures are medians over rounds.
                """))
        report.add(.text(verdict(results, batch: large)))
        report.add(.chart(name: "inference-cost", charts(results, small: small, large: large)))
        report.add(.table(table(results)))
        if let section = results.disturbance("seconds_median \(positions[positions.count - 1])") {
            report.add(section)
        }
        report.add(RetNetPaper.inference)
        report.add(RetNetPaper.curves)
        return report
    }

    private func charts(_ results: [UnitResult], small: Int, large: Int) -> ChartGrid {
        ChartGrid(
            title: "Generation",
            charts: [
                lengthChart(
                    "memory, batch \(large)",
                    ChartAxis("weights and states", includesZero: true, format: .bytes)
                ) { memory(results, $0, large, $1) },
                lengthChart("throughput, batch \(large)", ChartAxis("tokens per second", includesZero: true))
                { value(results, $0, large, "tokens_per_second \($1)") },
                lengthChart(
                    "latency, batch \(small)", ChartAxis("milliseconds per token", includesZero: true)
                ) { value(results, $0, small, "seconds_median \($1)").map { $0 * 1000 } },
                batchChart(results),
            ])
    }

    private func value(_ results: [UnitResult], _ side: String, _ batch: Int, _ key: String) -> Double? {
        results.sample("\(side), batch \(batch)", key).median
    }

    /// Returns the bytes of the weights and of the states of all rows.
    private func memory(_ results: [UnitResult], _ side: String, _ batch: Int, _ position: Int) -> Double? {
        guard let parameters = value(results, side, batch, "parameters"),
            let state = value(results, side, batch, "state_bytes \(position)")
        else { return nil }
        return Double(weightByteCount) * parameters + state
    }

    private func verdict(_ results: [UnitResult], batch: Int) -> String {
        guard let last = positions.last, let first = positions.first,
            let memories = pair({ memory(results, $0, batch, last) }),
            let speeds = pair({ value(results, $0, batch, "tokens_per_second \(last)") }),
            let starts = pair({ value(results, $0, batch, "tokens_per_second \(first)") })
        else { return "" }
        func ratio(_ a: Double, _ b: Double) -> String { Format.fixed(a / b, decimals: 2) }
        let flat = abs(speeds.retnet / starts.retnet - 1) < 0.15
        let falls = speeds.transformer < starts.transformer * 0.85
        return "**At \(Format.grouped(last)) tokens, batch \(batch),** the Transformer needs"
            + " \(ratio(memories.transformer, memories.retnet)) times the memory of RetNet, and RetNet generates"
            + " \(ratio(speeds.retnet, speeds.transformer)) times as many tokens per second (paper, 6.7B at 8,192: 3.4 and"
            + " 8.4). RetNet's speed there is \(ratio(speeds.retnet, starts.retnet)) of that at"
            + " \(Format.grouped(first)) tokens (paper: the same at every length;"
            + " \(flat ? "agrees" : "does not agree")); the Transformer's is"
            + " \(ratio(speeds.transformer, starts.transformer)) of it (paper: decreases with the length;"
            + " \(falls ? "agrees" : "does not agree"))."
    }

    private func pair(_ value: (String) -> Double?) -> (transformer: Double, retnet: Double)? {
        guard let a = value("Transformer"), let b = value("RetNet") else { return nil }
        return (a, b)
    }

    private func lengthChart(
        _ title: String, _ axis: ChartAxis, _ value: (String, Int) -> Double?
    ) -> LineChart {
        LineChart(
            title: title, xAxis: ChartAxis("tokens before", scale: .binaryLogarithmic), yAxis: axis,
            series: sides.map { side in
                LineChart.Series(
                    name: side.name,
                    points: positions.compactMap { position in
                        value(side.name, position).map { ChartPoint(Double(position), $0) }
                    }, showsMarkers: true)
            })
    }

    private func batchChart(_ results: [UnitResult]) -> LineChart {
        let last = positions[positions.count - 1]
        return LineChart(
            title: "latency by batch size, \(Format.grouped(last)) tokens",
            xAxis: ChartAxis("batch", scale: .binaryLogarithmic),
            yAxis: ChartAxis("milliseconds per step", includesZero: true),
            series: sides.map { side in
                LineChart.Series(
                    name: side.name,
                    points: batches.compactMap { batch in
                        value(results, side.name, batch, "seconds_median \(last)")
                            .map { ChartPoint(Double(batch), $0 * 1000) }
                    }, showsMarkers: true)
            })
    }

    private func table(_ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["model", "batch", "measure"] + positions.map { "after \(Format.grouped($0))" },
            alignments: [.left, .right, .left] + positions.map { _ in .right })
        for side in sides {
            for batch in batches {
                table.append(
                    [side.name, "\(batch)", "ms per step"]
                        + positions.map { position in
                            value(results, side.name, batch, "seconds_median \(position)")
                                .map { Format.fixed($0 * 1000, decimals: 2) } ?? "–"
                        })
                table.append(
                    ["", "", "state"]
                        + positions.map { position in
                            value(results, side.name, batch, "state_bytes \(position)").map {
                                Format.bytes($0)
                            } ?? "–"
                        })
            }
        }
        return table
    }
}
