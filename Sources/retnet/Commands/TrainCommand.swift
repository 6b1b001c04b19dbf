import ArgumentParser
import Foundation
import Models
import Reporting
import Settings
import Text
import Torch
import Training

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

    @Option(help: ArgumentHelp("A YAML or JSON configuration.", valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a setting; may be given several times.", valueName: "path=value"))
    var changes: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Files or folders of UTF-8 text, plain or gzip, or token files.", valueName: "path"))
    var data: [String] = []

    @Option(
        name: .customLong("validation-data"), parsing: .upToNextOption,
        help: ArgumentHelp(
            "Text that is never trained on (default: a hundredth of --data is kept apart).", valueName: "path"
        ))
    var validationData: [String] = []

    @Option(
        name: .customLong("document-separator"),
        help: "What separates documents in a file: file (nothing), blank_lines:N or text:SEPARATOR.")
    var separator: String?

    @OptionGroup var tokenizer: TokenizerOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("The folder of the run.", valueName: "dir"))
    var out: String

    @Option(help: "How many updates to make.", transform: Arguments.positive)
    var steps: Int?

    @Flag(help: "Go on with the run in --out from its newest whole checkpoint.")
    var resume = false

    @Flag(help: "Check everything and print the resolved configuration instead of training.")
    var dryRun = false

    @OptionGroup var device: DeviceOptions

    @Option(help: "Decides first weights, order of the data and dropout.", transform: Arguments.seed)
    var seed: Int?

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    func validate() throws {
        if preset != nil, config != nil { throw ValidationError("give --preset or --config, not both") }
        if preset == nil, config == nil, !resume {
            throw ValidationError("give --preset or --config (or --resume to go on with a run)")
        }
        if device.elementTypeName == "float64" {
            throw ValidationError("training computes in float32 or bfloat16, not float64")
        }
        if let preset { _ = try ModelSource.preset(named: preset) }
    }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let (device, _) = try device.prepare(.fast)
        let settings = try settings()
        if dryRun {
            Console.result(try settings.resolved().yamlText)
            return
        }
        let run = try TrainingRun(
            settings, folder: out, resume: resume, device: device,
            warn: { Console.warn($0) })
        if let step = run.resumedStep {
            Console.note(
                "resuming '\(out)' after step \(Format.grouped(step)) of \(Format.grouped(run.stepCount))")
        } else if resume {
            Console.note("'\(out)' holds no checkpoint yet: the run begins anew")
        }
        let parameters = run.trainer.model.parameters.parameterCount
        Console.note(
            "training \(Format.count(parameters)) parameters on \(device), \(Runtime.threadCount) threads, in '\(out)'"
        )
        let outcome = try run.run(interrupt: interrupt, observers: [ProgressObserver()])
        try report(outcome, parameterCount: parameters)
        if outcome.reason == .interrupted { throw ExitCodes.interrupted }
    }

    /// The configuration with the options laid over it; what a resumed run was started with is its base.
    private func settings() throws -> TrainingConfiguration {
        var document = SettingsDocument([:])
        if let config {
            guard FileManager.default.fileExists(atPath: config) else {
                throw CommandError("there is no configuration at '\(config)': check the path")
            }
            document = try SettingsDocument(contentsOf: URL(fileURLWithPath: config))
        } else if preset == nil {
            let path = RunFolder(path: out).configurationPath
            guard FileManager.default.fileExists(atPath: path) else {
                throw TrainingError.nothingToResume(path: out)
            }
            document = try SettingsDocument(contentsOf: URL(fileURLWithPath: path))
        }
        document.merge(try optionSettings(document.tree))
        return try TrainingConfiguration(document, assignments: changes)
    }

    private func optionSettings(_ base: SettingsTree) throws -> SettingsTree {
        var result = SettingsObject()
        if let preset {
            var model: SettingsTree = ["preset": .string(preset)]
            // A preset made for bytes takes a larger vocabulary as it comes.
            if tokenizer.name != nil {
                let needed = try tokenizer.load().vocabularySize
                if try needed > Preset.named(preset).configuration.vocabularySize {
                    model = model.merging(["vocabulary_size": .int(needed)])
                }
            }
            result["model"] = model
        }
        var data = SettingsObject()
        if !self.data.isEmpty { data["paths"] = .array(self.data.map { .string($0) }) }
        if !validationData.isEmpty { data["validation_paths"] = .array(validationData.map { .string($0) }) }
        if let separator { data["document_separator"] = .string(separator) }
        if let name = tokenizer.name { data["tokenizer"] = .string(name) }
        if !data.isEmpty { result["data"] = .object(data) }
        if let steps {
            // Null reads like a missing setting, so the file's own duration gives way.
            for key in ["tokens", "epochs"] where base.value(at: key) != nil { result[key] = .null }
            result["steps"] = .int(steps)
        }
        if device.elementTypeName != "auto" { result["precision"] = .string(device.elementTypeName) }
        if let seed { result["seed"] = .int(seed) }
        return .object(result)
    }

    private func report(_ outcome: TrainingOutcome, parameterCount: Int) throws {
        guard json else {
            let ending = outcome.reason == .finished ? "finished" : "interrupted (continue with --resume)"
            var text = "\(ending) after step \(Format.grouped(outcome.step))"
            if let validation = outcome.validation {
                text += ", \(validation.summary)"
            }
            Console.result("\(text)\nmodel: \(outcome.checkpointPath)")
            return
        }
        let validation: SettingsTree =
            outcome.validation.map {
                [
                    "step": .int($0.step), "loss": .double($0.loss), "perplexity": .double($0.perplexity),
                    "bits_per_byte": $0.bitsPerByte.map { .double($0) } ?? .null,
                    "tokens": .int($0.tokenCount),
                ]
            } ?? .null
        try Console.json([
            "reason": .string(outcome.reason.rawValue), "step": .int(outcome.step),
            "loss": outcome.loss.map { .double($0) } ?? .null, "validation": validation,
            "model": .string(outcome.checkpointPath), "run": .string(out), "parameters": .int(parameterCount),
            "peak_bytes": .int(ProcessMemory.peakByteCount),
        ])
    }
}
