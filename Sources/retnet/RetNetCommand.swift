import ArgumentParser
import RetNetTorch

/// The root command: everything happens in its subcommands.
struct RetNetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retnet",
        abstract: "Train, evaluate and run retentive networks.",
        discussion: """
            Results are written to standard output, messages and progress to standard error. The exit code is 0 \
            on success, 64 for a mistake in the command line and 1 for any other failure.

            Begin with `retnet demo`, or `retnet doctor` where something does not work.
            """,
        version: "retnet \(PackageVersion.current) (LibTorch \(Runtime.loadedVersion))",
        subcommands: [
            DemoCommand.self, TrainCommand.self, GenerateCommand.self, LogitsCommand.self, EvalCommand.self,
            BenchCommand.self, ReproduceCommand.self, T5Command.self, InfoCommand.self, AltUpCommand.self,
            PresetsCommand.self, TokenizeCommand.self, DoctorCommand.self,
        ])
}

/// The version of this package.
enum PackageVersion {
    static let current = "0.1.0"
}
