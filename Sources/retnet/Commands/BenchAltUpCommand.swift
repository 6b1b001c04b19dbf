import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetLayers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTorch

/// `retnet bench altup`: the cost of AltUp relative to the dense model.
struct BenchAltUpCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "altup",
        abstract: "Measure the cost of AltUp in training and generation relative to the dense model.",
        discussion: """
            A dense preset, Recycled-AltUp (with the embedding and output of the dense model) and AltUp take turns, \
            one step each, every second round in the opposite order; ratios compare steps of the same round. Figures \
            are medians.
            """)

    @Option(parsing: .unconditional, help: "Dense preset.", transform: Self.densePreset)
    var preset = "retnet-22m"

    @Option(
        parsing: .unconditional, help: "Numbers of AltUp streams, separated by commas.",
        transform: Self.blockCounts)
    var blocks = [2, 4]

    @Option(parsing: .unconditional, help: "Rows of a training batch.", transform: Arguments.positive)
    var batch = 8

    @Option(parsing: .unconditional, help: "Tokens of a training row.", transform: Arguments.positive)
    var length = 512

    @Option(parsing: .unconditional, help: "Timed rounds through all models.", transform: Arguments.positive)
    var rounds = 10

    @OptionGroup var device: DeviceOptions

    @Flag(help: "Print a Markdown table.")
    var markdown = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard batch <= 1 << 20, length <= 1 << 20, batch * length <= 1 << 24 else {
            throw ValidationError("a batch of \(batch) rows of \(length) tokens is too large to measure")
        }
    }

    func run() throws {
        let (device, type) = try device.prepare(.fast)
        let subjects = try contenders().map {
            try BenchSubject($0.name, $0.configuration, batch: batch, length: length, device, type)
        }
        let bar = ProgressBar(title: "bench", total: 2 * rounds)
        // The first steps are warm-up.
        for subject in subjects { _ = try subject.trainer.makeStep() }
        try inTurns(subjects, bar, from: 0) { try $0.train() }
        for subject in subjects { try subject.prepareGeneration() }
        try inTurns(subjects, bar, from: rounds) { try $0.generate() }
        bar.finish()
        if json {
            try Console.json([
                "benchmark": "altup", "model": .string(preset), "batch": .int(batch), "length": .int(length),
                "rounds": .int(rounds), "dtype": .string(type.rawValue),
                "device": .string(device.description), "threads": .int(Runtime.threadCount),
                "results": .array(subjects.map { tree($0, dense: subjects[0]) }),
            ])
        } else {
            Console.result(text(subjects))
        }
    }

    private func contenders() throws -> [(name: String, configuration: LanguageModelConfiguration)] {
        let dense = try ModelSource.preset(named: preset).configuration
        var result = [("dense", dense)]
        for kind in [AltUpConfiguration.Kind.recycled, .standard] {
            for count in blocks {
                var configuration = dense
                configuration.altUp = AltUpConfiguration(kind: kind, streamCount: count)
                try configuration.validate()
                let name = kind == .recycled ? "Recycled-AltUp" : "AltUp"
                result.append(("\(name), K = \(count)", configuration))
            }
        }
        return result
    }

    private func inTurns(
        _ subjects: [BenchSubject], _ bar: ProgressBar, from start: Int, _ body: (BenchSubject) throws -> Void
    ) throws {
        for round in 0..<rounds {
            for subject in round % 2 == 0 ? subjects : subjects.reversed() { try body(subject) }
            bar.update(step: start + round + 1, metrics: [])
        }
    }

    // MARK: Reporting

    private func text(_ subjects: [BenchSubject]) -> String {
        let header = [
            "model", "parameters", "ms per training step", "times dense", "ms per token", "times dense",
            "state",
        ]
        let rows = subjects.map { subject in
            [
                subject.name, Format.count(subject.parameterCount),
                Format.fixed(subject.training.median * 1000, decimals: 1),
                ratio(subject.training, subjects[0].training),
                Format.fixed(subject.decoding.median * 1000, decimals: 2),
                ratio(subject.decoding, subjects[0].decoding), Format.bytes(subject.stateByteCount),
            ]
        }
        let alignments = [ColumnAlignment.left] + header.dropFirst().map { _ in .right }
        return markdown
            ? MarkdownTable(header: header, rows: rows, alignments: alignments).text()
            : TextTable(header: header, rows: rows, alignments: alignments).text()
    }

    private func ratio(_ one: Timings, _ other: Timings) -> String {
        Format.fixed(one.ratios(to: other).median, decimals: 3)
    }

    private func tree(_ subject: BenchSubject, dense: BenchSubject) -> SettingsTree {
        .ordered([
            ("name", .string(subject.name)), ("parameters", .int(subject.parameterCount)),
            ("state_bytes", .int(subject.stateByteCount)),
            ("training", .ordered(subject.training.figures(tokenCount: batch * length, flopsPerToken: nil))),
            ("training_ratio", .double(subject.training.ratios(to: dense.training).median)),
            ("decoding", .ordered(subject.decoding.figures(tokenCount: 1, flopsPerToken: nil))),
            ("decoding_ratio", .double(subject.decoding.ratios(to: dense.decoding).median)),
        ])
    }

    // MARK: Options

    private static func densePreset(_ name: String) throws -> String {
        guard try ModelSource.preset(named: name).configuration.altUp == nil else {
            throw ValidationError("'\(name)' has AltUp already; give the dense preset")
        }
        return name
    }

    private static func blockCounts(_ text: String) throws -> [Int] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let count = Int(part.trimmingCharacters(in: .whitespaces)), (1...64).contains(count) else {
                throw ValidationError("'\(part)' is not a number of AltUp streams from 1 to 64")
            }
            return count
        }
    }
}
