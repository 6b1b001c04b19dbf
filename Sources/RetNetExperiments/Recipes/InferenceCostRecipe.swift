import Foundation
import RetNetModels
import RetNetPlots
import RetNetReporting

/// Memory, throughput and latency of generation against length and batch (Figures 1 and 6).
public struct InferenceCostRecipe: Recipe {
    /// `inference-cost`.
    public static let name = "inference-cost"
    /// Figures 1 and 6.
    public static let summary =
        "memory, throughput and latency of generation against length and batch, Transformer and RetNet (Figures 1, 6)"

    /// Nothing is learnt.
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

    /// 3M parameters for `tiny`, 22M for `small`, the paper's 6.7B for `paper`.
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
        sides = try Contender.picked(context.contenders, from: all, otherwise: all) { $0.key }
    }

    /// Sizes and lengths at the scale.
    public var settings: [String: String] {
        [
            "positions": positions.map(String.init).joined(separator: " "),
            "batches": batches.map(String.init).joined(separator: " "),
            "models": sides.map(\.preset).joined(separator: " "), "tokens at a position": "\(2 * tokens)",
            "machine": context.machine,
        ]
    }

    /// One unit a side, batch and round; every round in the opposite order to the one before.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.enumerated().flatMap { round, seed in
            let order = batches.flatMap { batch in sides.map { ($0, batch) } }
            return (round % 2 == 0 ? order : order.reversed()).map { side, batch in
                ExperimentUnit(
                    id: "\(side.key)-batch\(batch)-round\(seed)", contender: "\(side.name), batch \(batch)",
                    seed: seed
                ) { progress in
                    try progress.report("measuring")
                    return try values(
                        context.measure([
                            "bench", "decode", "--preset", side.preset, "--batch", "\(batch)", "--positions",
                            positions.map(String.init).joined(separator: ","), "--tokens", "\(tokens)",
                            "--repetitions", "2", "--json",
                        ]))
                }
            }
        }
    }

    /// What weights and the largest caches need together, for the published sizes.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale == .paper else { return nil }
        let batch = batches.max() ?? 1
        let bytes = try sides.map { side in
            let accounting = try ModelAccounting(Preset.named(side.preset).configuration)
            // All positions of a batch are held at once, so that they can take turns.
            let states = positions.reduce(0) { $0 + accounting.stateElementCount(tokenCount: $1) * batch }
            return accounting.weightByteCount(bytesPerParameter: weightByteCount) + states * weightByteCount
        }
        return ExperimentCost(
            trainingFLOPs: 0, tokenCount: 0, modelCount: sides.count, largestByteCount: bytes.max() ?? 0,
            remarks: ["That is the largest model with the caches of all positions at batch \(batch)."])
    }

    private var weightByteCount: Int { context.computeType == .bfloat16 ? 2 : 4 }

    private func values(_ object: [String: Any]) throws -> [String: Double] {
        var values = try BenchValues.numbers(object, ["parameters", "peak_bytes"])
        for entry in try BenchValues.objects(object, "results") {
            let numbers = try BenchValues.numbers(
                entry, ["position", "seconds_median", "tokens_per_second", "state_bytes"])
            let position = Int(numbers["position"] ?? 0)
            for (key, value) in numbers where key != "position" { values["\(key) \(position)"] = value }
        }
        return values
    }

    // MARK: Report

    /// Memory, throughput and latency, beside the paper's ratios.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        let (small, large) = (batches[0], batches[batches.count - 1])
        var report = ExperimentReport(title: "Cost of generation against length and batch (Figures 1 and 6)")
        report.add(
            .text(
                """
                **What was done.** One token a row with a state that has seen so many tokens, for \
                \(sides.map { "`\($0.preset)`" }.joined(separator: " and ")), the Transformer with its cache of keys and \
                values, RetNet in the recurrent form; \(context.seeds.count) rounds in turns, each batch in a process \
                of its own in which the positions take turns, token by token. States stand for far positions without \
                all text before them having been read: a cache is repeated up to its size there. Memory is that of \
                weights and states as they are held. Figures are medians over rounds.
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
                lengthChart(
                    "throughput, batch \(large)", ChartAxis("tokens a second", includesZero: true)
                ) { value(results, $0, large, "tokens_per_second \($1)") },
                lengthChart(
                    "latency, batch \(small)", ChartAxis("milliseconds a token", includesZero: true)
                ) { value(results, $0, small, "seconds_median \($1)").map { $0 * 1000 } },
                batchChart(results),
            ])
    }

    private func value(_ results: [UnitResult], _ side: String, _ batch: Int, _ key: String) -> Double? {
        results.sample("\(side), batch \(batch)", key).median
    }

    /// Bytes of the weights and of all rows' states.
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
            + " \(ratio(speeds.retnet, speeds.transformer)) times as many tokens a second (paper, 6.7B at 8,192: 3.4 and"
            + " 8.4). RetNet's speed there is \(ratio(speeds.retnet, starts.retnet)) of that at"
            + " \(Format.grouped(first)) tokens (the paper: the same at every length;"
            + " \(flat ? "agrees" : "does not agree")); the Transformer's is"
            + " \(ratio(speeds.transformer, starts.transformer)) of it (the paper: falls with the length;"
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
            title: "latency against batch, \(Format.grouped(last)) tokens",
            xAxis: ChartAxis("batch", scale: .binaryLogarithmic),
            yAxis: ChartAxis("milliseconds a step", includesZero: true),
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
                    [side.name, "\(batch)", "ms a step"]
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
