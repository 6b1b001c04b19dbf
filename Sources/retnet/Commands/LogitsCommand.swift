import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetEngines
import RetNetInference
import RetNetMixers
import RetNetSampling
import RetNetSettings

/// `retnet logits`: logits of a model, for comparison with other implementations.
struct LogitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Write the logits of rows of token ids as safetensors.",
        discussion: """
            The output holds one tensor, 'logits', float32 [B, T, V]. --tokens is a JSON array of rows of equal \
            length, such as [[1, 2, 3], [4, 5, 6]]; - reads it from standard input.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var engine: EngineOptions

    @Option(help: ArgumentHelp("File with a JSON array of rows of token ids, or -.", valueName: "file"))
    var tokens: String

    @Option(
        parsing: .unconditional,
        help: "Form of computation with LibTorch: parallel, chunkwise:N or recurrent (default: parallel).",
        transform: Arguments.form)
    var form: MixerForm?

    @Option(name: .shortAndLong, help: ArgumentHelp("Safetensors file to write.", valueName: "file"))
    var output: String

    @Option(
        help: ArgumentHelp(
            "State file to resume from, with one row per row of tokens.", valueName: "file"))
    var stateIn: String?

    @Option(help: ArgumentHelp("State file to write after the last tokens.", valueName: "file"))
    var stateOut: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try Arguments.checkOutput(output, replaceable: true)
        if let stateOut { try Arguments.checkOutput(stateOut, replaceable: true) }
        let selection = try engine.select(
            model.modelPath(), device, .exact,
            onlyLibTorch: [
                (form != nil, "--form"),
                (stateIn.map(StateFileHeader.isOfVersion1) ?? false, "state files of version 1"),
            ])
        let rows = try TokenRows(path: tokens)
        let opened = try selection.load()
        let vocabularySize = opened.engine.configuration.vocabularySize
        try rows.check(vocabularySize: vocabularySize)
        // The runtime writes them as they are computed.
        if selection.kind == .libtorch { try checkSize(rows, vocabularySize: vocabularySize) }
        var job = LogitsJob(rows: rows.rows, output: output)
        (job.form, job.stateIn, job.stateOut) = (form, stateIn, stateOut)
        try opened.engine.writeLogits(job)
        try report(opened, shape: [rows.count, rows.length, vocabularySize])
    }

    /// Throws before the computation if the logits do not fit into memory.
    private func checkSize(_ rows: TokenRows, vocabularySize: Int) throws {
        let count = rows.count * rows.length
        let (byteCount, overflow) = (count * 4).multipliedReportingOverflow(by: vocabularySize)
        guard !overflow, UInt64(byteCount) <= ProcessInfo.processInfo.physicalMemory else {
            throw CommandError(
                "the logits of \(count) tokens do not fit into memory: use shorter rows and carry the"
                    + " state with --state-out and --state-in")
        }
    }

    private func report(_ opened: OpenedEngine, shape: [Int]) throws {
        guard json else {
            let sizes = shape.map(String.init).joined(separator: ", ")
            Console.note("logits [\(sizes)] written to '\(output)'")
            Console.note("engine \(opened.engine.summary(reason: opened.reason))")
            return
        }
        let usedForm = opened.engine.kind == .libtorch ? (form ?? .parallel).description : nil
        let tree: SettingsTree = [
            "output": .string(output), "shape": .array(shape.map { .int($0) }),
            "form": usedForm.map { .string($0) } ?? .null,
            "state_out": stateOut.map { .string($0) } ?? .null,
        ]
        try Console.json(tree.merging(opened.engine.tree(reason: opened.reason)))
    }
}
