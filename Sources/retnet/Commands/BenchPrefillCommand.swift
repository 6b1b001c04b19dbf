import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetEngines
import RetNetInference
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage

/// `retnet bench prefill`: the reading of a prompt.
struct BenchPrefillCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "prefill", abstract: "Measure prefill: the reading of a prompt into the state.")

    @OptionGroup var options: BenchOptions
    @OptionGroup var engine: EngineOptions

    @Option(parsing: .unconditional, help: "Tokens per row.", transform: Arguments.positive)
    var length = 2048

    @Option(
        parsing: .unconditional,
        help: "Form of computation with LibTorch: parallel, chunkwise:N or recurrent.",
        transform: Arguments.form)
    var form: MixerForm?

    @Option(parsing: .unconditional, help: "Short for --form chunkwise:N.", transform: Arguments.positive)
    var chunk: Int?

    @Option(
        parsing: .unconditional, help: "Tokens per pass; the state is carried to the next pass.",
        transform: Arguments.positive)
    var piece = 1024

    func validate() throws {
        if form != nil, chunk != nil { throw ValidationError("give --form or --chunk, not both") }
    }

    func run() throws {
        let opened = try options.open(
            engine, onlyLibTorch: [(form != nil, "--form"), (chunk != nil, "--chunk")])
        let engine = opened.engine
        let (count, overflow) = options.batch.multipliedReportingOverflow(by: length)
        guard !overflow, count <= 1 << 30 else {
            throw CommandError("a batch of \(options.batch) rows of \(length) tokens is too large to measure")
        }
        let form =
            engine.kind == .libtorch
            ? form ?? chunk.map { .chunkwise($0) } ?? engine.configuration.trainingForm : nil
        let size = engine.configuration.vocabularySize
        let tokens = (0..<options.batch).map { row in (0..<length).map { Int32((row * length + $0) % size) } }
        var stateByteCount = 0
        let timings = try options.measure {
            let rows = try engine.sequences(count: options.batch, form: form)
            for start in stride(from: 0, to: length, by: piece) {
                try rows.read(tokens.map { Array($0[start..<min(start + piece, length)]) })
            }
            stateByteCount = rows.stateByteCount
        }
        let flops = Double(try ModelAccounting(engine.configuration).forwardFLOPsPerToken)
        let peak = ProcessMemory.peakByteCount
        guard options.json else {
            var table = TextTable(
                header: ["measure", "median", "range"], alignments: [.left, .right, .left])
            for row in timings.rows(tokenCount: count, flopsPerToken: flops) { table.append(row) }
            table.append(["state", Format.bytes(stateByteCount), "whole batch"])
            table.append(["peak memory", Format.bytes(peak), "of the process"])
            Console.result(
                "\(options.headline("prefill", engine)), length \(length)\(form.map { ", \($0)" } ?? "")\n\n"
                    + "\(table.text())\nEngine: \(engine.summary(reason: opened.reason)).")
            return
        }
        try Console.json(
            .ordered(
                options.header("prefill", engine) + opened.entries + [
                    ("length", .int(length)), ("form", form.map { .string($0.description) } ?? .null),
                    ("piece", .int(piece)),
                ] + timings.figures(tokenCount: count, flopsPerToken: flops) + [
                    ("state_bytes", .int(stateByteCount)), ("peak_bytes", .int(peak)),
                ] + BenchOptions.devicePeak(engine)))
    }
}
