import Foundation
import RetNetStorage

/// The folder of one training run, with the paths of its files.
///
///     config.yaml   metrics.jsonl   loss.svg   loss.png   tensorboard/   run.lock   model → newest checkpoint
///     checkpoints/step-00001000/    checkpoints/latest    tokenizer/
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
    /// The folder of the tokenizer that was trained for the run; runs with another tokenizer do not have it.
    public var tokenizerPath: String { path + "/tokenizer" }
    /// The folder of all checkpoints.
    public var checkpointsPath: String { path + "/checkpoints" }
    /// The file that names the newest checkpoint.
    public var latestPath: String { checkpointsPath + "/latest" }
    /// A link to the newest checkpoint, for other tools.
    public var modelLinkPath: String { path + "/model" }
    /// The file whose lock a training process holds.
    public var lockPath: String { path + "/" + Self.lockName }
    /// Name of that file.
    package static let lockName = "run.lock"

    /// Returns the path of the checkpoint of a step.
    public func checkpointPath(step: Int) -> String {
        checkpointsPath + "/" + Self.checkpointName(step: step)
    }

    /// Returns `step-00001000` for step 1000.
    package static func checkpointName(step: Int) -> String {
        let digits = String(max(0, step))
        return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// Returns the step of a checkpoint's name, or nil where the name is not one.
    package static func step(ofCheckpointNamed name: String) -> Int? {
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
    /// ``ModelFolderError/noWholeCheckpoint(path:reasons:)`` when there are checkpoints but none is whole.
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
            throw ModelFolderError.noWholeCheckpoint(path: checkpointsPath, reasons: reasons)
        }
        return nil
    }

    /// True if the path exists and is not a folder that is empty or holds the file of a lock alone.
    public var isOccupied: Bool {
        guard FileManager.default.fileExists(atPath: path) else { return false }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else { return true }
        return names.contains { $0 != Self.lockName }
    }

    /// Returns the folder of the model that a path means: a model folder, a checkpoint, or a run's newest checkpoint.
    ///
    /// Another project's checkpoint may be a file, or a folder with tensors alone; it stands for itself.
    /// Throws ``ModelFolderError`` when there is no model; broken checkpoints are passed over.
    public static func modelPath(for path: String, warn: (String) -> Void = { _ in }) throws -> String {
        let files = FileManager.default
        if files.fileExists(atPath: path + "/config.json") { return path }
        var isFolder: ObjCBool = false
        if files.fileExists(atPath: path, isDirectory: &isFolder),
            !isFolder.boolValue || CheckpointFiles.hasTensors(folder: path)
        {
            return path
        }
        let run = RunFolder(path: path)
        guard let newest = try run.newestWholeCheckpoint(warn: warn) else {
            throw ModelFolderError.noModel(path: path)
        }
        return newest.path
    }
}
