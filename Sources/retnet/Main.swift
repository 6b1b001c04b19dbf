import ArgumentParser
import Foundation
import RetNetTraining

/// Where the program starts: parses the command line, runs the command and turns errors into exit codes.
@main
enum Main {
    static func main() {
        InterruptFlag.unblockSignals()
        do {
            var command = try RetNetCommand.parseAsRoot()
            if command is any ComputingCommand { OpenMPSettings.apply() }
            try command.run()
        } catch {
            finish(error)
        }
    }

    /// Ends the program with the message and exit code of an error: 0 for help, 64 for usage, otherwise 1.
    private static func finish(_ error: any Error) -> Never {
        let code = RetNetCommand.exitCode(for: error)
        if code == .success {
            Console.result(RetNetCommand.fullMessage(for: error))
        } else if code == .validationFailure {
            Console.note(Self.lowercased(RetNetCommand.fullMessage(for: error)))
        } else if !(error is ExitCode) {
            Console.note("error: \(Self.describe(error))")
        }
        exit(code == .success || code == .validationFailure ? code.rawValue : 1)
    }

    /// One prefix for all errors, whoever found them.
    private static func lowercased(_ message: String) -> String {
        message.hasPrefix("Error: ") ? "error: " + message.dropFirst("Error: ".count) : message
    }

    private static func describe(_ error: any Error) -> String {
        if let error = error as? any CustomStringConvertible & LocalizedError { return error.description }
        // Errors of Foundation describe themselves well only through this property.
        if type(of: error) is NSError.Type || error is CocoaError { return error.localizedDescription }
        return "\(error)"
    }
}
