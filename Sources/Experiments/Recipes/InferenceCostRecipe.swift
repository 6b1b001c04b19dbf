import Foundation
import Models
import Reporting

/// Memory, throughput and latency of generation against length and batch (Figures 1 and 6).
public struct InferenceCostRecipe: Recipe {
    /// `inference-cost`.
    public static let name = "inference-cost"
    /// Figures 1 and 6.
    public static let summary =
        "memory, throughput and latency of generation against length and batch, Transformer and RetNet (Figures 1, 6)"

    private let context: ExperimentContext
    private let size: String
    private let positions: [Int]
    private let batches: [Int]
    private let tokens: Int

    /// 22M parameters for `tiny` and `small`, the paper's 6.7B for `paper`.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        switch context.scale {
        case .tiny: (size, positions, batches, tokens) = ("22m", [256, 1024, 4096, 16_384], [1, 2, 4, 8], 8)
        case .small:
            (size, positions, batches, tokens) = ("22m", [256, 1024, 4096, 16_384, 65_536], [1, 2, 4, 8, 16], 40)
        case .paper: (size, positions, batches, tokens) = ("6.7b", [1024, 2048, 4096, 8192], [1, 2, 4, 8], 20)
        }
    }

    private var sides: [(name: String, preset: String)] {
        [("Transformer", "transformer-\(size)"), ("RetNet", "retnet-\(size)")]
    }

    /// Sizes and lengths at the scale.
    public var settings: [String: String] {
        [
            "positions": positions.map(String.init).joined(separator: " "),
            "batches": batches.map(String.init).joined(separator: " "),
        ]
    }

    /// One unit a side, batch and round; every round in the opposite order to the one before.
    public func units() throws -> [ExperimentUnit] {
        context.seeds.enumerated().flatMap { round, seed in
            let order = batches.flatMap { batch in sides.map { ($0, batch) } }
            return (round % 2 == 0 ? order : order.reversed()).map { side, batch in
                ExperimentUnit(
                    id: "\(side.preset)-batch\(batch)-round\(seed)", contender: "\(side.name), batch \(batch)",
                    seed: seed, weight: 10
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
                `\(sides[0].preset)` with its cache of keys and values and `\(sides[1].preset)` in the recurrent form; \
                \(context.seeds.count) rounds in turns, each measurement in a process of its own. States stand for far \
                positions without all text before them having been read: a cache is repeated up to its size there. \
                Memory is that of weights and states. Figures are medians.
                """))
        report.add(.text(verdict(results, batch: large)))
        report.add(
            .chart(
                name: "inference-cost",
                ChartGrid(
                    title: "Generation",
                    charts: [
                        lengthChart(results, "memory, batch \(large)", ChartAxis("weights and states", includesZero: true, format: .bytes)) {
                            memory(results, $0, large, $1)
                        },
                        lengthChart(
                            results, "throughput, batch \(large)", ChartAxis("tokens a second", includesZero: true)
                        ) {
                            value(results, $0, large, "tokens_per_second \($1)")
                        },
                        lengthChart(
                            results, "latency, batch \(small)", ChartAxis("milliseconds a token", includesZero: true)
                        ) {
                            value(results, $0, small, "seconds_median \($1)").map { $0 * 1000 }
                        },
                        batchChart(results),
                    ])))
        report.add(.table(table(results)))
        report.add(
            .text(
                "The paper's text states for 6.7B at length 8,192 on an A100: 3.4 times less memory, 8.4 times the"
                    + " throughput, 15.6 times lower latency than a Transformer. Its curves are figures without printed"
                    + " values; readings of them are not shown."))
        return report
    }

    private func value(_ results: [UnitResult], _ side: String, _ batch: Int, _ key: String) -> Double? {
        results.sample("\(side), batch \(batch)", key).median
    }

    /// Bytes of bfloat16 weights and of all rows' states.
    private func memory(_ results: [UnitResult], _ side: String, _ batch: Int, _ position: Int) -> Double? {
        guard let parameters = value(results, side, batch, "parameters"),
            let state = value(results, side, batch, "state_bytes \(position)")
        else { return nil }
        return 2 * parameters + state
    }

    private func verdict(_ results: [UnitResult], batch: Int) -> String {
        guard let last = positions.last, let first = positions.first,
            let memories = pair({ memory(results, $0, batch, last) }),
            let speeds = pair({ value(results, $0, batch, "tokens_per_second \(last)") }),
            let starts = pair({ value(results, $0, batch, "tokens_per_second \(first)") })
        else { return "" }
        func ratio(_ a: Double, _ b: Double) -> String { Format.fixed(a / b, decimals: 1) }
        let flat = abs(speeds.retnet / starts.retnet - 1) < 0.15
        return "**At \(Format.grouped(last)) tokens, batch \(batch),** the Transformer needs"
            + " \(ratio(memories.transformer, memories.retnet)) times the memory of RetNet and generates"
            + " \(ratio(speeds.retnet, speeds.transformer)) times slower. RetNet's speed"
            + " \(flat ? "does not depend" : "depends") on the length (it is \(ratio(speeds.retnet, starts.retnet)) of"
            + " that at \(Format.grouped(first))), as the paper says\(flat ? "" : " it should not")."
    }

    private func pair(_ value: (String) -> Double?) -> (transformer: Double, retnet: Double)? {
        guard let a = value("Transformer"), let b = value("RetNet") else { return nil }
        return (a, b)
    }

    private func lengthChart(
        _ results: [UnitResult], _ title: String, _ axis: ChartAxis, _ value: (String, Int) -> Double?
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
                            value(results, side.name, batch, "state_bytes \(position)").map { Format.bytes($0) } ?? "–"
                        })
            }
        }
        return table
    }
}
