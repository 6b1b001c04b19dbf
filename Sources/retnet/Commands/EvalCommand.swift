import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetText
import RetNetTorch
import RetNetTraining

/// `retnet eval`: measurements of trained models.
struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Measure a trained model.",
        subcommands: [PerplexityCommand.self, RecallCommand.self])
}

/// `retnet eval perplexity`: how well a model predicts a text.
struct PerplexityCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measure perplexity and bits per byte of a text of any length at constant memory.",
        discussion: """
            By default the text is read once from start to end with the state carried along, so that every token is \
            predicted from all before it. With --context N it is cut into windows of N tokens that know nothing of \
            each other, as is usual for models with a limited context; for models whose state grows with the text \
            that is the default, with N their training length. The three forms give equal results.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var data: DataOptions
    @OptionGroup var device: DeviceOptions

    @Option(
        help: "The length of independent windows in tokens (default: none, the state is carried).",
        transform: Arguments.positive)
    var context: Int?

    @Option(
        help: ArgumentHelp(
            "The form to compute in: parallel, chunkwise:N or recurrent.",
            discussion: "Default: chunkwise:256."), transform: Arguments.form)
    var form: MixerForm?

    @Option(
        help: "Tokens of one pass where the state is carried; bounds the memory.",
        transform: Arguments.positive)
    var window = 2048

    @Option(help: "Windows of one pass with --context.", transform: Arguments.positive)
    var batch: Int?

    @Option(
        help: "Tokens that a window repeats from the one before, without scoring them again, with --context.",
        transform: Arguments.nonNegative)
    var overlap = 0

    @Flag(name: .customLong("reset-at-documents"), help: "Clear the carried state where a document begins.")
    var resetsAtDocuments = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if let context {
            if overlap >= context { throw ValidationError("--overlap must be smaller than --context") }
            if resetsAtDocuments { throw ValidationError("give --context or --reset-at-documents, not both") }
        } else if batch != nil || overlap > 0 {
            throw ValidationError("--batch and --overlap need --context")
        }
    }

    func run() throws {
        let (device, type) = try device.prepare(.exact)
        let corpus = try data.corpus()
        let loaded = try model.load(on: device, as: type)
        let tokenizer = try loaded.tokenizer
        let stream = try corpus.tokenStream(tokenizer: tokenizer)
        let interrupt = InterruptFlag.onSignals()
        let configuration = loaded.model.configuration
        let context = context ?? (configuration.stateGrows ? configuration.trainingLength ?? 2048 : nil)
        let options = options(context: context)
        let perplexity = try Perplexity(
            loaded.model, byteCounts: TokenByteCounts(tokenizer), options: options)
        let bar = ProgressBar(title: "eval", total: stream.tokenCount)
        var isComplete = true
        let result = try perplexity.measure(stream) { sums, fraction in
            bar.update(
                step: Int((fraction * Double(stream.tokenCount)).rounded()),
                metrics: [.value("bits/byte", sums.bitsPerByte), .rate(sums.tokensPerSecond, unit: "tok/s")])
            isComplete = !interrupt.isRaised || fraction >= 1
            return isComplete
        }
        bar.finish()
        if !isComplete { Console.warn("interrupted: the result covers the first part of the text only") }
        try report(
            result, options: options, context: context, device: device, type: type, isComplete: isComplete)
        if !isComplete { throw ExitCodes.interrupted }
    }

    private func options(context: Int?) -> PerplexityOptions {
        var options = context.map { PerplexityOptions.independent(context: $0) } ?? PerplexityOptions()
        if let form { options.form = form }
        if context == nil {
            options.windowLength = window
            options.mode = resetsAtDocuments ? .carriedWithinDocuments : .carried
        } else if let batch {
            options.mode = .independent(rowCount: batch, overlap: overlap)
        } else if case .independent(let rowCount, _) = options.mode {
            options.mode = .independent(rowCount: rowCount, overlap: overlap)
        }
        return options
    }

    private func report(
        _ result: PerplexityResult, options: PerplexityOptions, context: Int?, device: Device,
        type: ElementType, isComplete: Bool
    ) throws {
        guard json else {
            var table = TextTable(header: ["measure", "value"], alignments: [.left, .right])
            table.append(["bits per byte", Format.fixed(result.bitsPerByte, decimals: 4)])
            table.append(["perplexity per token", Format.fixed(result.perplexity, decimals: 4)])
            table.append(["nats per token", Format.fixed(result.natsPerToken, decimals: 6)])
            table.append(["tokens predicted", Format.grouped(result.tokenCount)])
            table.append(["bytes", Format.grouped(result.byteCount)])
            table.append(["form", options.form.description])
            table.append(["context", context.map { "\($0) tokens" } ?? "everything before"])
            table.append(["tokens per second", Format.count(result.tokensPerSecond)])
            Console.result(table.text())
            return
        }
        try Console.json([
            "bits_per_byte": .double(result.bitsPerByte), "perplexity": .double(result.perplexity),
            "nats_per_token": .double(result.natsPerToken), "bits_per_token": .double(result.bitsPerToken),
            "total_nats": .double(result.totalNats), "tokens": .int(result.tokenCount),
            "bytes": .int(result.byteCount), "form": .string(options.form.description),
            "context": context.map { .int($0) } ?? .null, "seconds": .double(result.seconds),
            "tokens_per_second": .double(result.tokensPerSecond), "device": .string(device.description),
            "dtype": .string(type.rawValue), "complete": .bool(isComplete),
        ])
    }
}
