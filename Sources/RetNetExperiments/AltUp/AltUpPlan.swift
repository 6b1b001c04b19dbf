import Foundation
import RetNetModels
import RetNetStorage

/// Sizes and training of the comparisons of AltUp by scale.
struct AltUpPlan {
    /// A size for the models of all families.
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
        /// A public model that replaces the one of this width.
        var preset: T5Configuration?
        /// Sizes of mixers.
        var sizes: ComparedSizes
        let length: Int

        /// Returns the dense decoder-only model.
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
    let decoder: TextTraining.Settings
    /// Pretraining and fine-tuning of T5.
    let t5: T5Training.Settings
    /// Rounds of a latency measurement.
    let roundCount: Int

    /// The variants of comparisons over sizes, each with its sizes.
    static let sizeVariants: [(variant: AltUpVariant, sizes: ClosedRange<Int>)] = [
        (.dense, 0...2), (.altUp, 0...2), (.recycled, 0...2), (.sum, 1...1), (.dense2x, 1...1),
    ]

    /// Returns a single size.
    func only(_ index: Int) -> [Size] { [sizes[min(index, sizes.count - 1)]] }

    /// Plans sizes and training for the scale of a context.
    ///
    /// Two parameters limit the time of recipes with many models at the smallest scale: `tinyStepFactor` is a factor on
    /// the number of steps, and `tunesTiny` is true if T5 is fine-tuned.
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
            decoder = TextTraining.Settings(steps: steps(220), batch: 8, length: 256, learningRate: 3.5e-3)
            t5 = T5Training.Settings(
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
            decoder = TextTraining.Settings(steps: steps(1800), batch: 16, length: 512, learningRate: 2e-3)
            t5 = T5Training.Settings(
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
            decoder = TextTraining.Settings(
                steps: steps(500_000), batch: 32, length: 512, learningRate: 6e-4, accumulation: 8,
                warmup: steps(10_000), recomputes: true)
            t5 = T5Training.Settings(
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

/// A model of a comparison of AltUp.
struct AltUpContender {
    /// The configuration of the model.
    enum Architecture {
        case decoder(LanguageModelConfiguration)
        case encoderDecoder(T5Configuration)
    }

    let family: AltUpFamily
    let variant: AltUpVariant
    /// The name of the size, `S`, `M` or `L`.
    let size: String
    let architecture: Architecture
    /// The learning rate of training from initial values.
    var learningRate: Double
    /// True if names include the size, because the comparison has several sizes.
    private let namesSize: Bool

    /// Creates a variant of the dense model of a family and size; nil if it does not exist.
    init?(_ family: AltUpFamily, _ variant: AltUpVariant, _ size: AltUpPlan.Size, namesSize: Bool) {
        self.family = family
        self.variant = variant
        self.size = size.name
        self.namesSize = namesSize
        switch family {
        case .retnet, .transformer:
            guard let model = variant.applied(to: size.decoder(family)) else { return nil }
            architecture = .decoder(model)
            learningRate = size.decoderRate
        case .t5:
            architecture = .encoderDecoder(variant.applied(to: size.t5))
            learningRate = size.t5Rate
        }
    }

    /// The name in tables, `RetNet S, AltUp`.
    var name: String { "\(group), \(variant.title)" }
    /// The family, with the size if there are several.
    var group: String { namesSize ? "\(family.title) \(size)" : family.title }
    /// The name by which it is selected.
    var key: String { "\(family.rawValue)-\(variant.rawValue)" }
    /// The name in files and measurements.
    var slug: String { namesSize ? "\(key)-\(size.lowercased())" : key }

    /// A checksum of the model for the settings of an experiment.
    var fingerprint: String {
        let settings =
            switch architecture {
            case .decoder(let model): try? model.settings.jsonText()
            case .encoderDecoder(let model): try? model.settings.jsonText()
            }
        return Checksum.hexadecimal(
            Checksum.crc32(Data("\(slug) \(learningRate) \(settings ?? "")".utf8)))
    }

    /// Returns the number of parameters, and of those in embedding and output.
    func parameters() throws -> (all: Int, ends: Int) {
        switch architecture {
        case .decoder(let model):
            let parameters = try ModelAccounting(model).parameters
            return (parameters.total, parameters.embedding + parameters.output)
        case .encoderDecoder(let model):
            let accounting = try T5Accounting(model)
            return (accounting.parameterCount, accounting.embeddingParameterCount)
        }
    }

    /// Returns the bytes of weights, gradients and moments in training.
    func trainingByteCount(mixedPrecision: Bool) throws -> Int {
        switch architecture {
        case .decoder(let model):
            try ModelAccounting(model).trainingByteCount(mixedPrecision: mixedPrecision)
        case .encoderDecoder(let model):
            try T5Accounting(model).parameterCount * (mixedPrecision ? 18 : 16)
        }
    }
}
