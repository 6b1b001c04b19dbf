import ArgumentParser
import RetNetModels
import RetNetSettings
import RetNetTorch
import RetNetTraining

/// `retnet t5 train`: pretraining of a T5 in a folder.
struct T5TrainCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a T5 on text by span corruption, prefix-LM or LM, or go on with a run.",
        discussion: """
            The run begins from a preset, a folder with a model or a YAML configuration; --set changes any setting by \
            its path, such as --set data.input_length=128 or --set optimizer.kind=adamw. New models read bytes with \
            sentinels unless --tokenizer says otherwise; others keep the tokenizer of their folder.

            Without other settings it is trained as T5X does: Adafactor at 0.01, falling with the root of the step \
            after 10,000, and a z-loss of 1e-4. Ctrl-C or SIGTERM saves a checkpoint and ends with exit code 1; \
            --resume continues exactly.
            """)

    @Option(help: ArgumentHelp("A preset of T5; `retnet presets` lists them.", valueName: "name"))
    var preset: String?

    @Option(
        name: .customLong("initial-model"),
        help: ArgumentHelp("A folder with a T5 to go on from, with new optimiser moments.", valueName: "dir"))
    var initialModel: String?

    @OptionGroup var text: TrainingTextOptions

    @Option(help: "What is learned: span_corruption, prefix_lm or lm.")
    var objective: T5DataConfiguration.Objective?

    @OptionGroup var options: RunOptions

    func validate() throws {
        if [preset, initialModel, options.config].compactMap({ $0 }).count > 1 {
            throw ValidationError("give only one of --preset, --initial-model and --config")
        }
        if preset == nil, initialModel == nil, options.config == nil, !options.resume {
            throw ValidationError(
                "give --preset, --initial-model or --config (or --resume to go on with a run)")
        }
        if let preset {
            do { _ = try T5Preset.named(preset) } catch { throw ValidationError("\(error)") }
        }
    }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let (device, _) = try options.device.prepare(.fast)
        let settings = try settings()
        if options.dryRun {
            Console.result(try settings.resolved().yamlText)
            return
        }
        let training = try options.makeRun(settings, on: device)
        let outcome = try training.run(interrupt: interrupt, observers: [ProgressObserver()])
        try options.finish(outcome, options.tree(outcome, training))
    }

    private func settings() throws -> T5TrainingConfiguration {
        var document = try options.document(isBegun: preset != nil || initialModel != nil)
        var result = SettingsObject()
        if let preset {
            var model: SettingsTree = ["preset": .string(preset)]
            // A preset made for bytes takes a larger vocabulary as it comes.
            if let needed = try text.tokenizer.loadWithSentinels()?.vocabularySize,
                try needed > T5Preset.named(preset).configuration.vocabularySize
            {
                model = model.merging(["vocabulary_size": .int(needed)])
            }
            result["model"] = model
        }
        if let initialModel { result["initial_model"] = .string(try ModelOptions.modelPath(initialModel)) }
        var data = text.settings
        if let objective { data["objective"] = .string(objective.rawValue) }
        if !data.isEmpty { result["data"] = .object(data) }
        document.merge(.object(result))
        document.merge(options.settings(over: document.tree))
        return try T5TrainingConfiguration(document, assignments: options.changes)
    }
}

extension T5DataConfiguration.Objective: ExpressibleByArgument {}
