import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetText
import RetNetTorch

/// `retnet bench architectures`: all architectures in one run.
struct BenchArchitecturesCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "architectures",
        abstract: "Measure training and generation of all architectures at one size.",
        discussion: """
            All models have the same width, depth and parameter budget, random weights and a vocabulary of bytes. \
            They take turns, every second round in the opposite order, so that other load of the machine affects all \
            of them alike. Figures are medians.
            """)

    @Option(
        parsing: .unconditional, help: "Architectures to measure, separated by commas (default: all).",
        transform: Self.architectures)
    var only: [ComparedArchitecture] = ComparedArchitecture.allCases

    @Option(parsing: .unconditional, help: "Width of the models.", transform: Arguments.positive)
    var width = 512

    @Option(parsing: .unconditional, help: "Layers of the models.", transform: Arguments.positive)
    var layers = 6

    @Option(parsing: .unconditional, help: "Rows of a training batch.", transform: Arguments.positive)
    var batch = 8

    @Option(parsing: .unconditional, help: "Tokens of a training row.", transform: Arguments.positive)
    var length = 512

    @Option(
        parsing: .unconditional, help: "Positions of generation, separated by commas.",
        transform: BenchDecodeCommand.positions)
    var positions = [128, 2048, 16_384]

    @Option(
        parsing: .unconditional, help: "Timed rounds through all architectures.",
        transform: Arguments.positive)
    var rounds = 4

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Print a Markdown table.")
    var markdown = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard width <= 1 << 14, width % 16 == 0, layers <= 1000 else {
            throw ValidationError("--width must be a multiple of 16 up to 16,384, --layers at most 1,000")
        }
        guard batch * length <= 1 << 24, length <= 1 << 20 else {
            throw ValidationError("a batch of \(batch) rows of \(length) tokens is too large to measure")
        }
        guard !positions.contains(where: { $0 > 1 << 20 }) else {
            throw ValidationError("--positions must be from 0 to 1,048,576")
        }
    }

    func run() throws {
        let (device, type) = try device.prepare(.fast)
        var results = only.map { Result(architecture: $0) }
        let bar = ProgressBar(title: "bench", total: rounds * results.count)
        for round in 0..<rounds {
            let order = round % 2 == 0 ? Array(results.indices) : results.indices.reversed()
            for (done, index) in order.enumerated() {
                try measure(&results[index], device, type)
                bar.update(step: round * results.count + done + 1, metrics: [])
            }
        }
        bar.finish()
        if json {
            try Console.json([
                "benchmark": "architectures", "width": .int(width), "layers": .int(layers),
                "batch": .int(batch), "length": .int(length), "rounds": .int(rounds),
                "dtype": .string(type.rawValue), "device": .string(device.description),
                "threads": .int(Runtime.threadCount), "results": .array(results.map(tree)),
            ])
        } else {
            Console.result(text(results))
        }
    }

    // MARK: Measuring

    private struct Result {
        let architecture: ComparedArchitecture
        var training = Timings()
        /// Timings per position.
        var decoding: [Timings] = []
        var stateByteCounts: [Int] = []
        var parameterCount = 0
    }

    private func configuration(_ architecture: ComparedArchitecture) -> LanguageModelConfiguration {
        architecture.configuration(
            width: width, layerCount: layers, vocabularySize: 256,
            trainingLength: max(length, (positions.max() ?? 0) + 64))
    }

    private func measure(_ result: inout Result, _ device: Device, _ type: ElementType) throws {
        let configuration = configuration(result.architecture)
        try configuration.validate()
        let subject = try BenchSubject(
            result.architecture.title, configuration, batch: batch, length: length, device, type)
        result.parameterCount = subject.parameterCount
        _ = try subject.trainer.makeStep()
        for _ in 0..<2 { try subject.train() }
        result.training.add(subject.training)
        try subject.prepareGeneration()
        let decoding = try subject.generate(positions: positions)
        if result.decoding.isEmpty { result.decoding = positions.map { _ in Timings() } }
        for (index, measured) in decoding.enumerated() { result.decoding[index].add(measured.timings) }
        result.stateByteCounts = decoding.map(\.stateByteCount)
    }

    // MARK: Reporting

    private func text(_ results: [Result]) -> String {
        let header =
            ["architecture", "parameters", "training tokens/s"]
            + positions.map { "ms per token at \(Format.grouped($0))" }
            + ["state at \(Format.grouped(positions.last ?? 0))"]
        let rows = results.map { result in
            [
                result.architecture.title, Format.count(result.parameterCount),
                Format.grouped(Int(Double(batch * length) / result.training.median)),
            ] + result.decoding.map { Format.fixed($0.median * 1000, decimals: 2) }
                + [Format.bytes(result.stateByteCounts.last ?? 0)]
        }
        let alignments = [ColumnAlignment.left] + header.dropFirst().map { _ in .right }
        return markdown
            ? MarkdownTable(header: header, rows: rows, alignments: alignments).text()
            : TextTable(header: header, rows: rows, alignments: alignments).text()
    }

    private func tree(_ result: Result) -> SettingsTree {
        let decoding: [SettingsTree] = zip(positions, zip(result.decoding, result.stateByteCounts)).map {
            .ordered(
                [("position", .int($0)), ("state_bytes", .int($1.1))]
                    + $1.0.figures(tokenCount: 1, flopsPerToken: nil))
        }
        return .ordered([
            ("architecture", .string(result.architecture.rawValue)),
            ("parameters", .int(result.parameterCount)),
            ("training", .ordered(result.training.figures(tokenCount: batch * length, flopsPerToken: nil))),
            ("decoding", .array(decoding)),
        ])
    }

    private static func architectures(_ text: String) throws -> [ComparedArchitecture] {
        try text.split(separator: ",").map { part in
            let name = part.trimmingCharacters(in: .whitespaces)
            guard let architecture = ComparedArchitecture(rawValue: name) else {
                let known = ComparedArchitecture.allCases.map(\.rawValue)
                let nearest = NameMatcher.nearest(to: name, in: known).map { "; did you mean '\($0)'?" } ?? ""
                throw ValidationError(
                    "unknown architecture '\(name)'\(nearest) The architectures are \(known.joined(separator: ", "))"
                )
            }
            return architecture
        }
    }
}
