import Foundation

/// A failure of a training run, with what was found where and what to do about it.
public enum TrainingError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The run folder holds something already and resuming was not asked for.
    case runExists(path: String)
    /// There is no run to resume at the path.
    case nothingToResume(path: String)
    /// Another process is training in this run folder.
    case runInUse(path: String)
    /// None of the checkpoints that are there is whole; the first reason is that of the newest.
    case noWholeCheckpoint(path: String, reasons: [String])
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
    /// The tokenizer lacks what the run needs.
    case unsuitableTokenizer(reason: String)
    /// The weights that a run is to begin with are those of another model.
    case otherInitialModel(path: String)
    /// No training text was named.
    case noDataPaths
    /// No model, checkpoint or run was found at the path.
    case noModel(path: String)
    /// A system call failed.
    case fileOperation(String, path: String, reason: String)

    /// A sentence that says what failed, where, and what to do.
    public var description: String {
        switch self {
        case .runExists(let path):
            "'\(path)' is not empty: choose another folder, or continue the run in it with --resume"
        case .nothingToResume(let path):
            "there is no run to resume in '\(path)': check the path, or start a run without --resume"
        case .runInUse(let path):
            "another process is training in '\(path)': wait for it to end, or choose another folder"
        case .noWholeCheckpoint(let path, let reasons):
            "no checkpoint in '\(path)' is whole: \(reasons.joined(separator: "; ")). Restore one from a copy, or "
                + "start again in another folder"
        case .checkpointMismatch(let path, let reason):
            "the checkpoint '\(path)' does not fit this run: \(reason)"
        case .configurationChanged(let keys):
            "the run cannot be resumed with other values of \(keys.joined(separator: ", ")): take the changes back, "
                + "or start a new run in another folder"
        case .diverged(let step, let skipped, let reason):
            "training diverged: at step \(step) the update had to be skipped for the \(skipped). time in a row "
                + "because \(reason). Use a lower learning rate or a longer warm-up, and resume from the last "
                + "checkpoint"
        case .weightsNotFinite(let step, let name):
            "training diverged: after step \(step) the parameter '\(name)' is not finite, so nothing was saved. Use "
                + "a lower learning rate or a longer warm-up, and resume from the last checkpoint"
        case .vocabularyTooSmall(let modelSize, let tokenizerSize):
            "the model has a vocabulary of \(modelSize) tokens, but the tokenizer has \(tokenizerSize): set "
                + "model.vocabulary_size to at least that"
        case .unsuitableTokenizer(let reason):
            "the tokenizer does not fit this run: \(reason)"
        case .otherInitialModel(let path):
            "'\(path)' holds a model of another architecture than the run: of its settings only model.dropout can "
                + "be changed"
        case .noDataPaths:
            "there is nothing to train on: name files or folders of text (data.paths, or --data PATH)"
        case .noModel(let path):
            "'\(path)' holds no model: give a model folder (with config.json), a checkpoint or a run folder"
        case .fileOperation(let operation, let path, let reason):
            "cannot \(operation) '\(path)': \(reason). Check its permissions and the free space of the disk"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
