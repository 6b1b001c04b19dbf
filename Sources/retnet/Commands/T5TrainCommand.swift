import ArgumentParser
import RetNetModels
import RetNetSettings
import RetNetTraining

/// `retnet t5 train`: pretraining of a T5 in a folder.
struct T5TrainCommand: TrainingCommand {
    typealias Task = EncoderDecoderTask

    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a T5 on text by span corruption, prefix-LM or LM, or resume a run.",
        discussion: """
            The run starts from a preset, a folder with a model or a YAML configuration; --set changes any setting by \
            its path, such as --set data.input_length=128 or --set optimizer.kind=adamw. New models read bytes with \
            sentinels unless --tokenizer names another tokenizer; others keep that of their folder.

            Without other settings it is trained as T5X does: Adafactor at 0.01, falling with the root of the step \
            after 10,000, and a z-loss of 1e-4. Ctrl-C or SIGTERM saves a checkpoint and ends with exit code 1; \
            --resume resumes exactly.
            """)

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("A preset of T5; `retnet presets` lists them.", valueName: "name"))
    var preset: String?

    @Option(
        name: .customLong("initial-model"),
        help: ArgumentHelp("A folder with a T5 to start from, with new optimizer moments.", valueName: "dir"))
    var initialModel: String?

    @OptionGroup var text: TrainingTextOptions

    @Option(
        parsing: .unconditional, help: "Conversion of text into examples: span_corruption, prefix_lm or lm.")
    var objective: TextToTextDataConfiguration.Objective?

    @OptionGroup var options: RunOptions

    func validate() throws {
        if [preset, initialModel, options.config].compactMap({ $0 }).count > 1 {
            throw ValidationError("give only one of --preset, --initial-model and --config")
        }
        if preset == nil, initialModel == nil, options.config == nil, !options.resume {
            throw ValidationError(
                "give --preset, --initial-model or --config (or --resume to resume a run)")
        }
        if let preset {
            do { _ = try T5Preset.named(preset) } catch { throw ValidationError("\(error)") }
        }
    }

    var namesModel: Bool { preset != nil || initialModel != nil }

    func assignments() throws -> [SettingsAssignment] {
        var result: [SettingsAssignment] = []
        if let preset {
            result += try text.assignments(
                T5Preset.named(preset),
                // The configuration gives the model the size of a tokenizer that is trained; it has T5's special tokens.
                tokenizer: text.tokenizer.recipe == nil ? text.tokenizer.loadWithSentinels() : nil)
        }
        if let initialModel {
            let path = try ModelOptions.modelPath(initialModel)
            result.append(SettingsAssignment("initial_model", .string(path)))
        }
        result += text.assignments
        if let objective { result.append(SettingsAssignment("data.objective", .string(objective.rawValue))) }
        return result
    }
}

extension TextToTextDataConfiguration.Objective: ExpressibleByArgument {}
