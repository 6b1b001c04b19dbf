import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetSystem

/// `retnet serve`: starts the server, which is a program of its own.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve a model over HTTP, as OpenAI's interface for completions.",
        discussion: """
            Starts `retnet-server`, which `make serve` builds, with the options given: `retnet serve --model story --port \
            8080`. `retnet-server --help` lists them. The program is looked for in RETNET_SERVER, beside this one and in \
            PATH.
            """)

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Options of `retnet-server`.", valueName: "option"))
    var options: [String] = []

    private static let programName = "retnet-server"
    private static let variable = "RETNET_SERVER"

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        let program = try Self.find(environment)
        CurrentProcess.execute(program, arguments: [program] + options)
        throw Failure(description: "cannot start '\(program)': check that it is a program for this machine")
    }

    /// Returns the path of the server.
    private static func find(_ environment: [String: String]) throws -> String {
        func isProgram(_ path: String) -> Bool { FileManager.default.isExecutableFile(atPath: path) }
        if let path = environment[variable], !path.isEmpty {
            guard isProgram(path) else {
                throw Failure(
                    description:
                        "\(variable) is '\(path)', which is no program: give the path of \(programName)")
            }
            return path
        }
        let own = CommandLine.arguments.first ?? ""
        var folders = own.contains("/") ? [(own as NSString).deletingLastPathComponent] : []
        if let real = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            folders.append((real as NSString).deletingLastPathComponent)
        }
        folders += (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        if let path = folders.map({ ($0.isEmpty ? "." : $0) + "/" + programName }).first(where: isProgram) {
            return path
        }
        throw Failure(
            description:
                "\(programName) was not found beside this program or in PATH: build it with `make server`, or"
                + " give its path in \(variable)")
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
