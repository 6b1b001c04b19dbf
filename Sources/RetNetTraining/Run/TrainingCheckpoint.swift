import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetStorage
import RetNetText
import RetNetTorch

/// A checkpoint: a complete model folder with everything that the run needs to go on bit for bit.
///
/// Besides the files of a model folder it holds `optimizer.safetensors`, `trainer.json` and, where state is
/// carried from batch to batch, `carried_state.safetensors`.
enum TrainingCheckpoint {
    static let optimizerFileName = "optimizer.safetensors"
    static let progressFileName = "trainer.json"
    private static let maximumProgressByteCount = 1 << 28

    /// Saves a trainer and the files of its model; the folder is either whole or not there.
    ///
    /// Throws ``TrainingError/weightsNotFinite(step:name:)`` rather than save a model that cannot be loaded,
    /// and `StorageError`, of a full disk for example.
    static func save<Objective>(
        _ trainer: StepTrainer<Objective>, progress: TrainerProgress, to path: String,
        writeModel: (_ folder: String) throws -> Void
    ) throws {
        let entries = trainer.objective.parameters.entries
        if let bad = try withoutGradients({ try entries.first { try !$0.tensor.allFinite() } }) {
            throw TrainingError.weightsNotFinite(step: trainer.step, name: bad.name)
        }
        // What is there under the name is older or broken: this run came here again after a crash.
        try AtomicFolder.create(at: path, replacing: true) { folder in
            try writeModel(folder)
            try SafetensorsWriter(tensors: trainer.optimizer.state).write(
                to: folder + "/" + optimizerFileName)
            try trainer.objective.writeCarriedState(into: folder)
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

    /// Puts a trainer, whose model has the checkpoint's weights already, where the checkpoint was saved.
    static func restore<Objective>(
        _ trainer: StepTrainer<Objective>, progress: TrainerProgress, from path: String
    ) throws {
        let moments = try SafetensorsTensors(file: path + "/" + optimizerFileName)
        try trainer.optimizer.restore(stepCount: progress.updateCount, from: path) { name in
            guard moments.entry(named: name) != nil else { return nil }
            return try moments.tensor(named: name, on: trainer.objective.parameters.device)
        }
        if progress.hasCarriedState { try trainer.objective.readCarriedState(from: path) }
        try trainer.restore(progress)
    }
}
