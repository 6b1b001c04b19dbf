import ArgumentParser
import Foundation
import RetNetStorage

/// The version of this package.
package enum PackageVersion {
    package static let current = "0.1.0"
}

/// The entry of a program: parses the command line, runs the command and converts errors to exit codes.
package enum CommandProgram<Root: ParsableCommand> {
    /// Runs the program.
    ///
    /// `prepare` gets the command before it runs; `hint` names what helps with an error of a library, if anything does.
    package static func run(
        prepare: (any ParsableCommand) -> Void = { _ in },
        hint: (any Error) -> String? = { _ in nil }
    ) {
        InterruptFlag.unblockSignals()
        do {
            var command = try Root.parseAsRoot(
                Arguments.joiningDashes(Array(CommandLine.arguments.dropFirst())))
            prepare(command)
            try command.run()
        } catch {
            finish(error, hint)
        }
    }

    /// Exits with the message and exit code of an error: 0 for help, 64 for usage, otherwise 1.
    private static func finish(_ error: any Error, _ hint: (any Error) -> String?) -> Never {
        let code = Root.exitCode(for: error)
        if code == .success {
            Console.result(Root.fullMessage(for: error))
        } else if code == .validationFailure {
            // A program that this one started has told the reason.
            if !(error is ExitCode) { Console.note(Console.lowercased(Root.fullMessage(for: error))) }
        } else if !(error is ExitCode) {
            let text = Console.describe(error)
            // Below a list, a hint has a line of its own.
            let separator = text.contains("\n") ? "\n" : "; "
            Console.note("error: \(text)\(hint(error).map { separator + $0 } ?? "")")
        }
        exit(code == .success || code == .validationFailure ? code.rawValue : 1)
    }
}
