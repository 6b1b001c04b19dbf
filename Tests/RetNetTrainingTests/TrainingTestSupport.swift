import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// Small things that the tests of this target share.
enum Tiny {
    static func model(dropout: Double = 0) -> LanguageModelConfiguration {
        LanguageModelConfiguration(
            vocabularySize: 256, hiddenSize: 16, layerCount: 2,
            mixer: .retention(RetentionConfiguration(headCount: 2, keySize: 8, valueSize: 8)),
            feedForward: FeedForwardConfiguration(innerSize: 32),
            dropout: DropoutConfiguration(embedding: dropout, residual: dropout))
    }

    static func build(_ configuration: LanguageModelConfiguration = model(), type: ElementType = .float32)
        throws
        -> LanguageModel
    {
        let store = ParameterStore(source: .random(seed: 9), elementType: type)
        return try LanguageModel(configuration, parameters: store, computeType: type)
    }

    static func stream(byteCount: Int = 4000) throws -> TokenStream {
        var generator = StoryGenerator(seed: 5)
        return try generator.corpus(byteCount: byteCount).tokenStream(tokenizer: ByteTokenizer())
    }

    /// A configuration that trains for `steps` steps on stories in the folder and logs every one.
    static func configuration(in folder: URL, steps: Int) throws -> RunConfiguration<LanguageModelTask> {
        let text = folder.appendingPathComponent("stories.txt")
        if !FileManager.default.fileExists(atPath: text.path) {
            var generator = StoryGenerator(seed: 5)
            try generator.corpus(byteCount: 6000).text.write(to: text, atomically: true, encoding: .utf8)
        }
        var configuration = RunConfiguration(model: model())
        configuration.task.data.paths = [text.path]
        configuration.task.data.separator = .blankLines(1)
        configuration.task.data.length = 24
        configuration.task.data.batchSize = 3
        configuration.task.data.validationFraction = 0.1
        configuration.training.precision = .float32
        configuration.training.optimizer.learningRate = 1e-2
        configuration.training.schedule.warmupStepCount = 3
        configuration.training.duration = .steps(steps)
        configuration.training.monitoring.logInterval = 1
        configuration.training.monitoring.evaluationInterval = 4
        configuration.training.monitoring.evaluationBatchCount = 2
        configuration.training.monitoring.sampleInterval = 0
        configuration.training.monitoring.checkpointInterval = 3
        configuration.training.monitoring.keptCheckpointCount = 0
        return configuration
    }
}

/// Remembers what happened, and can raise a flag after a step.
final class Recorder: TrainingObserver {
    var losses: [Int: Double] = [:]
    var validations: [Int: Double] = [:]
    var saved: [Int] = []
    var samples: [String] = []
    var warnings: [String] = []
    var stop: (step: Int, flag: InterruptFlag)?

    func trainingDidStep(_ step: TrainingStep) throws {
        losses[step.step] = step.loss
        if let stop, stop.step == step.step { stop.flag.raise() }
    }
    func trainingDidValidate(_ record: ValidationRecord, isBest: Bool) throws {
        validations[record.step] = record.loss
    }
    func trainingDidSample(step: Int, text: String) throws { samples.append(text) }
    func trainingDidSave(step: Int, path: String) throws { saved.append(step) }
    func trainingDidWarn(_ message: String) throws { warnings.append(message) }
}
