import ArgumentParser
import RetNetCommandLine
import RetNetRuntime

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
        discussion: PerplexityMeasurement.discussion)

    @OptionGroup var model: ModelOptions
    @OptionGroup var data: DataOptions
    @OptionGroup var measurement: PerplexityMeasurement

    func run() throws {
        let path = try model.folder.path()
        let corpus = try data.corpus()
        let folder = try RuntimeFolder(path: path, stateType: model.stateType)
        let engine = try RuntimeEngine(folder, threads: model.threads)
        try measurement.run(engine, reason: nil, on: corpus, form: .recurrent)
    }
}
