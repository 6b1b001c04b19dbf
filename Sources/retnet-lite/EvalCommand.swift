import ArgumentParser
import RetNetCommandLine
import RetNetRuntime
import RetNetSettings
import RetNetStorage
import RetNetText

/// `retnet-lite eval`: measurements of trained models.
struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Measure a trained model.", subcommands: [PerplexityCommand.self])
}

/// `retnet-lite eval perplexity`: perplexity and bits per byte of a text.
struct PerplexityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measure perplexity and bits per byte of a text at constant memory.",
        discussion: """
            By default the text is read once from start to end with a carried state. --context N divides it into \
            independent windows of N tokens; this is the default for models whose state grows with the text, with N their \
            training length.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var data: DataOptions

    @Option(
        parsing: .unconditional, help: "Tokens per independent window (default: none, the state is carried).",
        transform: Arguments.positive)
    var context: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let corpus = try data.corpus()
        let folder = try RuntimeFolder(path: model.model, stateType: model.stateType)
        let stream = try corpus.tokenStream(tokenizer: folder.tokenizer)
        stream.byteCountWarnings.forEach(Console.warn)
        let runner = try model.runner(folder.model)
        let context = context ?? folder.model.configuration.evaluationWindowLength
        let interrupt = InterruptFlag.onSignals()
        var isComplete = true
        let result = try runner.loss(
            of: stream, windowLength: context ?? 2048,
            mode: context == nil ? .carried : .independent(rowCount: 1, overlap: 0)
        ) { _, fraction in
            isComplete = !interrupt.isRaised || fraction >= 1
            return isComplete
        }
        if !isComplete { Console.warn("interrupted: the result covers only the first part of the text") }
        if json {
            try Console.json([
                "tokens": .int(result.tokenCount), "bytes": result.byteCount.map { .int($0) } ?? .null,
                "nats_per_token": .double(result.natsPerToken), "perplexity": .double(result.perplexity),
                "bits_per_byte": result.bitsPerByte.map { .double($0) } ?? .null,
                "tokens_per_second": .double(result.tokensPerSecond), "seconds": .double(result.seconds),
                "complete": .bool(isComplete), "engine": .string("runtime"),
            ])
        } else {
            let perByte = result.bitsPerByte.map { ", \(rounded($0, 4)) bits per byte" } ?? ""
            Console.result(
                "perplexity \(rounded(result.perplexity, 4)), \(rounded(result.natsPerToken, 4)) nats per token\(perByte)"
                    + " over \(result.tokenCount) tokens (\(Int(result.tokensPerSecond)) tokens/s)")
        }
        if !isComplete { throw ExitCodes.interrupted }
    }

    private func rounded(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        return "\((value * scale).rounded() / scale)"
    }
}
