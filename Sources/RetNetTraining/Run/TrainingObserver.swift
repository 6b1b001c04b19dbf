import Foundation
import RetNetReporting

/// A receiver of the events of a training run; errors thrown here end the run.
public protocol TrainingObserver: AnyObject {
    /// Receives the start of a run, or its resumption after `startStep` steps.
    func trainingDidStart(startStep: Int, stepCount: Int) throws
    /// Receives every step.
    func trainingDidStep(_ step: TrainingStep) throws
    /// Receives metrics, every `log.every` steps.
    func trainingDidLog(_ metrics: TrainingMetrics) throws
    /// Receives a validation.
    func trainingDidValidate(_ record: ValidationRecord, isBest: Bool) throws
    /// Receives a generated text, the prompt included.
    func trainingDidSample(step: Int, text: String) throws
    /// Receives the path of a saved checkpoint.
    func trainingDidSave(step: Int, path: String) throws
    /// Receives a warning about something that does not end the run.
    func trainingDidWarn(_ message: String) throws
    /// Receives the end of the run, unless that is an error.
    func trainingDidEnd(_ outcome: TrainingOutcome) throws
}

extension TrainingObserver {
    /// Does nothing.
    public func trainingDidStart(startStep: Int, stepCount: Int) throws {}
    /// Does nothing.
    public func trainingDidStep(_ step: TrainingStep) throws {}
    /// Does nothing.
    public func trainingDidLog(_ metrics: TrainingMetrics) throws {}
    /// Does nothing.
    public func trainingDidValidate(_ record: ValidationRecord, isBest: Bool) throws {}
    /// Does nothing.
    public func trainingDidSample(step: Int, text: String) throws {}
    /// Does nothing.
    public func trainingDidSave(step: Int, path: String) throws {}
    /// Does nothing.
    public func trainingDidWarn(_ message: String) throws {}
    /// Does nothing.
    public func trainingDidEnd(_ outcome: TrainingOutcome) throws {}
}

/// One validation during training.
public struct ValidationRecord: Sendable, Equatable, Codable {
    /// Step after which the model was measured.
    public var step: Int
    /// Mean loss in nats per token.
    public var loss: Double
    /// Exponential of the loss.
    public var perplexity: Double
    /// Bits per byte of the source text; nil where targets are not a text from start to end, or the bytes are not known.
    public var bitsPerByte: Double?
    /// Share of targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// Predicted tokens.
    public var tokenCount: Int
}

extension ValidationRecord {
    private enum CodingKeys: String, CodingKey {
        case step, loss, perplexity, bitsPerByte, accuracy, tokenCount
    }

    /// Reads a record; a perplexity that is missing was too large to be written.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        step = try values.decode(Int.self, forKey: .step)
        loss = try values.decode(Double.self, forKey: .loss)
        perplexity = try values.decodeIfPresent(Double.self, forKey: .perplexity) ?? exp(loss)
        bitsPerByte = try values.decodeIfPresent(Double.self, forKey: .bitsPerByte)
        accuracy = try values.decodeIfPresent(Double.self, forKey: .accuracy)
        tokenCount = try values.decode(Int.self, forKey: .tokenCount)
    }

    /// Writes a record without the figures that JSON has no numbers for, so that a checkpoint can always be saved.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(step, forKey: .step)
        try values.encode(loss, forKey: .loss)
        try values.encode(tokenCount, forKey: .tokenCount)
        for (key, figure) in [
            (.perplexity, perplexity), (.bitsPerByte, bitsPerByte), (.accuracy, accuracy),
        ] as [(CodingKeys, Double?)] {
            if let figure, figure.isFinite { try values.encode(figure, forKey: key) }
        }
    }

    /// Loss with bits per byte or accuracy as a phrase.
    public var summary: String {
        var text = "validation loss \(Format.number(loss))"
        if let bitsPerByte { text += ", \(Format.number(bitsPerByte)) bits per byte" }
        if let accuracy { text += ", \(Format.number(100 * accuracy))% of targets right" }
        return text
    }
}

/// The end of a training run.
public struct TrainingOutcome: Sendable, Equatable {
    /// A reason for the end.
    public enum Reason: String, Sendable {
        /// The last step was made.
        case finished
        /// A stop was requested; the run can be resumed.
        case interrupted
    }

    /// Reason for the end.
    public var reason: Reason
    /// Steps made in the whole run.
    public var step: Int
    /// Mean loss of the last step in nats per token, or nil when no step was made.
    public var loss: Double?
    /// The last validation, if there was one.
    public var validation: ValidationRecord?
    /// The newest checkpoint, which is a model folder.
    public var checkpointPath: String
}
