import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetDistributed
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetTorch
import RetNetTraining

/// A command that trains: everything but the options of its task is shared.
///
/// Options are spellings of settings: they become assignments before those of `--set`.
protocol TrainingCommand: ParsableCommand, ComputingCommand {
    associatedtype Task: TrainingTask

    /// The shared options.
    var options: RunOptions { get }
    /// True if an option names the model that the run starts from.
    var namesModel: Bool { get }

    /// Returns the options of the task as settings.
    func assignments() throws -> [SettingsAssignment]
    /// Throws unless the command can train with a configuration.
    func check(_ configuration: RunConfiguration<Task>) throws
    /// Returns a measurement of the trained model, which adds its figures to the results; nil for none.
    func evaluation(of run: TrainingRun<Task>) throws -> (
        (_ interrupt: InterruptFlag) throws -> SettingsTree
    )?
}

extension TrainingCommand {
    func check(_ configuration: RunConfiguration<Task>) throws {}

    func evaluation(of run: TrainingRun<Task>) throws -> (
        (_ interrupt: InterruptFlag) throws -> SettingsTree
    )? {
        nil
    }

    func run() throws {
        let assignment = try RankAssignment.detect(ProcessInfo.processInfo.environment)
        // Rank 0 checks and prints for all.
        if options.dryRun, let assignment, assignment.rank > 0 { return }
        let group = try options.join(assignment)
        do {
            try runOnce(options.decided(assignment), group)
        } catch {
            group?.abort(because: Self.explained(error))
            // Errors of other ranks are told by the one that found them.
            if error is DistributedError, let group, !group.isReporter { throw ExitCode(1) }
            throw Self.explained(error)
        }
    }

    private func runOnce(_ options: RunOptions, _ group: ProcessGroup?) throws {
        let lock = group?.rank ?? 0 == 0 ? try options.lockToResume() : nil
        do {
            try train(options, lock, group)
        } catch {
            lock?.abandon()
            throw error
        }
    }

    /// Returns an error with the options that help.
    private static func explained(_ error: any Error) -> any Error {
        do {
            throw error
        } catch TrainingError.runExists(let path) {
            return CommandError(
                "'\(path)' is not empty: choose another folder with --out, or resume the run in it with --resume"
                    + " (--auto-resume does either)")
        } catch TrainingError.noDataPaths {
            return CommandError(
                "there is nothing to train on: give --data, or data.paths in the configuration")
        } catch {
            return error
        }
    }

    private func train(_ options: RunOptions, _ lock: FolderLock?, _ group: ProcessGroup?) throws {
        let interrupt = InterruptFlag.onSignals()
        // The run warns of its precision, which may come from the configuration.
        let (device, _) = try options.device.prepare(.fast, warns: false)
        options.kernels.apply()
        let changes = try options.changes.map { try SettingsAssignment(parsing: $0) }
        let configuration = try RunConfiguration<Task>(
            options.document(namesModel: namesModel),
            assignments: assignments() + options.assignments + changes)
        try check(configuration)
        if options.dryRun {
            Console.result(try configuration.resolved(on: device).yamlText)
            return
        }
        let isFirst = group?.rank ?? 0 == 0
        let run = try TrainingRun(
            configuration, folder: options.out, resume: options.resume, device: device, lock: lock,
            group: group,
            facts: [("version of retnet", PackageVersion.current), ("LibTorch", Runtime.loadedVersion)],
            warn: { if isFirst { Console.warn($0) } }, note: { if isFirst { Console.note($0) } })
        if isFirst { options.announce(run, on: device, ranks: group) }
        // Made before the training, so that a mistake in a file is not found hours later.
        let evaluation = isFirst ? try evaluation(of: run) : nil
        let outcome = try run.run(interrupt: interrupt, observers: isFirst ? [ProgressObserver()] : [])
        group?.leave()
        guard isFirst else {
            if outcome.reason == .interrupted { throw ExitCodes.interrupted }
            return
        }
        var tree = options.tree(outcome, run)
        if outcome.reason == .finished, let evaluation { tree = tree.merging(try evaluation(interrupt)) }
        if options.json { try Console.json(tree) } else { Console.result(options.text(outcome)) }
        if outcome.reason == .interrupted || (evaluation != nil && interrupt.isRaised) {
            throw ExitCodes.interrupted
        }
    }
}
