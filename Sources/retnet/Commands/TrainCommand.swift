import ArgumentParser
import Foundation
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetText
import RetNetTorch
import RetNetTraining

/// `retnet train`: a training run in a folder.
struct TrainCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model on text, or go on with a run.",
        discussion: """
            The run begins from a preset or a YAML configuration; --set changes any setting of it by its path, such \
            as --set optimizer.learning_rate=1e-3 or --set data.length=1024. The resolved configuration, metrics, \
            loss curve and checkpoints are kept in --out.

            Ctrl-C or SIGTERM saves a checkpoint and ends with exit code 1. A run that ended early, even by \
            kill -9 or a power cut, continues exactly with --resume: the losses are those of a run that was never \
            interrupted.
            """)

    @Option(help: ArgumentHelp("A preset; `retnet presets` lists them.", valueName: "name"))
    var preset: String?

    @OptionGroup var text: TrainingTextOptions

    @OptionGroup var options: RunOptions

    func validate() throws {
        if preset != nil, options.config != nil {
            throw ValidationError("give --preset or --config, not both")
        }
        if preset == nil, options.config == nil, !options.resume {
            throw ValidationError("give --preset or --config (or --resume to go on with a run)")
        }
        if let preset { _ = try ModelSource.preset(named: preset) }
    }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let (device, _) = try options.device.prepare(.fast)
        let settings = try settings()
        if options.dryRun {
            Console.result(try settings.resolved().yamlText)
            return
        }
        let run = try TrainingRun(
            settings, folder: options.out, resume: options.resume, device: device,
            warn: { Console.warn($0) })
        let parameters = run.trainer.model.parameters
        options.announce(
            resumedStep: run.resumedStep, stepCount: run.stepCount, parameters: parameters, on: device)
        let outcome = try run.run(interrupt: interrupt, observers: [ProgressObserver()])
        try options.finish(
            outcome,
            options.tree(outcome, parameters: parameters, measure: ("bits_per_byte", \.bitsPerByte)))
    }

    /// The configuration with the options laid over it; what a resumed run was started with is its base.
    private func settings() throws -> TrainingConfiguration {
        var document = try options.document(isBegun: preset != nil)
        var result = SettingsObject()
        if let preset {
            var model: SettingsTree = ["preset": .string(preset)]
            // A preset made for bytes takes a larger vocabulary as it comes.
            if text.tokenizer.name != nil {
                let needed = try text.tokenizer.load().vocabularySize
                if try needed > Preset.named(preset).configuration.vocabularySize {
                    model = model.merging(["vocabulary_size": .int(needed)])
                }
            }
            result["model"] = model
        }
        let data = text.settings
        if !data.isEmpty { result["data"] = .object(data) }
        document.merge(.object(result))
        document.merge(options.settings(over: document.tree))
        return try TrainingConfiguration(document, assignments: options.changes)
    }
}
