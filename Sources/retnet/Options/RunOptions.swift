import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetLayers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTorch
import RetNetTraining

/// What training runs have in common on the command line.
struct RunOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A YAML or JSON configuration.", valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Change a setting; may be given several times.", valueName: "path=value"))
    var changes: [String] = []

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
        if device.elementTypeName == "float64" {
            throw ValidationError("training computes in float32 or bfloat16, not float64")
        }
    }

    /// The document that the options change: the file, or what the run to be resumed was started with.
    func document(isBegun: Bool) throws -> SettingsDocument {
        if let config {
            guard FileManager.default.fileExists(atPath: config) else {
                throw CommandError("there is no configuration at '\(config)': check the path")
            }
            return try SettingsDocument(contentsOf: URL(fileURLWithPath: config))
        }
        guard resume, !isBegun else { return SettingsDocument([:]) }
        let path = RunFolder(path: out).configurationPath
        guard FileManager.default.fileExists(atPath: path) else {
            throw TrainingError.nothingToResume(path: out)
        }
        return try SettingsDocument(contentsOf: URL(fileURLWithPath: path))
    }

    /// The settings of these options, over those of a document.
    func settings(over base: SettingsTree) -> SettingsTree {
        var result = SettingsObject()
        if let steps {
            // Null reads like a missing setting, so the file's own duration gives way.
            for key in ["tokens", "epochs"] where base.value(at: key) != nil { result[key] = .null }
            result["steps"] = .int(steps)
        }
        if device.elementTypeName != "auto" { result["precision"] = .string(device.elementTypeName) }
        if let seed { result["seed"] = .int(seed) }
        return .object(result)
    }

    /// Says what begins or goes on.
    func announce(
        resumedStep: Int?, stepCount: Int, parameters: ParameterStore, on device: Device
    ) {
        if let step = resumedStep {
            Console.note(
                "resuming '\(out)' after step \(Format.grouped(step)) of \(Format.grouped(stepCount))")
        } else if resume {
            Console.note("'\(out)' holds no checkpoint yet: the run begins anew")
        }
        Console.note(
            "training \(Format.count(parameters.parameterCount)) parameters on \(device),"
                + " \(Runtime.threadCount) threads, in '\(out)'")
    }

    /// Begins or resumes a run of a T5 and says so.
    func makeRun(_ configuration: T5TrainingConfiguration, on device: Device) throws -> T5TrainingRun {
        let run = try T5TrainingRun(
            configuration, folder: out, resume: resume, device: device, warn: { Console.warn($0) })
        announce(
            resumedStep: run.resumedStep, stepCount: run.stepCount, parameters: run.trainer.model.parameters,
            on: device)
        return run
    }

    /// Prints what a run came to, and reports an interruption.
    func finish(_ outcome: TrainingOutcome, _ tree: SettingsTree) throws {
        if json { try Console.json(tree) } else { Console.result(text(outcome)) }
        if outcome.reason == .interrupted { throw ExitCodes.interrupted }
    }

    /// What a run came to, for machines.
    ///
    /// `measure` is what validation tells beside the loss.
    func tree(
        _ outcome: TrainingOutcome, parameters: ParameterStore,
        measure: (name: String, value: KeyPath<ValidationRecord, Double?>)
    ) -> SettingsTree {
        let validation: SettingsTree =
            outcome.validation.map {
                [
                    "step": .int($0.step), "loss": .double($0.loss), "perplexity": .double($0.perplexity),
                    measure.name: $0[keyPath: measure.value].map { .double($0) } ?? .null,
                    "tokens": .int($0.tokenCount),
                ]
            } ?? .null
        return [
            "reason": .string(outcome.reason.rawValue), "step": .int(outcome.step),
            "loss": outcome.loss.map { .double($0) } ?? .null, "validation": validation,
            "model": .string(outcome.checkpointPath), "run": .string(out),
            "parameters": .int(parameters.parameterCount),
            "peak_bytes": .int(ProcessMemory.peakByteCount),
        ]
    }

    /// What a run came to, for people.
    func text(_ outcome: TrainingOutcome) -> String {
        let ending = outcome.reason == .finished ? "finished" : "interrupted (continue with --resume)"
        let validation = outcome.validation.map { ", \($0.summary)" } ?? ""
        return
            "\(ending) after step \(Format.grouped(outcome.step))\(validation)\nmodel: \(outcome.checkpointPath)"
    }

    /// What a run of a T5 came to, for machines.
    func tree(_ outcome: TrainingOutcome, _ run: T5TrainingRun) -> SettingsTree {
        tree(outcome, parameters: run.trainer.model.parameters, measure: ("accuracy", \.accuracy))
    }
}
