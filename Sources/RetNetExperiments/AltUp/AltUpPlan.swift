import RetNetModels

/// Sizes and training of the comparisons around AltUp, by scale.
struct AltUpPlan {
    /// One size of the models of all families.
    struct Size {
        /// `S`, `M` or `L`.
        let name: String
        let width: Int
        /// Layers of a decoder-only model.
        let layerCount: Int
        /// Layers of T5's encoder, and of its decoder.
        let t5LayerCount: Int
        /// The learning rate of decoder-only models.
        let decoderRate: Double
        /// The learning rate of T5 in pretraining.
        let t5Rate: Double
        /// A public model in the place of one of the width.
        var preset: T5Configuration?
        /// Sizes within mixers.
        var sizes: ComparedSizes
        let length: Int

        /// The dense decoder-only model.
        func decoder(_ family: AltUpFamily) -> LanguageModelConfiguration {
            let architecture: ComparedArchitecture = family == .transformer ? .transformer : .retnet
            return architecture.configuration(
                width: width, layerCount: layerCount, vocabularySize: 256, trainingLength: length,
                sizes: sizes)
        }

        /// The dense T5 v1.1 over bytes.
        var t5: T5Configuration {
            var result =
                preset
                ?? T5Configuration(
                    hiddenSize: width, headCount: 4, keySize: width / 4, innerSize: 2 * width,
                    encoderLayerCount: t5LayerCount, feedForward: .gatedGelu, tiedOutput: false)
            result.vocabularySize = 384
            result.dropout = 0
            return result
        }
    }

    /// Sizes from small to large.
    let sizes: [Size]
    /// Training of decoder-only models.
    let decoder: TextRun.Settings
    /// Pretraining and fine-tuning of T5.
    let t5: T5Run.Settings
    /// Rounds of a measurement of latency.
    let roundCount: Int

    /// The variants of comparisons over sizes, with the sizes that each is trained at.
    static let sizeVariants: [(variant: AltUpVariant, sizes: ClosedRange<Int>)] = [
        (.dense, 0...2), (.altUp, 0...2), (.recycled, 0...2), (.sum, 1...1), (.dense2x, 1...1),
    ]

    /// One size alone.
    func only(_ index: Int) -> [Size] { [sizes[min(index, sizes.count - 1)]] }

    /// The plan of a scale.
    ///
    /// Recipes with many models stay within minutes at the smallest scale by `tinyStepFactor` of the steps and by
    /// `tunesTiny`, whether T5 is fine-tuned there.
    init(_ context: ExperimentContext, tinyStepFactor: Double = 1, tunesTiny: Bool = true) {
        let factor = context.scale == .tiny ? tinyStepFactor : 1
        func steps(_ count: Int) -> Int { context.steps(Int(Double(count) * factor)) }
        func size(
            _ name: String, _ width: Int, layers: Int, t5 t5LayerCount: Int, rate: Double, t5Rate: Double,
            length: Int
        ) -> Size {
            Size(
                name: name, width: width, layerCount: layers, t5LayerCount: t5LayerCount, decoderRate: rate,
                t5Rate: t5Rate,
                sizes: ModelSize.small(width: width, layerCount: layers).sizes, length: length)
        }
        switch context.scale {
        case .tiny:
            sizes = [
                size("S", 64, layers: 2, t5: 2, rate: 4e-3, t5Rate: 0.03, length: 256),
                size("M", 96, layers: 3, t5: 3, rate: 3.5e-3, t5Rate: 0.03, length: 256),
                size("L", 128, layers: 4, t5: 4, rate: 3e-3, t5Rate: 0.03, length: 256),
            ]
            decoder = TextRun.Settings(steps: steps(220), batch: 8, length: 256, learningRate: 3.5e-3)
            t5 = T5Run.Settings(
                steps: steps(800), batch: 8, sourceLength: 128, schedule: .linear, warmup: 20,
                tuning: tunesTiny
                    ? .init(
                        steps: steps(64), batch: 8, sourceLength: 384, targetLength: 24, learningRate: 3e-3,
                        exampleLimit: 200, groups: [[.sst2], [.boolq]]) : nil)
            roundCount = max(2, steps(9))
        case .small:
            sizes = [
                size("S", 128, layers: 4, t5: 4, rate: 3e-3, t5Rate: 0.02, length: 512),
                size("M", 256, layers: 6, t5: 6, rate: 2e-3, t5Rate: 0.02, length: 512),
                size("L", 384, layers: 8, t5: 8, rate: 1.5e-3, t5Rate: 0.02, length: 512),
            ]
            decoder = TextRun.Settings(steps: steps(1800), batch: 16, length: 512, learningRate: 2e-3)
            t5 = T5Run.Settings(
                steps: steps(3000), batch: 16, sourceLength: 512, schedule: .linear, warmup: 45,
                tuning: .init(
                    steps: steps(1000), batch: 16, sourceLength: 1024, targetLength: 48, learningRate: 5e-4,
                    exampleLimit: 1000, groups: TuningTask.groups))
            roundCount = max(2, steps(15))
        case .paper:
            let widths = [("S", "small", 512, 8), ("B", "base", 768, 12), ("L", "large", 1024, 24)]
            sizes = widths.map { name, preset, width, layers in
                var result = size(
                    name, width, layers: layers, t5: layers, rate: 6e-4, t5Rate: 0.01, length: 512)
                result.preset = (try? T5Preset.named("t5-v1.1-\(preset)"))?.configuration
                result.sizes = ComparedSizes()
                return result
            }
            decoder = TextRun.Settings(
                steps: steps(500_000), batch: 32, length: 512, learningRate: 6e-4, accumulation: 8,
                warmup: steps(10_000), recomputes: true)
            t5 = T5Run.Settings(
                steps: steps(500_000), batch: 32, sourceLength: 512, accumulation: 8,
                schedule: .inverseSquareRoot,
                warmup: steps(10_000),
                tuning: .init(
                    steps: steps(50_000), batch: 32, sourceLength: 1024, targetLength: 128,
                    learningRate: 1e-3, accumulation: 8, exampleLimit: .max, groups: TuningTask.groups))
            roundCount = max(2, steps(15))
        }
    }
}
