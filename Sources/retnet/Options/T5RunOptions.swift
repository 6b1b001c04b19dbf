import ArgumentParser
import Checkpoints
import Foundation
import Models
import Reporting
import Settings
import Torch
import Training

/// What training runs of a T5 have in common on the command line.
struct T5RunOptions: ParsableArguments {
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

    /// Begins or resumes a run and says so.
    func makeRun(_ configuration: T5TrainingConfiguration, on device: Device) throws -> T5TrainingRun {
        let run = try T5TrainingRun(
            configuration, folder: out, resume: resume, device: device, warn: { Console.warn($0) })
        if let step = run.resumedStep {
            Console.note(
                "resuming '\(out)' after step \(Format.grouped(step)) of \(Format.grouped(run.stepCount))")
        } else if resume {
            Console.note("'\(out)' holds no checkpoint yet: the run begins anew")
        }
        Console.note(
            "training \(Format.count(run.trainer.model.parameters.parameterCount)) parameters on \(device),"
                + " \(Runtime.threadCount) threads, in '\(out)'")
        return run
    }

    /// What a run came to, for machines.
    func tree(_ outcome: TrainingOutcome, _ run: T5TrainingRun) -> SettingsTree {
        let validation: SettingsTree =
            outcome.validation.map {
                [
                    "step": .int($0.step), "loss": .double($0.loss), "perplexity": .double($0.perplexity),
                    "accuracy": $0.accuracy.map { .double($0) } ?? .null, "tokens": .int($0.tokenCount),
                ]
            } ?? .null
        return [
            "reason": .string(outcome.reason.rawValue), "step": .int(outcome.step),
            "loss": outcome.loss.map { .double($0) } ?? .null, "validation": validation,
            "model": .string(outcome.checkpointPath), "run": .string(out),
            "parameters": .int(run.trainer.model.parameters.parameterCount),
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
}
