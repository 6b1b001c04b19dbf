import Foundation

/// A failure of a run of several ranks, with the ranks that caused it.
///
/// One rank writes it for all, so it can be encoded.
public enum DistributedError: Error, Equatable, Codable, Sendable, CustomStringConvertible, LocalizedError {
    /// The variables of the launcher contradict each other.
    case environment(String)
    /// The loaded LibTorch is not the one whose headers this program was compiled with.
    case otherVersion(built: String, loaded: String)
    /// The store of keys cannot be reached, or opened.
    case noStore(host: String, port: Int, seconds: Double, reason: String)
    /// The store of keys does not answer any more.
    case storeLost(host: String, port: Int)
    /// Ranks did not come to the start.
    case absent(ranks: [Int], seconds: Double)
    /// Ranks give no signs of life.
    case silent(ranks: [Int], operation: String)
    /// Ranks live, but have not come to an operation that others wait for.
    case behind(ranks: [Int], operation: String, seconds: Double)
    /// A rank has ended with an error of its own.
    case ended(rank: Int, reason: String)
    /// A process of a rank has ended, as its launcher saw.
    case died(rank: Int, how: String)
    /// A rank was started with something other than rank 0.
    case different(rank: Int, what: String, found: String, expected: String)
    /// An operation failed for another reason.
    case failed(operation: String, reason: String)

    /// The failure and a remedy, in one sentence.
    public var description: String {
        switch self {
        case .environment(let text): text
        case .otherVersion(let built, let loaded):
            "runs of several processes need the LibTorch that this program was compiled with, \(built), but \(loaded) was"
                + " loaded: rebuild with `make build`, or set LIBTORCH to the version it was built against"
        case .noStore(let host, let port, let seconds, let reason):
            "cannot reach the other ranks at \(host):\(port) within \(Self.text(seconds)) (\(reason)): check that rank 0"
                + " runs there, that MASTER_ADDR and MASTER_PORT are right, and that no other program uses the port"
        case .storeLost(let host, let port):
            "the process that keeps the ranks together, at \(host):\(port), has ended: see the output of rank 0 or of the"
                + " launcher"
        case .absent(let ranks, let seconds):
            "\(Self.names(ranks)) did not start within \(Self.text(seconds)): see \(Self.outputs(ranks)), and check that all"
                + " ranks get the same MASTER_ADDR and MASTER_PORT"
        case .silent(let ranks, let operation):
            "\(Self.names(ranks)) \(ranks.count == 1 ? "gives" : "give") no sign of life (noticed during"
                + " \(operation)): the process was killed, or its machine or network is down; see \(Self.outputs(ranks)),"
                + " and resume from the last checkpoint"
        case .behind(let ranks, let operation, let seconds):
            "\(Self.names(ranks)) did not come to \(operation) within \(Self.text(seconds)), though the process lives:"
                + " see \(Self.outputs(ranks)), or raise the time-out"
        case .ended(let rank, let reason): "rank \(rank) ended: \(reason)"
        case .died(let rank, let how): "rank \(rank) \(how)"
        case .different(let rank, let what, let found, let expected):
            "rank \(rank) was started with another \(what) than rank 0 ('\(found)' instead of '\(expected)'): give all ranks"
                + " the same command, files and programs"
        case .failed(let operation, let reason):
            "\(operation) between the ranks failed: \(reason); check the network, and resume from the last checkpoint"
        }
    }
    /// The same text as ``description``.
    public var errorDescription: String? { description }

    private static func names(_ ranks: [Int]) -> String {
        guard ranks.count > 1 else { return "rank \(ranks.first ?? 0)" }
        let shown = ranks.prefix(8).map(String.init).joined(separator: ", ")
        return "ranks \(shown)" + (ranks.count > 8 ? " and \(ranks.count - 8) more" : "")
    }

    private static func outputs(_ ranks: [Int]) -> String {
        ranks.count == 1 ? "its output" : "their outputs"
    }

    private static func text(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? "\(Int(seconds)) s" : "\(seconds) s"
    }
}
