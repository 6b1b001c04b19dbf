import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetStorage
import RetNetText
import RetNetTorch

/// A checkpoint: a complete model folder with everything that the run needs to resume bit for bit.
///
/// In addition to the files of a model folder it holds `optimizer.safetensors`, `trainer.json` and, where state is
/// carried from batch to batch, `carried_state.safetensors`.
enum Checkpoint {
    static let optimizerFileName = "optimizer.safetensors"
    static let progressFileName = "trainer.json"
    private static let maximumProgressByteCount = 1 << 28

    /// Saves a trainer and the files of its model; the folder is either whole or not there.
    ///
    /// Throws ``TrainingError/weightsNotFinite(step:name:)`` rather than save a model that cannot be loaded,
    /// and `StorageError`, of a full disk for example.
    static func save(_ trainer: Trainer<some TrainingTask>, progress: TrainerProgress, to path: String) throws
    {
        let task = trainer.task
        let optimizer = trainer.optimizer
        let state = trainer.replicas?.takeGathered(optimizer) ?? GatheredState(optimizer: optimizer.state)
        let bad = try withoutGradients {
            try task.parameters.entries.first { try !(state.parameters[$0.name] ?? $0.tensor).allFinite() }
        }
        if let bad {
            throw TrainingError.weightsNotFinite(step: trainer.step, name: bad.name)
        }
        // A folder under this name is older or broken: the run reached this step again after a crash.
        try AtomicFolder.create(at: path, replacing: true) { folder in
            try task.writeModel(into: folder, whole: state.parameters)
            try SafetensorsWriter(tensors: state.optimizer).write(
                to: folder + "/" + optimizerFileName)
            try task.writeCarriedState(into: folder)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try AtomicFile.write(encoder.encode(progress), to: folder + "/" + progressFileName)
        }
    }

    /// Reads `trainer.json`; throws ``TrainingError/checkpointMismatch(path:reason:)`` when it is not valid.
    static func progress(of path: String) throws -> TrainerProgress {
        let file = path + "/" + progressFileName
        let mapped = try MappedFile(path: file)
        guard mapped.byteCount <= maximumProgressByteCount else {
            throw TrainingError.checkpointMismatch(path: path, reason: "\(progressFileName) is too large")
        }
        do {
            let progress = try JSONDecoder().decode(
                TrainerProgress.self, from: mapped.withUnsafeBytes { Data($0) })
            guard progress.version == 1, progress.step >= 0, progress.tokenCount >= 0 else {
                throw TrainingError.checkpointMismatch(
                    path: path, reason: "\(progressFileName) is of another version")
            }
            return progress
        } catch let error as DecodingError {
            throw TrainingError.checkpointMismatch(
                path: path, reason: "\(progressFileName) cannot be understood: \(error)")
        }
    }

    /// Restores a trainer whose model has the checkpoint's weights already, and returns the saved progress.
    static func restore(_ trainer: Trainer<some TrainingTask>, from path: String) throws -> TrainerProgress {
        let progress = try progress(of: path)
        let moments = try SafetensorsTensors(file: path + "/" + optimizerFileName)
        try trainer.optimizer.restore(stepCount: progress.updateCount, from: path) { name in
            guard moments.entry(named: name) != nil else { return nil }
            let saved = try moments.tensor(named: name, on: trainer.task.parameters.device)
            return try trainer.replicas?.own(ofState: name, saved) ?? saved
        }
        if progress.hasCarriedState {
            try trainer.task.readCarriedState(from: path, share: trainer.replicas?.share ?? .whole)
        }
        try trainer.restore(progress)
        return progress
    }
}

/// The progress of a run, apart from weights, moments and carried state: `trainer.json` of a checkpoint.
struct TrainerProgress: Codable, Equatable {
    /// The format of the file; another number is another format.
    var version = 1
    var step: Int
    var tokenCount: Int
    /// Updates made, without skipped ones: the step of AdamW's bias correction.
    var updateCount: Int
    /// The state of the generator of dropout; base64 in the file.
    var generatorState: Data
    var batchState: BatchSourceState
    var guardStatistics: LossGuard.Statistics
    var hasCarriedState: Bool
    /// The states of all ranks' generators where several trained; nil for one process.
    var rankGeneratorStates: [Data]?
    /// The best validation so far.
    var bestValidation: ValidationRecord?
    /// The last validation.
    var lastValidation: ValidationRecord?

    enum CodingKeys: String, CodingKey {
        case version, step
        case tokenCount = "token_count"
        case updateCount = "update_count"
        case generatorState = "generator_state"
        case batchState = "batch_state"
        case guardStatistics = "guard_statistics"
        case hasCarriedState = "has_carried_state"
        case rankGeneratorStates = "rank_generator_states"
        case bestValidation = "best_validation"
        case lastValidation = "last_validation"
    }
}
