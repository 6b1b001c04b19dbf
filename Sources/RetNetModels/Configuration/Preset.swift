import Foundation
import RetNetArchitecture
import RetNetMixers
import RetNetSettings

/// A named configuration with its origin and a recipe to train it.
public struct Preset: Sendable, Equatable {
    /// The name, as in `retnet-3m`.
    public let name: String
    /// A description in one line.
    public let summary: String
    /// The model.
    public let configuration: LanguageModelConfiguration
    /// The origin of the sizes, and the choices of this package among them.
    public let source: String
    /// The training recipe.
    public let recipe: PresetRecipe

    /// All presets, from the smallest of this package to those of other projects.
    public static let all: [Preset] =
        small + transformer + paper + ablations + compared + altUp + torchscale + fla

    /// Returns the preset of a name; throws ``PresetError`` with the nearest name.
    public static func named(_ name: String) throws -> Preset {
        guard let preset = all.first(where: { $0.name == name }) else {
            let names = all.map(\.name)
            throw PresetError.unknown(
                name, suggestion: NameMatcher.nearest(to: name, in: names), known: names)
        }
        return preset
    }
}

/// The training recipe of a preset: published values, or proposals where ``isPublished`` is false.
public struct PresetRecipe: Sendable, Equatable {
    /// Learning rate after warm-up.
    public var peakLearningRate: Double
    /// Steps of linear warm-up from 0.
    public var warmupSteps: Int
    /// Training steps, warm-up included.
    public var steps: Int
    /// Tokens per step, all sequences together.
    public var tokensPerStep: Int
    /// Tokens per sequence.
    public var sequenceLength: Int
    /// Weight decay of AdamW.
    public var weightDecay: Double
    /// Decay rates of AdamW's first and second moments.
    public var betas: [Double]
    /// Largest norm of all gradients together.
    public var gradientClip: Double
    /// True if these values come from the source of the preset, as far as it states them.
    public var isPublished: Bool

    /// A recipe, with defaults from the papers' tables.
    public init(
        peakLearningRate: Double, warmupSteps: Int = 375, steps: Int, tokensPerStep: Int,
        sequenceLength: Int = 2048, weightDecay: Double = 0.05, betas: [Double] = [0.9, 0.98],
        gradientClip: Double = 2, isPublished: Bool
    ) {
        self.peakLearningRate = peakLearningRate
        self.warmupSteps = warmupSteps
        self.steps = steps
        self.tokensPerStep = tokensPerStep
        self.sequenceLength = sequenceLength
        self.weightDecay = weightDecay
        self.betas = betas
        self.gradientClip = gradientClip
        self.isPublished = isPublished
    }
}

