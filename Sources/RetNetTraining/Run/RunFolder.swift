import Foundation
import RetNetCheckpoints
import RetNetStorage
import RetNetSystem
import SystemPackage

extension RunFolder {
    /// Throws unless a run can begin, or be resumed, at the path; nothing is made.
    func check(resume: Bool) throws {
        if resume {
            guard FileManager.default.fileExists(atPath: path) else {
                throw TrainingError.nothingToResume(path: path)
            }
        } else if isOccupied {
            throw TrainingError.runExists(path: path)
        }
    }

    /// Makes the folders of the run and locks it; throws ``TrainingError``.
    func open() throws -> RunLock {
        do {
            try FileManager.default.createDirectory(
                atPath: checkpointsPath, withIntermediateDirectories: true)
        } catch {
            throw TrainingError.fileOperation(
                "create the folder", path: checkpointsPath, reason: error.localizedDescription)
        }
        return try RunLock(folder: self)
    }

    /// Removes the remains of interrupted saves; must be called with the run's lock held.
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

/// The exclusive right to write a run folder; ends with the object or the process, however that ends.
final class RunLock: Sendable {
    private let descriptor: FileDescriptor

    /// Takes the lock of a run folder; throws ``TrainingError/runInUse(path:)`` if another one holds it.
    init(folder: RunFolder) throws {
        let path = folder.lockPath
        do {
            descriptor = try FileDescriptor.open(
                path, .readWrite, options: [.create, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
        } catch {
            throw TrainingError.fileOperation("open the lock", path: path, reason: "\(error)")
        }
        guard descriptor.tryLock() else {
            try? descriptor.close()
            throw TrainingError.runInUse(path: folder.path)
        }
    }

    deinit { try? descriptor.close() }
}
