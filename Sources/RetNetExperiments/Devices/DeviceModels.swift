import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetGeneration
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// Checks of language models with every mixer, and with AltUp and experts: forms, gradients, training, resumption,
/// generation.
enum DeviceModels {
    static var checks: [DeviceCheck] {
        ComparedArchitecture.allCases.flatMap { architecture in
            checks("models", architecture.title, configuration(architecture))
        } + altUps.flatMap { checks("altup", $0.name, $0.configuration) }
    }

    // MARK: Models

    /// Small models whose heads have the sizes of kernels.
    private static func configuration(_ architecture: ComparedArchitecture) -> LanguageModelConfiguration {
        architecture.configuration(
            width: 128, layerCount: 2, vocabularySize: 256, trainingLength: 128,
            sizes: ComparedSizes(retentionKeySize: 64, headSize: 32))
    }

    private static var altUps: [(name: String, configuration: LanguageModelConfiguration)] {
        func altered(_ change: (inout LanguageModelConfiguration) -> Void) -> LanguageModelConfiguration {
            var result = configuration(.retnet)
            change(&result)
            return result
        }
        return [
            ("AltUp, K = 2", altered { $0.altUp = AltUpConfiguration(initialization: .identity) }),
            (
                "Recycled-AltUp, K = 4",
                altered { $0.altUp = AltUpConfiguration(kind: .recycled, streamCount: 4) }
            ),
            ("Gemma's AltUp", altered { $0.altUp = AltUpConfiguration(kind: .gemma) }),
            (
                "Sequence-AltUp",
                altered {
                    $0.layerCount = 3
                    $0.altUp = .sequence(SequenceReductionConfiguration(stride: 2))
                }
            ),
            (
                "experts",
                altered { $0.feedForward.experts = ExpertsConfiguration(count: 4, balanceLoss: 0.01) }
            ),
        ]
    }

    private static func model(
        _ configuration: LanguageModelConfiguration, _ values: [String: Tensor], _ type: ElementType,
        compute: ElementType? = nil, on device: Device
    ) throws -> LanguageModel {
        try withoutGradients {
            try LanguageModel(
                configuration, parameters: DeviceComparison.store(values, type, on: device),
                computeType: compute ?? type)
        }
    }

    private static func parameters(_ configuration: LanguageModelConfiguration) throws -> [String: Tensor] {
        try DeviceComparison.parameters { store in
            _ = try LanguageModel(configuration, parameters: store, computeType: .float32)
        }
    }

    private static func tokens(_ batch: Int, _ length: Int, on device: Device) throws -> Tensor {
        let ids = (0..<batch * length).map { (place: Int) -> Int64 in
            let value: Int = place * 7 + place * place * 3 + 5
            return Int64(value % 251)
        }
        return try Tensor.from(ids, [batch, length]).to(on: device)
    }

    // MARK: Checks

    private static func checks(_ group: String, _ name: String, _ configuration: LanguageModelConfiguration)
        -> [DeviceCheck]
    {
        [
            DeviceCheck(group, "\(name): forms") { try forms(configuration, $0) },
            DeviceCheck(group, "\(name): gradients, float32") {
                try gradients(configuration, .float32, $0)
            },
            DeviceCheck(group, "\(name): gradients, bfloat16") {
                try gradients(configuration, .bfloat16, $0)
            },
            DeviceCheck(group, "\(name): training") { try training(configuration, $0) },
            DeviceCheck(group, "\(name): resumption") { try resumption(configuration, $0) },
            DeviceCheck(group, "\(name): generation") { try generation(configuration, $0) },
        ]
    }

    /// The logits of every form, and of a text in two pieces, against the first form in float64.
    private static func forms(_ configuration: LanguageModelConfiguration, _ device: Device) throws
        -> DeviceCheck.Outcome
    {
        let values = try parameters(configuration)
        let exact = try model(configuration, values, .float64, on: .cpu)
        let found = try model(configuration, values, .float32, on: device)
        let length = 71
        let forms = [MixerForm.parallel, .chunkwise(16), .recurrent].filter {
            exact.unsupportedReason(for: $0) == nil
        }
        return try withoutGradients {
            let expected = try exact(tokens(2, length, on: .cpu), form: forms.first ?? .recurrent).logits
            let input = try tokens(2, length, on: device)
            var worst = 0.0
            var notes: [String] = []
            func note(_ name: String, _ logits: Tensor) throws {
                let error = try DeviceComparison.relativeError([logits], [expected])
                worst = max(worst, error)
                notes.append("\(name) \(String(format: "%.1e", error))")
            }
            for form in forms {
                try note("\(form)", found(input, form: form).logits)
                let first = try found(input.sliced(1, 0..<40), form: form)
                let second = try found(input.sliced(1, 40..<length), state: first.state, form: form)
                try note("in pieces", Tensor.concatenated([first.logits, second.logits], axis: 1))
            }
            return DeviceCheck.Outcome(
                value: worst, limit: DeviceComparison.limit(.float32), note: notes.joined(separator: ", "))
        }
    }

    /// Loss and gradients of all parameters against float64.
    private static func gradients(
        _ configuration: LanguageModelConfiguration, _ type: ElementType, _ device: Device
    ) throws -> DeviceCheck.Outcome {
        let values = try parameters(configuration)
        let form = configuration.trainingForm
        func run(_ stored: ElementType, _ compute: ElementType, _ device: Device) throws -> (Double, [Tensor])
        {
            let model = try model(configuration, values, stored, compute: compute, on: device)
            try model.parameters.setRequiresGradient(true)
            let text = try tokens(2, 101, on: device)
            var context = ForwardContext.inference
            context.keepsStates = false
            let loss = try model.lossSum(
                text.sliced(1, 0..<100), targets: text.sliced(1, 1..<101), form: form, context: context
            ).loss
            try loss.backward()
            return (try loss.item() / 200, try DeviceComparison.gradients(model.parameters))
        }
        let (found, expected) = (try run(.float32, type, device), try run(.float64, .float64, .cpu))
        let error = try DeviceComparison.relativeError(found.1, expected.1)
        return DeviceCheck.Outcome(
            value: error, limit: DeviceComparison.limit(type),
            note: "loss \(String(format: "%.6f and %.6f", found.0, expected.0))")
    }

