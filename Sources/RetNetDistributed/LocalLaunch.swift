import Foundation
import RetNetSystem
import SystemPackage

/// The ranks of a run on this machine, as processes of one program.
///
/// Every rank gets the variables of torchrun. The store of keys is kept here, so that it outlives every rank. Rank 0 has
/// the terminal; the outputs of the others go to files.
public final class LocalLaunch {
    /// How a launch ended.
    public enum Outcome: Sendable, Equatable {
        /// All ranks ended with exit code 0.
        case success
        /// A rank ended first with another exit code, after which the others ended or were killed.
        case failure(rank: Int, exitCode: Int)
        /// A signal that this process did not send ended a rank first.
        case killed(rank: Int, signal: String)
    }

    /// The folder of the outputs.
    public let folder: String
    private let store: RankStore
    private let ranks: [ChildProcess]
    private var endings: [Int: ChildProcess.Ending] = [:]
    /// The first rank that failed.
    private var firstFailure: Int?

    /// The exit code of mistakes in options (`EX_USAGE`).
    private static let usageExitCode = 64

    /// Seconds that the other ranks have to end after one has failed.
    var grace = 10.0

    /// Starts `count` processes of a program with the same arguments.
    ///
    /// The folder must exist. Throws ``DistributedError`` and `Errno`; ranks that run already are killed then.
    public init(
        _ count: Int, of program: String, arguments: [String], folder: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        self.folder = folder
        store = try RankStore(keepingAt: 0)
        var environment = environment
        if environment["OMP_NUM_THREADS"] == nil {
            let cores = ProcessInfo.processInfo.activeProcessorCount
            environment["OMP_NUM_THREADS"] = "\(max(1, cores / count))"
        }
        environment.merge([
            "WORLD_SIZE": "\(count)", "LOCAL_WORLD_SIZE": "\(count)", "GROUP_RANK": "0",
            "MASTER_ADDR": store.host, "MASTER_PORT": "\(store.port)",
            "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0",
        ]) { $1 }
        var started: [ChildProcess] = []
        do {
            for rank in 0..<count {
                environment["RANK"] = "\(rank)"
                environment["LOCAL_RANK"] = "\(rank)"
                let output: FileDescriptor? =
                    rank == 0
                    ? nil
                    : try FileDescriptor.open(
                        Self.outputPath(folder, rank), .writeOnly,
                        options: [.create, .truncate, .closeOnExec],
                        permissions: FilePermissions(rawValue: 0o644))
                defer { try? output?.close() }
                started.append(
                    try ChildProcess(program, arguments: arguments, environment: environment, output: output))
            }
        } catch {
            for process in started { process.send(.kill) }
            throw error
        }
        ranks = started
    }

    /// Returns the path of the outputs of a rank other than 0.
    public func outputPath(rank: Int) -> String { Self.outputPath(folder, rank) }

    private static func outputPath(_ folder: String, _ rank: Int) -> String { folder + "/rank-\(rank).log" }

    /// Waits until all ranks have ended.
    ///
    /// When `interrupted` becomes true, all ranks are asked once to end (SIGTERM), which saves a checkpoint. When one
    /// fails, the others learn it at once, and are killed if they do not end within ten seconds.
    public func wait(interrupted: () -> Bool = { false }) throws -> Outcome {
        var isAsked = false
        var deadline: Date?
        while endings.count < ranks.count {
            Thread.sleep(forTimeInterval: 0.02)
            for (rank, process) in ranks.enumerated() where endings[rank] == nil {
                guard let ending = try process.ending() else { continue }
                endings[rank] = ending
                guard ending != .exit(0), firstFailure == nil else { continue }
                firstFailure = rank
                deadline = Date().addingTimeInterval(grace)
                tellOthers(rank, ending)
            }
            if interrupted(), !isAsked {
                isAsked = true
                for (rank, process) in ranks.enumerated() where endings[rank] == nil {
                    process.send(.terminate)
                }
            }
            if let end = deadline, Date() > end {
                deadline = nil
                for (rank, process) in ranks.enumerated() where endings[rank] == nil { process.send(.kill) }
            }
        }
        // A mistake in the options is one of all ranks, and rank 0 tells it.
        if endings[0] == .exit(Self.usageExitCode) { firstFailure = 0 }
        guard let firstFailure, let ending = endings[firstFailure] else { return .success }
        switch ending {
        case .exit(let code): return .failure(rank: firstFailure, exitCode: code)
        case .signal(let number): return .killed(rank: firstFailure, signal: Self.name(number))
        }
    }

    /// A rank that was killed could not say so itself.
    private func tellOthers(_ rank: Int, _ ending: ChildProcess.Ending) {
        guard case .signal(let number) = ending,
            let data = try? JSONEncoder().encode(
                DistributedError.died(rank: rank, how: "was ended by \(Self.name(number))"))
        else { return }
        // The store is new, so the ranks have met once.
        _ = try? store.claim(MeetingKeys(1).abort, data)
    }

    private static func name(_ signal: Int) -> String {
        "signal \(signal)" + (TerminationSignal.name(signal).map { " (\($0))" } ?? "")
    }

    /// True if rank 0 has ended with an error that it told itself.
    public var rankZeroHasTold: Bool { (try? store.value(MeetingKeys(1).told(0))) != nil }

    /// Returns the last line of a rank's output that begins with "error:", without that; nil if there is none.
    public func lastError(rank: Int) -> String? {
        guard rank > 0, let text = try? String(contentsOfFile: outputPath(rank: rank), encoding: .utf8) else {
            return nil
        }
        return text.split(whereSeparator: \.isNewline).last { $0.hasPrefix("error: ") }.map {
            String($0.dropFirst("error: ".count))
        }
    }
}
