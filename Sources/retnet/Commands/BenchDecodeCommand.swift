import ArgumentParser
import Foundation
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTorch
import RetNetTraining

/// `retnet bench decode`: generating token by token, at several positions.
struct BenchDecodeCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Measure the generation of one token at positions near and far.",
        discussion: """
            The state is filled by reading up to 128 tokens and is then declared to stand at each position, so that \
            far positions can be measured without reading all text before them: the work of a step does not depend \
            on how a state came about. States that grow with the text, such as caches of keys and values, are \
            repeated up to the size that they have at the position. Positions take turns, token by token.
            """)

    @OptionGroup var options: BenchOptions

    @Option(help: "Positions to measure at, separated by commas.", transform: Self.positions)
    var positions = [100, 1000, 10_000, 100_000]

    @Option(help: "Tokens to measure at each position.", transform: Arguments.positive)
    var tokens = 50

    func run() throws {
        let model = try options.makeModel(forTraining: false)
        let bench = DecodeBench(model: model, batch: options.batch)
        let results = try bench.run(
            positions: positions, tokenCount: tokens * options.repetitions, warmup: max(1, options.warmup * 5)
        )
        let accounting = try ModelAccounting(model.configuration)
        let peak = ProcessMemory.peakByteCount
        guard options.json else {
            Console.result(
                "\(options.headline("generation", model))\n\n\(DecodeBench.table(results))\n"
                    + "Peak memory of the process: \(Format.bytes(peak)).")
            return
        }
        let entries: [SettingsTree] = results.map { result in
            let flops = Double(accounting.decodingFLOPsPerToken(position: result.position))
            return .ordered(
                [("position", .int(result.position))]
                    + result.timings.figures(tokenCount: options.batch, flopsPerToken: flops)
                    + [("state_bytes", .int(result.stateByteCount))])
        }
        try Console.json(
            .ordered(
                options.header("decode", model) + [
                    ("tokens", .int(tokens * options.repetitions)), ("results", .array(entries)),
                    ("peak_bytes", .int(peak)),
                ]))
    }

    static func positions(_ text: String) throws -> [Int] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map {
            try Arguments.nonNegative($0.trimmingCharacters(in: .whitespaces))
        }
    }
}
