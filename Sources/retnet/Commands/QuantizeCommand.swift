import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetReporting
import RetNetRuntime
import RetNetSettings

/// `retnet quantize`: model folders with weights of 8 and 4 bits.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Round the weights of a model to 8 or 4 bits, for inference on processors.",
        discussion: """
            The matrices get a scale for every 32 columns, and in 4 bits a minimum too. The embedding and the output matrix \
            keep more bits (16 beside int8, 8 beside int4); vectors, routers and gates of few channels stay as they are. The \
            folder keeps the tokenizer and the settings of generation. It is for the engine without LibTorch; training \
            continues from the model from which it was made.
            """)

    @OptionGroup var model: ModelOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Weights of the matrices: int8 or int4.", valueName: "scheme"),
        transform: Self.scheme)
    var to: QuantizationScheme

    @Option(help: ArgumentHelp("Folder to write.", valueName: "dir"))
    var out: String

    @Flag(help: "Print one JSON object.")
    var json = false

    private static func scheme(_ text: String) throws -> QuantizationScheme {
        guard let scheme = QuantizationScheme(rawValue: text) else {
            throw ValidationError(
                "'\(text)' is not a number of bits that weights are rounded to: use int8 or int4")
        }
        return scheme
    }

    func run() throws {
        try Arguments.checkOutput(out)
        let quantization = try Quantization(path: model.modelPath(), scheme: to)
        let start = ContinuousClock.now
        var line = ProgressLine()
        let report = try quantization.write(to: out) { done, all in line.show(done, of: all) }
        line.end()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let share = Double(report.byteCount) / Double(max(1, report.sourceByteCount))
        if json {
            var counts = SettingsObject()
            for (type, count) in report.valueCounts { counts[type] = .int(count) }
            return try Console.json([
                "out": .string(out), "scheme": .string(to.rawValue), "policy": .string(to.policy),
                "source_bytes": .int(report.sourceByteCount), "bytes": .int(report.byteCount),
                "share": .double(share),
                "values": .object(counts),
                "seconds": .double(seconds),
            ])
        }
        let kinds = report.valueCounts.map { "\(Format.grouped($0.count)) in \($0.elementType)" }
        Console.result(
            """
            scheme       \(to.policy)
            values       \(kinds.joined(separator: ", "))
            size         \(Format.bytes(report.byteCount)), \(Int((100 * share).rounded())) % of \
            \(Format.bytes(report.sourceByteCount))
            """)
        Console.note("written to '\(out)' in \(Int(seconds.rounded())) s")
    }
}

/// The share of work that is done, on one line of the terminal.
private struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var shown = -1

    mutating func show(_ done: Int, of all: Int) {
        let percent = all > 0 ? done * 100 / all : 100
        guard isTerminal, percent != shown else { return }
        shown = percent
        FileHandle.standardError.write(Data("\r\(percent) %".utf8))
    }

    func end() {
        if isTerminal, shown >= 0 { FileHandle.standardError.write(Data("\r     \r".utf8)) }
    }
}
