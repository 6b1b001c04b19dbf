import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetDistributed
import RetNetStorage

/// `retnet launch`: a command on several processes of this machine.
struct LaunchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "launch",
        abstract: "Run a command on several processes of this machine.",
        discussion: """
            `retnet launch -n 2 -- train …` trains on two processes (ranks), which share every step: see \
            Documentation/Distributed.md. Rank 0 has the terminal; the outputs of the other ranks go to rank-N.log in --logs.

            Ctrl-C and SIGTERM reach all ranks. When one rank ends with an error or is killed, all end. Each rank computes with \
            its share of the cores, unless OMP_NUM_THREADS or --threads of the command says otherwise. torchrun, mpirun and srun \
            start the command as well, on one machine or several.
            """)

    @Option(
        name: [.customShort("n"), .customLong("ranks")], parsing: .unconditional, help: "Number of processes."
    )
    var count: Int

    @Option(
        help: ArgumentHelp(
            "The folder of the outputs (default: a new one among the temporary files, removed if all goes well).",
            valueName: "dir"))
    var logs: String?

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The command and its options, after `--`.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        guard (1...1024).contains(count) else {
            throw ValidationError("-n must be from 1 to 1024, not \(count)")
        }
        guard let name = command.first else {
            throw ValidationError("give the command after `--`, as in `retnet launch -n 2 -- train …`")
        }
        guard name != "launch" else { throw ValidationError("launch does not launch itself") }
    }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let folder = try logs ?? Self.temporaryFolder()
        if let logs {
            do {
                try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
            } catch {
                throw CommandError("cannot create the folder '\(logs)': \(error.localizedDescription)")
            }
        }
        let program =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            ?? CommandLine.arguments[0]
        let launch = try LocalLaunch(count, of: program, arguments: command, folder: folder)
        let outcome = try launch.wait { interrupt.isRaised }
        if logs == nil, outcome == .success { try? FileManager.default.removeItem(atPath: folder) }
        let place = count > 1 ? "; the outputs of the ranks from 1 on are in '\(folder)'" : ""
        switch outcome {
        case .success: return
        case .killed(let rank, let signal):
            throw CommandError("rank \(rank) was ended by \(signal), and all other ranks were ended\(place)")
        case .failure(let rank, let code):
            // Rank 0 has told its reason itself, and an interrupted run its end.
            guard rank > 0, !launch.rankZeroHasTold, !interrupt.isRaised else {
                throw ExitCode(Int32(clamping: code))
            }
            let reason = launch.lastError(rank: rank) ?? "it ended with exit code \(code)"
            throw CommandError("rank \(rank) failed, and all other ranks were ended: \(reason)\(place)")
        }
    }

    private static func temporaryFolder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "retnet-launch-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.path
    }
}
