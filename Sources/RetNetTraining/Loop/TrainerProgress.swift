import Foundation
import RetNetText

/// Where a run stands, besides weights, moments and carried state: `trainer.json` of a checkpoint.
struct TrainerProgress: Codable, Equatable {
    /// The format of the file; another number is another format.
    var version = 1
    var step: Int
    var tokenCount: Int
    /// Updates that were really made: the step of AdamW's bias correction.
    var updateCount: Int
    /// The state of the generator of dropout; base64 in the file.
    var generatorState: Data
    var batchState: BatchSourceState
    var guardStatistics: LossGuard.Statistics
    var hasCarriedState: Bool
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
        case bestValidation = "best_validation"
        case lastValidation = "last_validation"
    }
}
