import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetDistributed
import RetNetTorch
import RetNetTraining

/// The work of a command that several ranks share, where a launcher has started them: `retnet launch`, torchrun, mpirun, srun.
enum SharedWork {
    /// Seconds that ranks wait for each other at the start.
    private static let timeout = 600.0

    /// Returns the place of this process among the ranks; nil if it runs alone.
    static func assignment() throws -> RankAssignment? {
        try RankAssignment.detect(ProcessInfo.processInfo.environment)
    }

    /// Runs a body with the other ranks, or alone; an error of one rank ends all, and one of them tells it.
    ///
    /// Exit codes are those of work that all ranks have ended together.
    static func run(_ assignment: RankAssignment?, _ body: (ProcessGroup?) throws -> Void) throws {
        guard let assignment else { return try body(nil) }
        let group = try ProcessGroup(assignment, timeout: timeout)
        do {
            try group.checkEqual([
                ("version of retnet", PackageVersion.current), ("LibTorch", Runtime.loadedVersion),
            ])
            try body(group)
            group.leave()
        } catch let code as ExitCode {
            group.leave()
            throw code
        } catch {
            group.abort(because: error)
            if error is DistributedError, !group.isReporter { throw ExitCode(1) }
            throw error
        }
    }
}

extension DeviceOptions {
    /// Returns the options with this rank's share of the cores, unless a number of threads is given.
    func shared(by assignment: RankAssignment?) -> DeviceOptions {
        guard let assignment, threads == nil else { return self }
        let processes = ProcessInfo.processInfo
        let given = processes.environment["OMP_NUM_THREADS"].flatMap { Int($0.prefix { $0 != "," }) }
        let share = processes.activeProcessorCount / max(1, assignment.localCount ?? 1)
        var result = self
        result.threads = min(1024, max(1, given ?? share))
        return result
    }
}
