import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetDistributed
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetTorch
import RetNetTraining

/// The options that all training commands share.
struct RunOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A YAML or JSON configuration.", valueName: "file"))
    var config: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("A changed setting; may be given several times.", valueName: "path=value"))
    var changes: [String] = []

    @Option(name: .shortAndLong, help: ArgumentHelp("The folder of the run.", valueName: "dir"))
    var out: String

    @Option(parsing: .unconditional, help: "Updates of the run.", transform: Arguments.positive)
    var steps: Int?

    @Flag(help: "Resume the run in --out from its newest whole checkpoint.")
    var resume = false

    @Flag(
        help:
            "Resume the run in --out if it has begun, else begin it: for launchers that start a command again."
    )
    var autoResume = false

    @Flag(help: "Check everything and print the resolved configuration instead of training.")
    var dryRun = false

    @OptionGroup var device: DeviceOptions

    @OptionGroup var kernels: KernelOptions

    @Option(
        parsing: .unconditional, help: "Seed for initial weights, data order and dropout.",
        transform: Arguments.seed)
    var seed: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Seconds that a rank waits for the others, where several processes train (default: 600).",
            valueName: "seconds"),
        transform: Arguments.positive)
    var rankTimeout: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Ranks along the axes of the run, as in data=2,sequence=1,tensor=2; all ranks along data by default.",
            valueName: "axes"))
    var mesh: String?

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    func validate() throws {
        if device.elementTypeName == "float64" {
            throw ValidationError("training computes in float32 or bfloat16, not float64")
        }
        if autoResume, resume { throw ValidationError("give --resume or --auto-resume, not both") }
    }

    /// Returns these options with the answer to whether the run is resumed.
    ///
    /// `--auto-resume` resumes a run that has written its configuration, and so do ranks that torchrun has started again.
    func decided(_ assignment: RankAssignment?) -> RunOptions {
        var result = self
        let asks = autoResume || (assignment?.restartCount ?? 0) > 0
        if asks, FileManager.default.fileExists(atPath: RunFolder(path: out).configurationPath) {
            result.resume = true
        }
        return result
    }

    /// Joins the other ranks, if there are any, and gives this one its share of the cores.
    func join(_ assignment: RankAssignment?) throws -> ProcessGroup? {
        guard let assignment, !dryRun else { return nil }
        if device.threads == nil, ProcessInfo.processInfo.environment["OMP_NUM_THREADS"] == nil {
            let cores = ProcessInfo.processInfo.activeProcessorCount
            try Runtime.setThreadCount(max(1, cores / max(1, assignment.localCount ?? 1)))
        }
        return try ProcessGroup(assignment, timeout: Double(rankTimeout ?? 600))
    }

    /// Takes the lock of a run that is to be resumed, so that its configuration is read under it; nil for others.
    func lockToResume() throws -> FolderLock? {
        resume && !dryRun ? try RunFolder(path: out).lock(resume: true) : nil
    }

    /// Returns the document that assignments change: the file, or the configuration of the run to be resumed.
    func document(namesModel: Bool) throws -> SettingsDocument {
        if let config {
            guard FileManager.default.fileExists(atPath: config) else {
                throw CommandError("there is no configuration at '\(config)': check the path")
            }
            return try SettingsDocument(contentsOf: URL(fileURLWithPath: config))
        }
        guard resume, !namesModel else { return SettingsDocument([:]) }
        let path = RunFolder(path: out).configurationPath
        guard FileManager.default.fileExists(atPath: path) else {
            throw TrainingError.nothingToResume(path: out)
        }
        return try SettingsDocument(contentsOf: URL(fileURLWithPath: path))
    }

    /// The options as settings.
    var assignments: [SettingsAssignment] {
        var result: [SettingsAssignment] = []
        if let steps {
            // The file's own duration gives way.
            result += ["tokens", "epochs"].map { SettingsAssignment($0, .null) }
            result.append(SettingsAssignment("steps", .int(steps)))
        }
        if device.elementTypeName != "auto" {
            result.append(SettingsAssignment("precision", .string(device.elementTypeName)))
        }
        if let seed { result.append(SettingsAssignment("seed", .int(seed))) }
        if let mesh { result.append(SettingsAssignment("distributed.mesh", .string(mesh))) }
        return result
    }

    /// Notes the start or the resumption of a run.
    func announce(_ run: TrainingRun<some TrainingTask>, on device: Device, ranks: ProcessGroup?) {
        if let step = run.resumedStep {
            Console.note(
                "resuming '\(out)' after step \(Format.grouped(step)) of \(Format.grouped(run.trainer.stepCount))"
            )
        } else if resume {
            Console.note("'\(out)' holds no checkpoint yet: the run starts again")
        }
        Console.note(
            "training \(Format.count(run.trainer.task.parameters.wholeParameterCount)) parameters on \(device),"
                + " \(ranks.map { "\($0.count) ranks of " } ?? "")\(Runtime.threadCount) threads, in '\(out)'"
        )
    }

    /// Returns the outcome of a run as JSON.
    func tree(_ outcome: TrainingOutcome, _ run: TrainingRun<some TrainingTask>) -> SettingsTree {
        let validation = outcome.validation.map { record in
            var figures: SettingsObject = [
                "step": .int(record.step), "loss": .double(record.loss),
                "perplexity": .double(record.perplexity),
            ]
            figures["bits_per_byte"] = record.bitsPerByte.map { .double($0) }
            figures["accuracy"] = record.accuracy.map { .double($0) }
            figures["tokens"] = .int(record.tokenCount)
            return SettingsTree.object(figures)
        }
        return [
            "reason": .string(outcome.reason.rawValue), "step": .int(outcome.step),
            "loss": outcome.loss.map { .double($0) } ?? .null, "validation": validation ?? .null,
            "model": .string(outcome.checkpointPath), "run": .string(out),
            "parameters": .int(run.trainer.task.parameters.wholeParameterCount),
            "peak_bytes": .int(ProcessMemory.peakByteCount),
        ]
    }

    /// Returns the outcome of a run as text.
    func text(_ outcome: TrainingOutcome) -> String {
        let ending = outcome.reason == .finished ? "finished" : "interrupted (resume with --resume)"
        let validation = outcome.validation.map { ", \($0.summary)" } ?? ""
        return
            "\(ending) after step \(Format.grouped(outcome.step))\(validation)\nmodel: \(outcome.checkpointPath)"
    }
}
