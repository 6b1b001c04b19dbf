import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import RetNetTraining
import Testing

/// Whole runs by the kernels of training and by the clear path: `Benchmarks/training/losses.py` compares longer ones.
@Suite struct FastPathTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let configuration: LanguageModelConfiguration
        var optimizer = OptimizerConfiguration.Kind.adamW

        var testDescription: String { name }
    }

    static let cases: [Case] = {
        func model(_ mixer: MixerConfiguration, _ norm: NormConfiguration, vocabularySize: Int = 256)
            -> LanguageModelConfiguration
        {
            LanguageModelConfiguration(
                vocabularySize: vocabularySize, hiddenSize: 32, layerCount: 2, mixer: mixer,
                feedForward: FeedForwardConfiguration(innerSize: 64), norm: norm,
                embeddingScale: .squareRoot)
        }
        func retention(_ normalization: ScoreNormalization, _ kind: HeadNormConfiguration.Kind)
            -> MixerConfiguration
        {
            .retention(
                RetentionConfiguration(
                    headCount: 2, keySize: 16, valueSize: 32, decay: .experiment,
                    normalization: normalization,
                    headNorm: HeadNormConfiguration(kind: kind, epsilon: 1e-5)))
        }
        let (rms, layer) = (
            NormConfiguration(kind: .rms, epsilon: 1e-6), NormConfiguration(kind: .layer, epsilon: 1e-5)
        )
        return [
            Case(
                name: "retention as in the small presets", configuration: model(retention(.decay, .rms), rms)),
            Case(
                name: "as in the paper, with Muon",
                configuration: model(retention(.decayAbsSum, .layer), layer), optimizer: .muon),
            Case(
                name: "a large vocabulary",
                configuration: model(retention(.decayAbsSum, .layer), layer, vocabularySize: 25_000)),
            Case(
                name: "Gated DeltaNet",
                configuration: model(
                    .gatedDeltaNet(GatedDeltaNetConfiguration(width: 32, headCount: 2)), rms)),
        ]
    }()

    /// The losses of the steps of a run.
    private func losses(_ c: Case, _ type: ElementType, steps: Int) throws -> [Double] {
        let store = ParameterStore(source: .random(seed: 9))
        let model = try LanguageModel(c.configuration, parameters: store, computeType: type)
        var training = TrainingConfiguration()
        training.duration = .steps(steps)
        training.optimizer = OptimizerConfiguration(c.optimizer)
        training.optimizer.learningRate = 5e-3
        training.schedule.warmupStepCount = 2
        let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 4, length: 48, seed: 3)
        let trainer = try Trainer(
            LanguageModelTask(model, source: source, form: c.configuration.trainingForm), training)
        return try (0..<steps).map { _ in try trainer.makeStep().loss }
    }

    @Test(arguments: cases, [ElementType.float32, .bfloat16])
    func `The losses of a run are those of the clear path`(_ c: Case, type: ElementType) throws {
        let steps = 12
        let found = try losses(c, type, steps: steps)
        let expected = try FusedOperators.withoutKernels { try losses(c, type, steps: steps) }
        // The run learns, and rounding is all that differs.
        #expect(try #require(expected.last) < expected[0] - 0.5)
        let limit = type == .float32 ? 2e-3 : 3e-2
        for (step, (a, b)) in zip(found, expected).enumerated() {
            #expect(abs(a - b) < limit * b, "step \(step + 1): \(a) and \(b)")
        }
    }
}
