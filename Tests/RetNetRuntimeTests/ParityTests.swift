import Foundation
import RetNetArchitecture
import RetNetRuntime
import RetNetTorch
import Testing

/// The runtime's logits are those of the LibTorch engine.
@Suite struct ParityTests {
    struct Variant: CustomTestStringConvertible, Sendable {
        let name: String
        let configuration: LanguageModelConfiguration
        var testDescription: String { name }

        init(_ name: String, _ change: (inout LanguageModelConfiguration) -> Void) {
            self.name = name
            var c = ParityTests.retention()
            change(&c)
            configuration = c
        }
    }

    static func retention(_ change: (inout RetentionConfiguration) -> Void = { _ in })
        -> LanguageModelConfiguration
    {
        var retention = RetentionConfiguration(
            headCount: 2, keySize: 8, valueSize: 12, decay: .experiment, rotation: .interleaved,
            normalization: .decay, headNorm: HeadNormConfiguration(), gate: .swish, biases: false)
        change(&retention)
        return LanguageModelConfiguration(
            vocabularySize: 19, hiddenSize: 16, layerCount: 3, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .plain, activation: .gelu, innerSize: 24))
    }

    static func retention(_ name: String, _ change: (inout RetentionConfiguration) -> Void) -> Variant {
        Variant(name) { $0 = retention(change) }
    }

    static func mixer(_ name: String, _ mixer: MixerConfiguration) -> Variant {
        Variant(name) { $0.mixer = mixer }
    }

    static let retentions: [Variant] = [
        retention("paper") { _ in },
        retention("halves") { $0.rotation = .halves },
        retention("no rotation") { $0.rotation = .none },
        retention("xpos") { $0.xPosScaleBase = 16 },
        retention("xpos halves, sums") {
            $0.xPosScaleBase = 8
            $0.rotation = .halves
            $0.normalization = .decayAbsSum
        },
        retention("no normalization") { $0.normalization = .none },
        retention("score sums") { $0.normalization = .decayAbsSum },
        retention("standard decays") { $0.decay = .standard },
        retention("quarter steps") { $0.decay = .quarterSteps },
        retention("no decay") { $0.decay = .uniform(1) },
        retention("a list of decays") { $0.decay = .list([0.9, 0.5]) },
        retention("grouped keys") {
            $0.headCount = 4
            $0.keyValueHeadCount = 2
        },
        retention("grouped keys, sums") {
            $0.headCount = 4
            $0.keyValueHeadCount = 1
            $0.normalization = .decayAbsSum
        },
        retention("layer head norm") { $0.headNorm = HeadNormConfiguration(kind: .layer, epsilon: 1e-2) },
        retention("layer head norm per head") {
            $0.headNorm = HeadNormConfiguration(kind: .layer, affine: .perHead, epsilon: 1e-5)
        },
        retention("shared head norm") { $0.headNorm = HeadNormConfiguration(affine: .shared) },
        retention("rms head norm per head") {
            $0.headNorm = HeadNormConfiguration(affine: .perHead, epsilon: 1e-1)
        },
        retention("no head norm") {
            $0.headNorm = HeadNormConfiguration(kind: .none)
            $0.normalization = .decayAbsSum
        },
        retention("no head norm, no normalization, no gate") {
            $0.headNorm = HeadNormConfiguration(kind: .none)
            $0.normalization = .none
            $0.gate = .none
        },
        retention("no gate") { $0.gate = .none },
        retention("gelu gate") { $0.gate = .gelu },
        retention("biases") { $0.biases = true },
        retention("odd sizes") {
            $0.headCount = 3
            $0.keySize = 6
            $0.valueSize = 5
        },
    ]

    static let blocks: [Variant] = [
        Variant("gated swish") {
            $0.feedForward.kind = .gated
            $0.feedForward.activation = .swish
        },
        Variant("relu, biases, sub-norm") {
            $0.feedForward.activation = .relu
            $0.feedForward.biases = true
            $0.feedForward.subNorm = true
        },
        Variant("gelu by tanh, gated") {
            $0.feedForward.kind = .gated
            $0.feedForward.activation = .geluTanh
        },
        Variant("no feed-forward") { $0.feedForward = .none },
        Variant("layer norms") { $0.norm = NormConfiguration(kind: .layer, epsilon: 1e-5) },
        Variant("layer norms without weights, sub-norm") {
            $0.norm = NormConfiguration(kind: .layer, epsilon: 1e-5, affine: false)
            $0.feedForward.subNorm = true
        },
        Variant("post-norm, deep norm") {
            $0.preNorm = false
            $0.deepNorm = true
        },
        Variant("parallel residual, halving") {
            $0.parallelResidual = true
            $0.halvingPeriod = 2
        },
        Variant("halving") { $0.halvingPeriod = 1 },
        Variant("tied, scaled, normed embedding") {
            $0.tiedOutput = true
            $0.embeddingScale = .squareRoot
            $0.embeddingNorm = true
        },
        Variant("no final norm, output biases") {
            $0.finalNorm = false
            $0.outputBias = true
        },
        Variant("sinusoidal positions") { $0.positionEmbedding = .sinusoidal },
        Variant("learned positions") {
            $0.positionEmbedding = .learned
            $0.positionCount = 64
        },
        Variant("short convolution") { $0.pattern[0].shortConvolution = 4 },
        Variant("RetNet+") {
            let attention = LayerConfiguration(
                mixer: .attention(AttentionConfiguration(headCount: 4, keyValueHeadCount: 2, headSize: 6)),
                feedForward: $0.feedForward)
            $0.pattern = [$0.pattern[0], attention]
        },
        Variant("experts") { $0.feedForward.experts = ExpertsConfiguration(count: 4) },
        Variant("two gated experts with biases") {
            $0.feedForward.kind = .gated
            $0.feedForward.biases = true
            $0.feedForward.experts = ExpertsConfiguration(routing: .top2, count: 4)
        },
        Variant("prioritized experts") {
            $0.feedForward.experts = ExpertsConfiguration(routing: .prioritized, count: 5, choices: 3)
        },
        Variant("partial experts") {
            $0.feedForward.kind = .gated
            $0.feedForward.experts = ExpertsConfiguration(
                routing: .partial, count: 6, capacityFactor: nil, innerSize: 3)
        },
        Variant("AltUp") { $0.altUp = AltUpConfiguration() },
        Variant("AltUp of predicted inputs, one stream, positions") {
            $0.altUp = AltUpConfiguration(streamCount: 3, selection: .same, layerInput: .predicted)
            $0.positionEmbedding = .sinusoidal
            $0.tiedOutput = true
        },
        Variant("Recycled-AltUp") { $0.altUp = AltUpConfiguration(kind: .recycled, streamCount: 3) },
        Variant("Recycled-AltUp, mean") {
            $0.altUp = AltUpConfiguration(kind: .recycled, reduction: .mean)
            $0.finalNorm = false
        },
        Variant("Sum") { $0.altUp = AltUpConfiguration(kind: .sum) },
        Variant("Gemma's AltUp") { $0.altUp = AltUpConfiguration(kind: .gemma, streamCount: 4) },
        Variant("Sequence-AltUp") {
            $0.altUp = .sequence(SequenceReductionConfiguration(stride: 3, lastLayer: 2))
        },
        Variant("Sequence-AltUp over anchors, with AltUp") {
            $0.altUp = AltUpConfiguration(
                sequence: SequenceReductionConfiguration(stride: 4, firstLayer: 0, positions: .anchors))
        },
        Variant("stride and skip") {
            $0.altUp = .sequence(SequenceReductionConfiguration(mode: .skip, stride: 2))
        },
    ]

    static let mixers: [Variant] = [
        mixer("attention", .attention(AttentionConfiguration(headCount: 2, headSize: 8))),
        mixer(
            "attention, grouped, part rotated, biases",
            .attention(
                AttentionConfiguration(
                    headCount: 4, keyValueHeadCount: 1, headSize: 8, rotation: .halves, rotaryBase: 500,
                    rotarySize: 4, biases: true, outputBiases: false))),
        mixer(
            "attention without rotation",
            .attention(AttentionConfiguration(headCount: 2, headSize: 5, rotation: .none))),
        mixer(
            "gated retention",
            .gatedRetention(GatedRetentionConfiguration(headCount: 2, keySize: 8, valueSize: 6))),
        mixer("linear attention", .linearAttention(LinearAttentionConfiguration(headCount: 2, headSize: 8))),
        mixer(
            "linear attention, rms",
            .linearAttention(
                LinearAttentionConfiguration(
                    headCount: 2, headSize: 8, featureMap: .relu, normalizer: .rms, rotation: .halves,
                    biases: true))),
        mixer(
            "linear attention, rotated sums",
            .linearAttention(
                LinearAttentionConfiguration(headCount: 2, headSize: 8, rotation: .interleaved))),
        mixer("rwkv", .rwkv(RWKVConfiguration(channelCount: 16))),
        Variant("rwkv with channel mixing") {
            $0.pattern = [
                LayerConfiguration(mixer: .rwkv(RWKVConfiguration(channelCount: 16)), feedForward: .none),
                LayerConfiguration(
                    mixer: .rwkvChannelMix(RWKVChannelMixConfiguration(channelCount: 16)),
                    feedForward: .none),
            ]
        },
        mixer(
            "gla",
            .gatedLinearAttention(GatedLinearAttentionConfiguration(width: 16, headCount: 2))),
        mixer("mamba2", .mamba2(Mamba2Configuration(width: 16, headSize: 8))),
        mixer("deltanet", .gatedDeltaNet(.deltaNet(width: 16, headCount: 2))),
        mixer("gated deltanet", .gatedDeltaNet(GatedDeltaNetConfiguration(width: 16, headCount: 2))),
    ]

    @Test(arguments: retentions + blocks + mixers)
    func `logits of a whole text, of pieces and of steps are those of the LibTorch engine`(
        _ variant: Variant
    ) throws {
        let pair = try EnginePair(variant.configuration)
        let tokens = EnginePair.tokens(37)
        let expected = try pair.expected(tokens)
        #expect(relativeError(try pair.found(tokens, pieces: [37]), expected) < 1e-5)
        #expect(relativeError(try pair.found(tokens, pieces: [1, 5, 31]), expected) < 1e-5)
        #expect(relativeError(try pair.steps(tokens), expected) < 1e-5)
    }

    /// 10,000, or with `RETNET_LONG_TESTS` ten times as many and every mixer.
    private static let isLong = ProcessInfo.processInfo.environment["RETNET_LONG_TESTS"] != nil
    private static let longCount = isLong ? 100_000 : 10_000
    private static let longVariants =
        [retentions[0], retentions[4], blocks[14], mixers[4]]
        + (isLong ? [retentions[3], retentions[6], retentions[9], blocks[24], mixers[3]] + mixers[5...] : [])

    @Test(arguments: longVariants)
    func `logits after 10,000 tokens are those of the LibTorch engine`(_ variant: Variant) throws {
        let pair = try EnginePair(variant.configuration)
        let tokens = EnginePair.tokens(Self.longCount)
        let expected = Array(try pair.expected(tokens, form: .chunkwise(128)).suffix(19 * 100))
        var states = [pair.runtime.initialState()]
        try pair.runner.read([Array(tokens.dropLast(100))], &states, logits: .none)
        var found: [Float] = []
        for token in tokens.suffix(100) { found += try Array(pair.runner.step([token], &states)[0]) }
        #expect(relativeError(found, expected) < 1e-4)
        #expect(states[0].tokenCount == Self.longCount)
        guard Self.isLong else { return }
        let exact = Array(try pair.exact(tokens).suffix(19 * 100))
        let errors = (relativeError(found, exact), relativeError(expected, exact))
        print("\(variant.name): \(relativeError(found, expected)) apart; from float64 \(errors)")
        #expect(errors.0 < 1e-4 && errors.1 < 1e-4)
    }
}
