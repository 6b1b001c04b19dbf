import RetNetCommandLine
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// A model with random weights in a comparison of several models that take turns.
final class BenchSubject {
    let name: String
    let configuration: LanguageModelConfiguration
    let trainer: Trainer<LanguageModelTask>
    private(set) var training = Timings()
    private(set) var decoding = Timings()
    private(set) var stateByteCount = 0
    private let store: ParameterStore
    private let device: Device
    private let type: ElementType
    private var reader: LanguageModel?

    init(
        _ name: String, _ configuration: LanguageModelConfiguration, batch: Int, length: Int,
        _ device: Device, _ type: ElementType
    ) throws {
        self.name = name
        self.configuration = configuration
        self.device = device
        self.type = type
        let store = ParameterStore(source: .random(seed: 1), elementType: .float32, device: device)
        self.store = store
        let model = try withoutGradients {
            try LanguageModel(configuration, parameters: store, computeType: type)
        }
        var training = TrainingConfiguration()
        training.duration = .steps(1_000_000)
        let task = try LanguageModelTask(
            model, source: Self.madeUpText(batch: batch, length: length), form: configuration.trainingForm)
        trainer = try Trainer(task, training)
    }

    var parameterCount: Int { store.parameterCount }

    /// Makes one training step.
    func train() throws {
        try device.synchronize()
        try training.time {
            _ = try trainer.makeStep()
            try device.synchronize()
        }
    }

    /// Converts the weights to the element type of computation, as generation stores them.
    func prepareGeneration() throws {
        let narrow = ParameterStore(
            source: .provided { [store] name, _ in
                guard let tensor = store[name] else {
                    throw CommandError("the parameter '\(name)' is missing")
                }
                return try tensor.detached()
            }, elementType: type, device: device)
        try store.setRequiresGradient(false)
        reader = try withoutGradients {
            try LanguageModel(configuration, parameters: narrow, computeType: type)
        }
    }

    /// Generates some tokens at position 128.
    func generate() throws {
        for measured in try generate(positions: [128]) {
            decoding.add(measured.timings)
            stateByteCount = measured.stateByteCount
        }
    }

    /// Generates some tokens at each position in turn.
    func generate(positions: [Int]) throws -> [DecodeBench.Result] {
        guard let reader else { return [] }
        return try DecodeBench(model: reader, batch: 1).run(positions: positions, tokenCount: 20, warmup: 4)
    }

    /// Returns windows of generated text; the choice of tokens does not affect the speed.
    private static func madeUpText(batch: Int, length: Int) throws -> any BatchSource {
        var stories = StoryGenerator(seed: 1)
        let text = stories.corpus(byteCount: batch * length * 2 + 4096).text
        let stream = try TokenStream(texts: [text], tokenizer: ByteTokenizer())
        return try ShuffledWindows(stream: stream, rowCount: batch, length: length, seed: 1)
    }
}
