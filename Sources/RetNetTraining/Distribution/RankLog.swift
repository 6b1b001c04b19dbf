import Foundation
import RetNetCheckpoints
import RetNetReporting
import RetNetStorage
import RetNetSystem

/// The log of one of several ranks, `ranks/rank-N.jsonl` in the folder of a run: where its time goes, and its memory.
final class RankLog {
    private let log: JSONLinesLog

    /// Opens the log; records after `resumedStep` are dropped.
    init(folder: RunFolder, rank: Int, resumedStep: Int?) throws {
        let path = folder.path + "/ranks"
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TrainingError.fileOperation(
                "create the folder", path: path, reason: error.localizedDescription)
        }
        log = try JSONLinesLog(path: path + "/rank-\(rank).jsonl")
        try log.truncate(afterStep: resumedStep ?? 0)
    }

    /// Writes where the rank runs.
    func writeStart(step: Int, rankCount: Int) throws {
        try log.append([
            "step": .int(step), "time": .double(Date().timeIntervalSince1970),
            "host": .string(CurrentProcess.hostName ?? ""), "process": .int(CurrentProcess.identifier),
            "ranks": .int(rankCount),
        ])
    }

    /// Writes a step; `waited` are the seconds in which the rank waited for gradients of others.
    func write(_ step: TrainingStep, waited: Double) throws {
        try log.append([
            "step": .int(step.step), "time": .double(Date().timeIntervalSince1970),
            "loss": .double(step.loss),
            "seconds": .double(step.seconds), "waited_seconds": .double(waited),
            "peak_memory_bytes": .int(ProcessMemory.peakByteCount),
        ])
    }
}
