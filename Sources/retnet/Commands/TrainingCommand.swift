import ArgumentParser
import Foundation
import RetNetCommandLine
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
        do {
            let lock = try options.lockToResume()
            do {
                try train(lock)
            } catch {
                lock?.abandon()
                throw error
            }
        } catch TrainingError.runExists(let path) {
            throw CommandError(
                "'\(path)' is not empty: choose another folder with --out, or resume the run in it with --resume"
            )
        } catch TrainingError.noDataPaths {
            throw CommandError(
                "there is nothing to train on: give --data, or data.paths in the configuration")
        }
    }

    private func train(_ lock: FolderLock?) throws {
        let interrupt = InterruptFlag.onSignals()
        // The run warns of its precision, which may come from the configuration.
        let (device, _) = try options.device.prepare(.fast, warns: false)
        let changes = try options.changes.map { try SettingsAssignment(parsing: $0) }
        let configuration = try RunConfiguration<Task>(
            options.document(namesModel: namesModel),
            assignments: assignments() + options.assignments + changes)
        try check(configuration)
        if options.dryRun {
            Console.result(try configuration.resolved(on: device).yamlText)
            return
        }
        let run = try TrainingRun(
            configuration, folder: options.out, resume: options.resume, device: device, lock: lock,
            warn: { Console.warn($0) }, note: { Console.note($0) })
        options.announce(run, on: device)
        // Made before the training, so that a mistake in a file is not found hours later.
        let evaluation = try evaluation(of: run)
        let outcome = try run.run(interrupt: interrupt, observers: [ProgressObserver()])
        var tree = options.tree(outcome, run)
        if outcome.reason == .finished, let evaluation { tree = tree.merging(try evaluation(interrupt)) }
        if options.json { try Console.json(tree) } else { Console.result(options.text(outcome)) }
        if outcome.reason == .interrupted || (evaluation != nil && interrupt.isRaised) {
            throw ExitCodes.interrupted
        }
    }
}
