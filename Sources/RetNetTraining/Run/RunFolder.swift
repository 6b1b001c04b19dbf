import Foundation
import RetNetStorage
import RetNetSystem
import SystemPackage

/// The folder of one training run, with the paths of its files.
///
///     config.yaml   metrics.jsonl   loss.svg   loss.png   tensorboard/   run.lock   model → newest checkpoint
///     checkpoints/step-00001000/    checkpoints/latest
public struct RunFolder: Sendable, Equatable {
    /// The folder of the run.
    public let path: String

    /// The run folder at `path`; nothing is made or read.
    public init(path: String) {
        var trimmed = path
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.path = trimmed
    }

    /// The resolved configuration of the run.
    public var configurationPath: String { path + "/config.yaml" }
    /// One JSON object per line: the metrics of every logged step.
    public var metricsPath: String { path + "/metrics.jsonl" }
    /// The folder of TensorBoard event files.
    public var tensorBoardPath: String { path + "/tensorboard" }
    /// The loss curve as a vector graphic.
    public var lossCurveSVGPath: String { path + "/loss.svg" }
    /// The loss curve as a picture.
    public var lossCurvePNGPath: String { path + "/loss.png" }
    /// The folder of all checkpoints.
    public var checkpointsPath: String { path + "/checkpoints" }
    /// The file that names the newest checkpoint.
    public var latestPath: String { checkpointsPath + "/latest" }
    /// A link to the newest checkpoint, for other tools.
    public var modelLinkPath: String { path + "/model" }
    /// The file whose lock a training process holds.
    public var lockPath: String { path + "/run.lock" }

    /// Returns the path of the checkpoint of a step.
    public func checkpointPath(step: Int) -> String {
        checkpointsPath + "/" + Self.checkpointName(step: step)
    }

    /// Returns `step-00001000` for step 1000.
    static func checkpointName(step: Int) -> String {
        let digits = String(max(0, step))
        return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// Returns the step of a checkpoint's name, or nil where the name is not one.
    static func step(ofCheckpointNamed name: String) -> Int? {
        guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), step >= 0,
            checkpointName(step: step) == name
        else { return nil }
        return step
    }

    /// Returns all checkpoints in the folder, whole or not, newest first.
    public func checkpoints() -> [(step: Int, path: String)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpointsPath)) ?? []
        return names.compactMap { name in
            Self.step(ofCheckpointNamed: name).map { ($0, checkpointsPath + "/" + name) }
        }.sorted { $0.step > $1.step }
    }

    /// Returns the newest checkpoint whose files all have their recorded checksums, or nil without any checkpoint.
    ///
    /// Broken ones are reported to `warn` and passed over. Throws
    /// ``TrainingError/noWholeCheckpoint(path:reasons:)`` when there are checkpoints but none is whole.
    public func newestWholeCheckpoint(warn: (String) -> Void = { _ in }) throws -> (step: Int, path: String)?
    {
        var reasons: [String] = []
        for candidate in checkpoints() {
            do {
                try AtomicFolder.verify(candidate.path)
                return candidate
            } catch {
                let reason = "\(error)"
                reasons.append(reason)
                warn("the checkpoint '\(candidate.path)' is broken and passed over: \(reason)")
            }
        }
        guard reasons.isEmpty else {
            throw TrainingError.noWholeCheckpoint(path: checkpointsPath, reasons: reasons)
        }
        return nil
    }

    /// True if the path exists and is not an empty folder.
    public var isOccupied: Bool {
        guard FileManager.default.fileExists(atPath: path) else { return false }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return true }
        return !names.isEmpty
    }

    /// Returns the folder of the model that a path means: a model folder, a checkpoint, or a run's newest checkpoint.
    ///
    /// Throws ``TrainingError`` when there is no model; broken checkpoints are passed over.
    public static func modelPath(for path: String, warn: (String) -> Void = { _ in }) throws -> String {
        let files = FileManager.default
        if files.fileExists(atPath: path + "/config.json") { return path }
        let run = RunFolder(path: path)
        guard let newest = try run.newestWholeCheckpoint(warn: warn) else {
            throw TrainingError.noModel(path: path)
        }
        return newest.path
    }
}

// MARK: Upkeep

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
