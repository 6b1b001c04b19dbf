import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetGeneration
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// `retnet logits`: logits of a model, for comparison with other implementations.
struct LogitsCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Write the logits of rows of token ids as safetensors.",
        discussion: """
            The output holds one tensor, 'logits', float32 [B, T, V]. --tokens is a JSON array of rows of equal \
            length, such as [[1, 2, 3], [4, 5, 6]]; - reads it from standard input.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var device: DeviceOptions

    @Option(help: ArgumentHelp("File with a JSON array of rows of token ids, or -.", valueName: "file"))
    var tokens: String

    @Option(
        parsing: .unconditional, help: "Form of computation: parallel, chunkwise:N or recurrent.",
        transform: Arguments.form)
    var form: MixerForm = .parallel

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
        let (device, type) = try device.prepare(.exact)
        let rows = try TokenRows(path: tokens)
        let loaded = try model.load(on: device, as: type)
        let network = loaded.model
        if let reason = network.unsupportedReason(for: form) {
            throw CommandError("this model has no form '\(form)': \(reason)")
        }
        let vocabularySize = network.configuration.vocabularySize
        try rows.check(vocabularySize: vocabularySize)
        try checkSize(rows, vocabularySize: vocabularySize)
        let identity = try? loaded.tokenizer.identity
        let saved = try stateIn.map { try StateFile.read($0, for: network, tokenizerIdentity: identity) }
        if saved?.pendingTokens.contains(where: { !$0.isEmpty }) == true {
            throw CommandError(
                "the state in '\(stateIn ?? "")' has tokens that are chosen but not read yet: resume it with"
                    + " `retnet generate` instead")
        }
        try withoutGradients {
            let ids = try Tensor.from(rows.values, [rows.count, rows.length], on: device)
            let (logits, state) = try network(ids, state: saved?.state, form: form)
            let result = try logits.to(.float32)
            try SafetensorsWriter(tensors: [("logits", result)], metadata: ["form": form.description])
                .write(to: output)
            if let stateOut {
                let last = try result.selected(1, rows.length - 1)
                let tokens = (0..<rows.count).map { row in
                    rows.values[row * rows.length..<(row + 1) * rows.length].map { Int32(clamping: $0) }
                }
                let next = SavedState(
                    state: state, logits: last, tokenizerIdentity: identity,
                    metadata: try GenerationSession.metadata(afterTokens: tokens))
                try StateFile.write(next, of: network, to: stateOut)
            }
        }
        try report(rows, vocabularySize: vocabularySize, device: device, type: type)
    }

    /// Throws before the computation if the logits do not fit into memory.
    private func checkSize(_ rows: TokenRows, vocabularySize: Int) throws {
        let (byteCount, overflow) = (rows.values.count * 4).multipliedReportingOverflow(by: vocabularySize)
        guard !overflow, UInt64(byteCount) <= ProcessInfo.processInfo.physicalMemory else {
            throw CommandError(
                "the logits of \(rows.values.count) tokens do not fit into memory: use shorter rows and carry the"
                    + " state with --state-out and --state-in")
        }
    }

    private func report(_ rows: TokenRows, vocabularySize: Int, device: Device, type: ElementType) throws {
        guard json else {
            Console.note("logits [\(rows.count), \(rows.length), \(vocabularySize)] written to '\(output)'")
            return
        }
        try Console.json([
            "output": .string(output), "shape": [.int(rows.count), .int(rows.length), .int(vocabularySize)],
            "form": .string(form.description), "device": .string(device.description),
            "dtype": .string(type.rawValue), "state_out": stateOut.map { .string($0) } ?? .null,
        ])
    }
}
