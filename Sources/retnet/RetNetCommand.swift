import ArgumentParser
import RetNetCommandLine
import RetNetTorch

/// The root command.
struct RetNetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retnet",
        abstract: "Train, evaluate and run retentive networks.",
        discussion: """
            Results are written to standard output, messages and progress to standard error. The exit code is 0 \
            on success, 64 for usage errors and 1 for any other failure.

            `retnet demo` is a first tour; `retnet doctor` checks the installation.
            """,
        version: "retnet \(PackageVersion.current) (LibTorch \(Runtime.loadedVersion))",
        subcommands: [
            DemoCommand.self, TrainCommand.self, GenerateCommand.self, LogitsCommand.self, EvalCommand.self,
            BenchCommand.self, ReproduceCommand.self, T5Command.self, InfoCommand.self, ConvertCommand.self,
            QuantizeCommand.self, AltUpCommand.self,
            PresetsCommand.self, SettingsCommand.self, TokenizeCommand.self, TokenizerCommand.self,
            DoctorCommand.self, CheckDeviceCommand.self, LaunchCommand.self, PullCommand.self,
            ServeCommand.self,
        ])
}
