import Foundation
import RetNetCheckpoints
import RetNetStorage
import RetNetSystem
import RetNetText

extension RunFolder {
    /// Takes the exclusive right to write the folder, and only then examines what is in it.
    ///
    /// Makes the folder for a new run; until something is written, `FolderLock.abandon()` undoes that. Throws
    /// ``TrainingError`` where a run cannot begin, or be resumed, at the path, and `StorageError`.
    package func lock(resume: Bool) throws -> FolderLock {
        // Resuming must not make the folder of a run that was never there.
        guard !resume || FileManager.default.fileExists(atPath: path) else {
            throw TrainingError.nothingToResume(path: path)
        }
        let lock: FolderLock
        do {
            lock = try FolderLock(path, fileName: Self.lockName)
        } catch StorageError.inUse {
            throw TrainingError.runInUse(path: path)
        }
        guard resume || !isOccupied else {
            lock.abandon()
            throw TrainingError.runExists(path: path)
        }
        return lock
    }

    /// Makes the folder of checkpoints; throws ``TrainingError``.
    func makeFolders() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: checkpointsPath, withIntermediateDirectories: true)
        } catch {
            throw TrainingError.fileOperation(
                "create the folder", path: checkpointsPath, reason: error.localizedDescription)
        }
    }

    /// Writes the tokenizer that was trained for the run, unless it is there; throws `StorageError`.
    func save(_ tokenizer: any Tokenizer) throws {
        guard !FileManager.default.fileExists(atPath: tokenizerPath) else { return }
        try AtomicFolder.create(at: tokenizerPath) { try tokenizer.save(to: $0) }
    }

    /// Removes the remains of interrupted saves; must be called with the run's lock held.
    func removeLeftovers() throws {
        _ = try AtomicFolder.removeLeftovers(beside: configurationPath)
        // A run that died while it read its data has no checkpoints.
        guard FileManager.default.fileExists(atPath: checkpointsPath) else { return }
        _ = try AtomicFolder.removeLeftovers(beside: latestPath)
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
        // The link is for other tools: this package finds checkpoints by their names and checksums.
        let temporary = path + "/.model.\(ProcessInfo.processInfo.processIdentifier)"
        let files = FileManager.default
        try? files.removeItem(atPath: temporary)
        guard
            (try? files.createSymbolicLink(atPath: temporary, withDestinationPath: "checkpoints/" + name))
                != nil
        else { return }
        do {
            try FileSystem.move(temporary, to: modelLinkPath)
        } catch {
            try? files.removeItem(atPath: temporary)
        }
    }

    /// Removes all but the newest `count` whole checkpoints; 0 keeps all.
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
