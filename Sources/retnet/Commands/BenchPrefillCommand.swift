import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetTorch

/// `retnet bench prefill`: the reading of a prompt.
struct BenchPrefillCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "prefill", abstract: "Measure prefill: the reading of a prompt into the state.")

    @OptionGroup var options: BenchOptions

    @Option(parsing: .unconditional, help: "Tokens per row.", transform: Arguments.positive)
    var length = 2048

    @Option(
        parsing: .unconditional, help: "Form of computation: parallel, chunkwise:N or recurrent.",
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
        let model = try options.makeModel(forTraining: false)
        let form = form ?? chunk.map { .chunkwise($0) } ?? model.configuration.trainingForm
        let (count, overflow) = options.batch.multipliedReportingOverflow(by: length)
        guard !overflow, count <= 1 << 30 else {
            throw CommandError("a batch of \(options.batch) rows of \(length) tokens is too large to measure")
        }
        let tokens = try Tensor.from(
            (0..<count).map { Int64($0 % model.configuration.vocabularySize) }, [options.batch, length],
            on: model.device)
        var stateByteCount = 0
        let timings = try options.measure(on: model.device) {
            stateByteCount = try read(tokens, model, form)
        }
        let flops = Double(try ModelAccounting(model.configuration).forwardFLOPsPerToken)
        let peak = ProcessMemory.peakByteCount
        guard options.json else {
            var table = TextTable(
                header: ["measure", "median", "range"], alignments: [.left, .right, .left])
            for row in timings.rows(tokenCount: count, flopsPerToken: flops) { table.append(row) }
            table.append(["state", Format.bytes(stateByteCount), "whole batch"])
            table.append(["peak memory", Format.bytes(peak), "of the process"])
            Console.result(
                "\(options.headline("prefill", model)), length \(length), \(form)\n\n\(table.text())")
            return
        }
        try Console.json(
            .ordered(
                options.header("prefill", model) + [
                    ("length", .int(length)), ("form", .string(form.description)), ("piece", .int(piece)),
                ] + timings.figures(tokenCount: count, flopsPerToken: flops) + [
                    ("state_bytes", .int(stateByteCount)), ("peak_bytes", .int(peak)),
                ]))
    }

    private func read(_ tokens: Tensor, _ model: LanguageModel, _ form: MixerForm) throws -> Int {
        try withoutGradients {
            var state = try model.initialState(batch: options.batch)
            for start in stride(from: 0, to: length, by: piece) {
                let part = try tokens.sliced(1, start..<min(start + piece, length))
                state = try model(part, state: state, form: form, lastOnly: true).state
            }
            return state.byteCount
        }
    }
}
