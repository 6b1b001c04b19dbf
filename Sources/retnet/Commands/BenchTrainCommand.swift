import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// `retnet bench train`: training steps.
struct BenchTrainCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Measure training steps: forward, backward, clipping and AdamW.")

    @OptionGroup var options: BenchOptions

    @Option(parsing: .unconditional, help: "Tokens per row.", transform: Arguments.positive)
    var length = 512

    @Option(
        parsing: .unconditional, help: "Form of computation: parallel, chunkwise:N or recurrent.",
        transform: Arguments.form)
    var form: MixerForm?

    @Option(parsing: .unconditional, help: "Short for --form chunkwise:N.", transform: Arguments.positive)
    var chunk: Int?

    @Flag(help: "Recompute activations in the backward pass instead of storing them.")
    var recompute = false

    func validate() throws {
        if form != nil, chunk != nil { throw ValidationError("give --form or --chunk, not both") }
    }

    func run() throws {
        let model = try options.makeModel()
        model.recomputesActivations = recompute
        let form = form ?? chunk.map { .chunkwise($0) } ?? model.configuration.trainingForm
        var training = TrainingConfiguration()
        training.duration = .steps(1_000_000)
        let trainer = try Trainer(LanguageModelTask(model, source: source(), form: form), training)
        let timings = try options.measure(on: model.device) { _ = try trainer.makeStep() }
        let tokenCount = options.batch * length
        let flops = Double(try ModelAccounting(model.configuration).trainingFLOPsPerToken)
        let peak = ProcessMemory.peakByteCount
        guard options.json else {
            var table = TextTable(
                header: ["measure", "median", "range"], alignments: [.left, .right, .left])
            for row in timings.rows(tokenCount: tokenCount, flopsPerToken: flops) { table.append(row) }
            table.append(["peak memory", Format.bytes(peak), "of the process"])
            Console.result(
                "\(options.headline("training", model)), length \(length), \(form)\n\n\(table.text())")
            return
        }
        try Console.json(
            .ordered(
                options.header("train", model) + [
                    ("length", .int(length)), ("form", .string(form.description)),
                    ("recompute", .bool(recompute)),
                ] + timings.figures(tokenCount: tokenCount, flopsPerToken: flops) + [
                    ("peak_bytes", .int(peak))
                ]))
    }

    /// Returns windows of generated text; the choice of tokens does not affect the speed.
    private func source() throws -> any BatchSource {
        let (needed, overflow) = options.batch.multipliedReportingOverflow(by: length)
        guard !overflow, needed <= 1 << 26 else {
            throw CommandError("a batch of \(options.batch) rows of \(length) tokens is too large to measure")
        }
        var stories = StoryGenerator(seed: options.seed)
        let text = stories.corpus(byteCount: needed * 2 + 4096).text
        let stream = try TokenStream(texts: [text], tokenizer: ByteTokenizer())
        return try ShuffledWindows(
            stream: stream, rowCount: options.batch, length: length, seed: options.seed)
    }
}
