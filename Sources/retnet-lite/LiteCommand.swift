import ArgumentParser
import RetNetCommandLine
import RetNetSampling

/// The root command.
struct LiteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retnet-lite",
        abstract: "Run retentive networks without LibTorch.",
        discussion: """
            Model folders are those of `retnet train` and `retnet convert`; their weights are mapped into memory. Results \
            are written to standard output, messages to standard error. The exit code is 0 on success, 64 for usage \
            errors and 1 for any other failure.
            """,
        version: "retnet-lite \(PackageVersion.current)",
        subcommands: [
            GenerateCommand.self, EvalCommand.self, BenchCommand.self, InfoCommand.self, QuantizeCommand.self,
        ])
}

/// The entry point.
@main
enum Main {
    static func main() {
        CommandProgram<LiteCommand>.run(hint: { error in
            switch error {
            case StateFileError.notStateFile: "`retnet-lite generate --state-out FILE` writes one"
            default: nil
            }
        })
    }
}
