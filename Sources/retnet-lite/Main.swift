import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetStorage

/// The entry point: parses the command line, runs the command and converts errors to exit codes.
@main
enum Main {
    static func main() {
        InterruptFlag.unblockSignals()
        do {
            var command = try LiteCommand.parseAsRoot(
                Arguments.joiningDashes(Array(CommandLine.arguments.dropFirst())))
            try command.run()
        } catch {
            finish(error)
        }
    }

    /// Exits with the message and exit code of an error: 0 for help, 64 for usage, otherwise 1.
    private static func finish(_ error: any Error) -> Never {
        let code = LiteCommand.exitCode(for: error)
        if code == .success {
            Console.result(LiteCommand.fullMessage(for: error))
        } else if code == .validationFailure {
            Console.note(Console.lowercased(LiteCommand.fullMessage(for: error)))
        } else if !(error is ExitCode) {
            Console.note("error: \(Console.describe(error))")
        }
        exit(code == .success || code == .validationFailure ? code.rawValue : 1)
    }
}
