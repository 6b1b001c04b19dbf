import Foundation
import RetNetStorage

extension RunFolder {
    /// Makes the folders of the run; throws ``TrainingError/fileOperation(_:path:reason:)``.
    func prepare() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: checkpointsPath, withIntermediateDirectories: true)
        } catch {
            throw TrainingError.fileOperation(
                "create the folder", path: checkpointsPath, reason: error.localizedDescription)
        }
    }

    /// Removes what interrupted saves left behind; must be called with the run's lock held.
    func removeLeftovers() throws {
        _ = try AtomicFolder.removeLeftovers(beside: latestPath)
        _ = try AtomicFolder.removeLeftovers(beside: configurationPath)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpointsPath)) ?? []
        for name in names where name.hasPrefix(".step-") {
            let stem = name.dropFirst().prefix { $0 != "." }
            guard Self.step(ofCheckpointNamed: String(stem)) != nil else { continue }
            _ = try AtomicFolder.removeLeftovers(beside: checkpointsPath + "/" + stem)
        }
    }

    /// Points `checkpoints/latest` and the link `model` at the checkpoint of a step, atomically each.
    func publish(step: Int) throws {
        let name = Self.checkpointName(step: step)
        try AtomicFile.write(Data((name + "\n").utf8), to: latestPath)
        // The link is a courtesy to other tools: this package finds checkpoints by their names and checksums.
        let temporary = path + "/.model.\(ProcessInfo.processInfo.processIdentifier)"
        let files = FileManager.default
        try? files.removeItem(atPath: temporary)
        guard
            (try? files.createSymbolicLink(atPath: temporary, withDestinationPath: "checkpoints/" + name))
                != nil
        else { return }
        if rename(temporary, modelLinkPath) != 0 { try? files.removeItem(atPath: temporary) }
    }

    /// Removes all but the newest `count` checkpoints, broken ones counting not; 0 keeps all.
    func removeOldCheckpoints(keeping count: Int) throws {
        guard count > 0 else { return }
        var kept = 0
        for checkpoint in checkpoints() {
            if kept < count {
                if AtomicFolder.isComplete(checkpoint.path) { kept += 1 }
                continue
            }
            do {
                try FileManager.default.removeItem(atPath: checkpoint.path)
            } catch {
                throw TrainingError.fileOperation(
                    "remove the old checkpoint", path: checkpoint.path, reason: error.localizedDescription)
            }
        }
    }
}