/// An error in the choice or the change of a preset.
public enum PresetError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// No preset has that name.
    case unknown(String, suggestion: String?, known: [String])
    /// A change is impossible for the model.
    case unsuitable(reason: String)

    /// The error in one sentence, with its remedy.
    public var description: String {
        switch self {
        case .unsuitable(let reason): reason
        case .unknown(let name, let suggestion, let known):
            "there is no preset '\(name)'; "
                + (suggestion.map { "did you mean '\($0)'?" } ?? "there are " + known.joined(separator: ", "))
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

extension Preset {
    /// Presets of this package over bytes, from one to a hundred million parameters.
    ///
    /// They have the proportions of the paper (values 2d, feed-forward 2d, so 12d² per block) and the decays of its
    /// experiments, windows from 32 to 512 positions. Keys are narrower than the paper's 256 where the width would
    /// allow only one head.
    static let small: [Preset] = [
        bytes("retnet-1m", width: 128, layers: 5, heads: 2, rate: 2e-3, steps: 2000, batch: 16, length: 512),
        bytes("retnet-3m", width: 256, layers: 4, heads: 4, rate: 2e-3, steps: 3000, batch: 16, length: 512),
        bytes(
            "retnet-8m", width: 320, layers: 6, heads: 5, rate: 1.5e-3, steps: 6000, batch: 16, length: 1024),
        bytes(
            "retnet-22m", width: 512, layers: 6, heads: 2, rate: 1e-3, steps: 10_000, batch: 16, length: 1024),
        bytes(
            "retnet-50m", width: 640, layers: 10, heads: 5, rate: 8e-4, steps: 20_000, batch: 16, length: 2048
        ),
        bytes(
            "retnet-100m", width: 768, layers: 14, heads: 6, rate: 6e-4, steps: 40_000, batch: 32,
            length: 2048),
    ]

    private static func bytes(
        _ name: String, width: Int, layers: Int, heads: Int, rate: Double, steps: Int, batch: Int, length: Int
    ) -> Preset {
        let keySize = width / heads
        let millions = Double(12 * width * width * layers) / 1e6
        let retention = RetentionConfiguration(
            headCount: heads, keySize: keySize, valueSize: 2 * keySize, decay: .experiment,
            normalization: .decay, headNorm: HeadNormConfiguration(kind: .rms, epsilon: 1e-6))
        let configuration = LanguageModelConfiguration(
            vocabularySize: 256, hiddenSize: width, layerCount: layers, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .plain, activation: .gelu, innerSize: 2 * width),
            norm: NormConfiguration(kind: .rms, epsilon: 1e-6), embeddingScale: .squareRoot,
            initialization: .torchscale, trainingLength: length)
        let tenths = Int((millions * 10).rounded())
        return Preset(
            name: name,
            summary: "bytes, \(layers) layers of width \(width), \(heads) heads,"
                + " \(tenths / 10).\(tenths % 10)M in matrices",
            configuration: configuration,
            source: "This package: the paper's block (arXiv 2307.08621) with RMS norms, over the 256 bytes.",
            recipe: PresetRecipe(
                peakLearningRate: rate, warmupSteps: max(50, steps * 3 / 200), steps: steps,
                tokensPerStep: batch * length, sequenceLength: length, isPublished: false))
    }
}

extension Preset {
    /// Variants of this package's presets with AltUp and with experts.
    static let altUp: [Preset] = [
        variant("retnet-8m", "altup2", "AltUp with 2 streams") { $0.altUp = AltUpConfiguration() },
        variant("retnet-8m", "altup4", "AltUp with 4 streams") {
            $0.altUp = AltUpConfiguration(streamCount: 4)
        },
        variant("retnet-8m", "recycled2", "Recycled-AltUp with 2 streams") {
            $0.altUp = AltUpConfiguration(kind: .recycled)
        },
        variant("retnet-8m", "sum2", "the baseline Sum: 2 embeddings added") {
            $0.altUp = AltUpConfiguration(kind: .sum)
        },
        variant("retnet-8m", "dense2x", "the baseline Dense2X: a residual stream of twice the width") {
            $0 = $0.widened(by: 2)
        },
        variant("retnet-8m", "sequence4", "Sequence-AltUp with stride 4") {
            $0.altUp = .sequence(SequenceReductionConfiguration())
        },
        variant("retnet-8m", "skip4", "the baseline stride-and-skip with stride 4") {
            $0.altUp = .sequence(SequenceReductionConfiguration(mode: .skip))
        },
        variant("retnet-8m", "gemma4", "Gemma 3n's AltUp with 4 streams") {
            $0.altUp = AltUpConfiguration(kind: .gemma, streamCount: 4)
        },
        variant("retnet-8m", "switch8", "8 experts per feed-forward, 1 per token") {
            $0.feedForward.experts = ExpertsConfiguration(count: 8)
        },
        variant("retnet-8m", "partial32", "32 tiny experts added to each feed-forward") {
            $0.feedForward.experts = ExpertsConfiguration(
                routing: .partial, count: 32, capacityFactor: nil, innerSize: 16)
        },
        variant("retnet-8m", "switch8-altup2", "8 experts per feed-forward, AltUp with 2 streams") {
            $0.feedForward.experts = ExpertsConfiguration(count: 8)
            $0.altUp = AltUpConfiguration()
        },
        variant("retnet-22m", "altup2", "AltUp with 2 streams") { $0.altUp = AltUpConfiguration() },
        variant("retnet-22m", "recycled2", "Recycled-AltUp with 2 streams") {
            $0.altUp = AltUpConfiguration(kind: .recycled)
        },
    ]

    private static func variant(
        _ base: String, _ suffix: String, _ what: String,
        _ change: (inout LanguageModelConfiguration) -> Void
    ) -> Preset {
        // The names are those of `small`, so that the fallback is never taken.
        let dense = small.first { $0.name == base } ?? small[0]
        var configuration = dense.configuration
        change(&configuration)
        return Preset(
            name: "\(dense.name)-\(suffix)", summary: "\(dense.name) and \(what)",
            configuration: configuration,
            source:
                "This package: \(dense.name) with a change after AltUp (arXiv 2301.13310) and its baselines. The"
                + " recipe is that of the dense model.",
            recipe: dense.recipe)
    }
}
