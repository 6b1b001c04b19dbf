import ArgumentParser
import RetNetModels
import RetNetSettings
import RetNetTraining

/// `retnet train`: a training run in a folder.
struct TrainCommand: TrainingCommand {
    typealias Task = LanguageModelTask

    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model on text, or resume a run.",
        discussion: """
            The run starts from a preset or a YAML configuration; --set changes any setting of it by its path, such \
            as --set optimizer.learning_rate=1e-3 or --set data.length=1024. --out holds the resolved configuration, \
            metrics, loss curve and checkpoints.

            Ctrl-C or SIGTERM saves a checkpoint and ends with exit code 1. A run that ended early, even by \
            kill -9 or a power cut, resumes exactly with --resume: the losses are those of a run that was never \
            interrupted.
            """)

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("A preset; `retnet presets` lists them.", valueName: "name"))
    var preset: String?

    @OptionGroup var text: TrainingTextOptions

    @OptionGroup var options: RunOptions

    func validate() throws {
        if preset != nil, options.config != nil {
            throw ValidationError("give --preset or --config, not both")
        }
        if preset == nil, options.config == nil, !options.resume {
            throw ValidationError("give --preset or --config (or --resume to resume a run)")
        }
        if let preset { _ = try ModelSource.preset(named: preset) }
    }

    var namesModel: Bool { preset != nil }

    func assignments() throws -> [SettingsAssignment] {
        guard let preset else { return text.assignments }
        // The configuration gives the model the size of a tokenizer that is trained.
        let isKnown = try text.tokenizer.name != nil && text.tokenizer.recipe == nil
        let tokenizer = isKnown ? try text.tokenizer.load() : nil
        return try text.assignments(
            preset: preset, vocabularySize: Preset.named(preset).configuration.vocabularySize,
            tokenizer: tokenizer)
            + text.assignments
    }
}
