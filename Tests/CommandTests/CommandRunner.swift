import Foundation
import RetNetTestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What a run of the command gave.
struct CommandOutcome {
    /// The exit code, or the negative number of the signal that ended it.
    let status: Int32
    let output: String
    let errors: String

    /// The one JSON object on standard output.
    func json() throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(output.utf8))
        guard let dictionary = object as? [String: Any] else {
            throw CommandFailure("not an object: \(output)")
        }
        return dictionary
    }
}

/// A reason why a test cannot go on.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A run of the built command that is still going on.
final class RunningCommand {
    private let process = Process()
    private let folder: TemporaryFolder

    /// Starts the command; its outputs go to files, so that no pipe can fill up.
    ///
    /// With `limits`, a shell carries them out first, such as `ulimit -f 8`.
    ///
    /// Another `program` lies beside the test bundle, or is given by its path, and then finds the command in PATH.
    init(
        _ arguments: [String], input: String? = nil, environment: [String: String] = [:],
        limits: String? = nil, program: String = "retnet"
    ) throws {
        folder = try TemporaryFolder()
        let binary = program.contains("/") ? URL(fileURLWithPath: program) : try Self.binary(program)
        process.executableURL = limits == nil ? binary : URL(fileURLWithPath: "/bin/sh")
        process.arguments =
            (limits.map { ["-c", $0 + "; exec \"$0\" \"$@\"", binary.path] } ?? []) + arguments
        // Two tests may run at once on two cores.
        var variables = ProcessInfo.processInfo.environment
        variables["OMP_NUM_THREADS"] = "1"
        if program.contains("/") {
            let folder = try Self.binary("retnet").deletingLastPathComponent().path
            variables["PATH"] = folder + ":" + (variables["PATH"] ?? "")
        }
        process.environment = variables.merging(environment) { $1 }
        for name in ["out", "err", "in"] {
            guard
                FileManager.default.createFile(
                    atPath: folder.path(name), contents: name == "in" ? input.map { Data($0.utf8) } : nil)
            else { throw CommandFailure("cannot make a temporary file") }
        }
        process.standardOutput = try FileHandle(forWritingTo: folder.url("out"))
        process.standardError = try FileHandle(forWritingTo: folder.url("err"))
        process.standardInput = try FileHandle(forReadingFrom: folder.url("in"))
        try process.run()
    }

    var isRunning: Bool { process.isRunning }

    /// Sends a signal.
    func signal(_ number: Int32) { _ = kill(process.processIdentifier, number) }

    /// Waits for the end and returns what the command gave.
    func wait() throws -> CommandOutcome {
        process.waitUntilExit()
        let status =
            process.terminationReason == .uncaughtSignal
            ? -process.terminationStatus : process.terminationStatus
        return CommandOutcome(status: status, output: try folder.text("out"), errors: try folder.text("err"))
    }

    /// The command lies beside the test bundle.
    private static func binary(_ program: String) throws -> URL {
        var candidates = [URL(fileURLWithPath: CommandLine.arguments[0])]
        candidates += Bundle.allBundles.map(\.bundleURL)
        candidates.append(Bundle.main.bundleURL)
        for candidate in candidates {
            for folder in [candidate, candidate.deletingLastPathComponent()] {
                let file = folder.appendingPathComponent(program)
                var isFolder: ObjCBool = false
                if FileManager.default.fileExists(atPath: file.path, isDirectory: &isFolder),
                    !isFolder.boolValue
                {
                    return file
                }
            }
        }
        throw CommandFailure("the command \(program) was not found beside \(CommandLine.arguments[0])")
    }
}

/// Runs the built command to its end.
func retnet(_ arguments: String..., input: String? = nil) throws -> CommandOutcome {
    try RunningCommand(arguments, input: input).wait()
}

/// Runs the built command to its end and fails unless it succeeds.
@discardableResult
func succeed(_ arguments: [String], input: String? = nil, program: String = "retnet") throws
    -> CommandOutcome
{
    let outcome = try RunningCommand(arguments, input: input, program: program).wait()
    guard outcome.status == 0 else {
        throw CommandFailure(
            "\(program) \(arguments.joined(separator: " ")) gave \(outcome.status): \(outcome.errors)")
    }
    return outcome
}

/// Reads a file of the repository.
func repositoryText(_ path: String, _ file: String = #filePath) throws -> String {
    let root = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    return String(decoding: try Data(contentsOf: root.appendingPathComponent(path)), as: UTF8.self)
}