    /// The losses of a few training steps against those of the processor in float32.
    private static func training(_ configuration: LanguageModelConfiguration, _ device: Device) throws
        -> DeviceCheck.Outcome
    {
        let values = try parameters(configuration)
        func losses(_ device: Device) throws -> [Double] {
            let model = try model(configuration, values, .float32, on: device)
            var stories = StoryGenerator(seed: 3)
            let stream = try TokenStream(
                texts: [stories.corpus(byteCount: 6000).text], tokenizer: ByteTokenizer())
            let source = try ShuffledWindows(stream: stream, rowCount: 3, length: 96, seed: 4)
            var training = TrainingConfiguration()
            training.duration = .steps(100)
            let trainer = try Trainer(
                LanguageModelTask(model, source: source, form: configuration.trainingForm), training)
            return try (0..<6).map { _ in try trainer.makeStep().loss }
        }
        let (found, expected) = (try losses(device), try losses(.cpu))
        let error = zip(found, expected).map { abs($0 - $1) / $1 }.max() ?? .infinity
        return DeviceCheck.Outcome(
            value: found.allSatisfy(\.isFinite) ? error : .infinity, limit: 2e-3,
            note: "losses \(found.map { String(format: "%.4f", $0) }.joined(separator: ", "))")
    }

    /// A run that is stopped and resumed against one that is not, both on the device: bit for bit.
    private static func resumption(_ configuration: LanguageModelConfiguration, _ device: Device) throws
        -> DeviceCheck.Outcome
    {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "retnet-device-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let text = folder.appendingPathComponent("stories.txt")
        var stories = StoryGenerator(seed: 5)
        try stories.corpus(byteCount: 6000).text.write(to: text, atomically: true, encoding: .utf8)
        var settings = RunConfiguration(model: configuration)
        settings.task.data.paths = [text.path]
        settings.task.data.separator = .blankLines(1)
        settings.task.data.length = 48
        settings.task.data.batchSize = 2
        settings.task.data.validationFraction = 0.1
        settings.training.precision = .float32
        settings.training.duration = .steps(6)
        settings.training.monitoring.logInterval = 1
        settings.training.monitoring.evaluationInterval = 3
        settings.training.monitoring.evaluationBatchCount = 1
        settings.training.monitoring.sampleInterval = 0
        settings.training.monitoring.checkpointInterval = 3
        func run(_ name: String, resume: Bool = false, stopAt step: Int? = nil, _ losses: LossRecorder) throws
        {
            let flag = InterruptFlag()
            losses.stop = step.map { ($0, flag) }
            let path = folder.appendingPathComponent(name).path
            _ = try TrainingRun(settings, folder: path, resume: resume, device: device)
                .run(interrupt: flag, observers: [losses])
        }
        func weights(_ name: String) throws -> [Tensor] {
            try ModelFolder.load(
                RunFolder.modelPath(for: folder.appendingPathComponent(name).path), elementType: .float32,
                device: .cpu, computeType: .float32
            ).model.parameters.tensors
        }
        let (whole, parts) = (LossRecorder(), LossRecorder())
        try run("whole", whole)
        try run("parts", stopAt: 4, parts)
        try run("parts", resume: true, parts)
        let differing = (1...6).filter { whole.losses[$0] == nil || whole.losses[$0] != parts.losses[$0] }
        let error = try DeviceComparison.relativeError(weights("parts"), weights("whole"))
        return DeviceCheck.Outcome(
            value: Double(differing.count) + error, limit: Double.leastNonzeroMagnitude,
            note: differing.isEmpty
                ? "weights differ by \(error)" : "the losses of steps \(differing) differ")
    }

    /// The most probable continuations of prompts of different lengths against those of the processor.
    private static func generation(_ configuration: LanguageModelConfiguration, _ device: Device) throws
        -> DeviceCheck.Outcome
    {
        let values = try parameters(configuration)
        let prompts = ["Once upon a time", "Ann", "The cat sat on a mat and looked"]
        var greedy = SamplingParameters()
        greedy.temperature = 0
        greedy.maxTokens = 20
        func texts(_ device: Device) throws -> [[Int32]] {
            let session = try GenerationSession(
                model: try model(configuration, values, .float32, on: device), tokenizer: ByteTokenizer())
            return try session.generate(prompts, greedy).map(\.tokens)
        }
        let (found, expected) = (try texts(device), try texts(.cpu))
        let equal = zip(found, expected).map { pair in zip(pair.0, pair.1).prefix { $0 == $1 }.count }
        let missing = zip(equal, expected).map { $1.count - $0 }.reduce(0, +)
        return DeviceCheck.Outcome(
            value: Double(missing), limit: 1,
            note: "\(equal.reduce(0, +)) equal tokens in \(prompts.count) texts")
    }
}

/// Remembers losses, and can raise a flag after a step.
private final class LossRecorder: TrainingObserver {
    var losses: [Int: Double] = [:]
    var stop: (step: Int, flag: InterruptFlag)?

    func trainingDidStep(_ step: TrainingStep) throws {
        losses[step.step] = step.loss
        if let stop, stop.step == step.step { stop.flag.raise() }
    }
}
