import Foundation

/// A failure of a training run, with its place and a remedy.
public enum TrainingError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The run folder is not empty, and the run in it is not to be resumed.
    case runExists(path: String)
    /// There is no run to resume at the path.
    case nothingToResume(path: String)
    /// Another process is training in this run folder.
    case runInUse(path: String)
    /// A checkpoint does not fit the run that is to continue from it.
    case checkpointMismatch(path: String, reason: String)
    /// Settings that decide the course of the run differ from those of the run that is to be resumed.
    case configurationChanged(keys: [String])
    /// Too many updates in a row were unsound.
    case diverged(step: Int, skipped: Int, reason: String)
    /// A weight became infinite or NaN, so that the model cannot be saved.
    case weightsNotFinite(step: Int, name: String)
    /// The tokenizer has more tokens than the model.
    case vocabularyTooSmall(modelSize: Int, tokenizerSize: Int)
    /// The tokenizer lacks a property that the run needs.
    case unsuitableTokenizer(reason: String)
    /// The initial weights of a run belong to another model.
    case otherInitialModel(path: String)
    /// No training text was named.
    case noDataPaths
    /// The run lasts a number of epochs, but the data has no end.
    case unknownEpochLength
    /// A rank would have no row of a pass to compute.
    case tooManyRanks(rankCount: Int, rowCount: Int)
    /// A mesh that the model or the settings do not allow.
    case unsuitableMesh(mesh: String, reason: String)
    /// Several ranks train on processors only.
    case ranksNeedProcessors
    /// A system call failed.
    case fileOperation(String, path: String, reason: String)

    /// The failure, its place, and a remedy, in one sentence.
    public var description: String {
        switch self {
        case .runExists(let path):
            "'\(path)' is not empty: choose another folder, or resume the run in it"
        case .nothingToResume(let path):
            "there is no run to resume in '\(path)': check the path, or start a new run"
        case .runInUse(let path):
            "another process is training in '\(path)': wait for it to end, or choose another folder"
        case .checkpointMismatch(let path, let reason):
            "the checkpoint '\(path)' does not fit this run: \(reason)"
        case .configurationChanged(let keys):
            "the run cannot be resumed with other values of \(keys.joined(separator: ", ")): undo the changes, or start a "
                + "new run in another folder"
        case .diverged(let step, let skipped, let reason):
            "training diverged: at step \(step) the update was skipped \(skipped) times in a row because \(reason); use "
                + "a lower learning rate or a longer warm-up, and resume from the last checkpoint"
        case .weightsNotFinite(let step, let name):
            "training diverged: after step \(step) the parameter '\(name)' is not finite, so nothing was saved; use a "
                + "lower learning rate or a longer warm-up, and resume from the last checkpoint"
        case .vocabularyTooSmall(let modelSize, let tokenizerSize):
            "the model has a vocabulary of \(modelSize) tokens, but the tokenizer has \(tokenizerSize): set "
                + "model.vocabulary_size to at least that"
        case .unsuitableTokenizer(let reason):
            "the tokenizer does not fit this run: \(reason)"
        case .otherInitialModel(let path):
            "'\(path)' holds a model of another architecture than the run: of its settings only model.dropout can be "
                + "changed"
        case .noDataPaths:
            "there is nothing to train on: name files or folders of text in data.paths"
        case .unknownEpochLength:
            "the data has no known end: give the length of the run in steps or tokens instead of epochs"
        case .tooManyRanks(let rankCount, let rowCount):
            "\(rankCount) ranks cannot share passes of \(rowCount) rows: set data.batch_size to at least \(rankCount), or"
                + " accumulation to a multiple of \(rankCount), or start fewer ranks"
        case .unsuitableMesh(let mesh, let reason):
            "the mesh '\(mesh)' does not fit this run: \(reason)"
        case .ranksNeedProcessors:
            "several ranks train on processors only so far: choose the device cpu, or start one process"
        case .fileOperation(let operation, let path, let reason):
            "cannot \(operation) '\(path)': \(reason); check its permissions and the free space of the disk"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
