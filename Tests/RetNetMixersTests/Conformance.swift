import RetNetLayers
import RetNetMixers
import RetNetTorch
import Testing

/// An architecture with everything that the property tests need to know of it.
struct Subject: CustomTestStringConvertible, Sendable {
    let name: String
    let configuration: MixerConfiguration
    let hiddenSize: Int
    /// Several published initial values are zero; tests on those prove nothing, so all are drawn anew.
    let deviation: Double
    /// How much larger errors may be than the package's contract asks, where mathematics demands it.
    let slack: Double

    init(
        _ name: String, _ configuration: MixerConfiguration, hiddenSize: Int = 12, deviation: Double = 0.4,
        slack: Double = 1
    ) {
        self.name = name
        self.configuration = configuration
        self.hiddenSize = hiddenSize
        self.deviation = deviation
        self.slack = slack
    }

    var testDescription: String { name }
    var architecture: any MixerBuilding { configuration.builder }

    /// All architectures with their variants; a new one adds its line here.
    static let all: [Subject] =
        [
            Subject(
                "retention",
                .retention(RetentionConfiguration(headCount: 3, keySize: 4, valueSize: 6, decay: .experiment))
            ),
            Subject(
                "retention, abs sum",
                .retention(
                    RetentionConfiguration(
                        headCount: 2, keyValueHeadCount: 1, keySize: 6, valueSize: 4,
                        normalization: .decayAbsSum, headNorm: HeadNormConfiguration(kind: .layer)))),
            Subject(
                "retention, xpos",
                .retention(
                    RetentionConfiguration(
                        headCount: 2, keySize: 6, valueSize: 4, decay: .experiment, rotation: .halves,
                        xPosScaleBase: 2, normalization: .none))),
            Subject(
                "retention, xpos, abs sum",
                .retention(
                    RetentionConfiguration(
                        headCount: 2, keySize: 4, valueSize: 4, xPosScaleBase: 100,
                        normalization: .decayAbsSum))),
        ] + averages + stateSpaces + attention + matrixStates

    /// S4D, H3 and Hyena.
    private static let stateSpaces: [Subject] = [
        Subject("s4d", .s4d(S4DConfiguration(channelCount: 12, stateSize: 8))),
        Subject(
            "s4d gated, inverse, bilinear",
            .s4d(
                S4DConfiguration(
                    channelCount: 10, stateSize: 6, block: .gated, initialization: .inverse,
                    discretization: .bilinear))),
        Subject("h3", .h3(H3Configuration(headCount: 3, headSize: 4, stateSize: 8, shiftSize: 5))),
        Subject(
            "h3, width 1",
            .h3(
                H3Configuration(
                    headCount: 7, headSize: 1, stateSize: 4, shiftSize: 1, discretization: .zeroOrderHold,
                    biases: false))),
        Subject(
            "hyena",
            .hyena(
                HyenaConfiguration(
                    channelCount: 12, maximumLength: 160, featureCount: 5, filterSize: 8, sineFrequency: 2))),
        Subject(
            "hyena of order 3, trained features",
            .hyena(
                HyenaConfiguration(
                    channelCount: 10, order: 3, maximumLength: 170, featureCount: 5, filterSize: 6,
                    sineFrequency: 1, shortSize: 4, windowShift: 0.02, trainsFeatures: true))),
    ]

    /// RWKV, AFT and linear attention.
    private static let averages: [Subject] = [
        Subject("rwkv", .rwkv(RWKVConfiguration(channelCount: 12))),
        Subject(
            "rwkv channel mix", .rwkvChannelMix(RWKVChannelMixConfiguration(channelCount: 12, innerSize: 20))),
        Subject("aft simple", .aft(AFTConfiguration(channelCount: 10, variant: .simple, biases: true))),
        Subject(
            "aft local",
            .aft(
                AFTConfiguration(
                    channelCount: 12,
                    variant: .local(window: 6, bias: .factorized(rank: 3, maximumLength: 160))))),
        Subject(
            "aft local, by distance",
            .aft(AFTConfiguration(channelCount: 12, variant: .local(window: 5, bias: .relative)))),
        Subject(
            "aft full", .aft(AFTConfiguration(channelCount: 12, variant: .full(rank: 3, maximumLength: 160)))),
        Subject("linear", .linearAttention(LinearAttentionConfiguration(headCount: 3, headSize: 4))),
        Subject(
            "linear, rotated numerator",
            .linearAttention(
                LinearAttentionConfiguration(headCount: 2, headSize: 6, rotation: .halves, biases: true))),
        Subject(
            "linear, rms norm",
            .linearAttention(
                LinearAttentionConfiguration(
                    headCount: 3, headSize: 4, featureMap: .identity, normalizer: .rms, rotation: .interleaved
                ))),
    ]

    /// Matrix memories whose gates depend on the data.
    private static let matrixStates: [Subject] = [
        Subject(
            "gated retention",
            .gatedRetention(GatedRetentionConfiguration(headCount: 3, keySize: 4, valueSize: 6))),
        Subject(
            "gated retention, bare",
            .gatedRetention(
                GatedRetentionConfiguration(
                    headCount: 2, keySize: 5, valueSize: 4, gateDivisor: 2, rotation: .none,
                    headNorm: HeadNormConfiguration(kind: .none), gate: .none))),
        Subject(
            "gated linear attention",
            .gatedLinearAttention(
                GatedLinearAttentionConfiguration(headCount: 2, keySize: 3, valueSize: 6, gateRank: 4))),
        Subject(
            "gated linear attention, strong gates",
            .gatedLinearAttention(
                GatedLinearAttentionConfiguration(
                    headCount: 2, keySize: 3, valueSize: 6, gateRank: 4, gateDivisor: 0.2))),
        Subject(
            "gated linear attention, convolutions and bounded gates",
            .gatedLinearAttention(
                GatedLinearAttentionConfiguration(
                    headCount: 2, keySize: 3, valueSize: 6, gateRank: 4, minimumLogGate: -0.03,
                    convolutionWidth: 3))),
        Subject("mamba2", .mamba2(Mamba2Configuration(headCount: 3, headSize: 4, stateSize: 5))),
        Subject(
            "mamba2, two groups, no convolution",
            .mamba2(
                Mamba2Configuration(
                    headCount: 4, headSize: 3, stateSize: 4, groupCount: 2, convolutionWidth: 1))),
        Subject(
            "mamba2, biases, bounded steps",
            .mamba2(
                Mamba2Configuration(
                    headCount: 4, headSize: 3, stateSize: 4, groupCount: 2, biases: true,
                    convolutionBiases: false, minimumStep: 0.3, maximumStep: 0.9))),
        Subject(
            "delta net", .gatedDeltaNet(GatedDeltaNetConfiguration.deltaNet(width: 12, headCount: 2))),
        Subject(
            "gated delta net, beta to 2",
            .gatedDeltaNet(GatedDeltaNetConfiguration(width: 16, headCount: 2, betaRange: 2))),
        Subject(
            "gated delta net, no convolution",
            .gatedDeltaNet(
                GatedDeltaNetConfiguration(
                    headCount: 3, keySize: 4, valueSize: 5, convolutionWidth: 1,
                    headNorm: HeadNormConfiguration(kind: .layer, affine: .perHead)))),
    ]

    /// The mixer with random parameters of the given type, equal for equal seeds but for rounding.
    func make(_ type: ElementType = .float64, seed: UInt64 = 3) throws -> (
        mixer: any TokenMixer, parameters: ParameterStore
    ) {
        let own = ParameterStore(source: .random(seed: seed), elementType: .float64)
        let context = LayerContext(hiddenSize: hiddenSize, layer: 1, layerCount: 3)
        _ = try architecture.makeMixer(own.root, context)
        let generator = try Generator(seed: seed)
        var values: [String: Tensor] = [:]
        for entry in own.entries {
            // Vectors keep their initial values, shaken; matrices are drawn wide enough to matter.
            let noise = try generator.normal(entry.tensor.shape, .float64)
            values[entry.name] =
                entry.tensor.rank > 1 && entry.maximumLearningRate == nil
                ? try noise * deviation : try entry.tensor + noise * 0.1
        }
        let store = ParameterStore(
            source: .provided { name, _ in
                try values[name] ?? { throw TorchError(kind: .value, message: "no parameter \(name)") }()
            }, elementType: type)
        return (try architecture.makeMixer(store.root, context), store)
    }
}

/// The call of a batch of rows at given positions.
func mixerCall(_ form: MixerForm, _ positions: [SequencePosition]) -> ForwardPass {
    ForwardPass(form: form, positions: positions, context: .inference)
}

/// Runs x [B, T, D] in pieces, each in its form, carrying state and positions.
func runPieces(
    _ mixer: any TokenMixer, _ x: Tensor, _ pieces: [(length: Int, form: MixerForm)],
    state: (any MixerState)? = nil, positions: [SequencePosition]? = nil
) throws -> (output: Tensor, state: any MixerState, positions: [SequencePosition]) {
    var positions = positions ?? [SequencePosition](repeating: SequencePosition(), count: x.size(0))
    var state = state
    var start = 0
    var outputs: [Tensor] = []
    for (length, form) in pieces {
        let (y, next) = try mixer(
            x.sliced(1, start..<start + length), state: state, mixerCall(form, positions))
        outputs.append(y)
        state = next
        positions = positions.map { $0.advanced(by: length) }
        start += length
    }
    guard let state else { throw MixerError.emptySequence }
    return (try Tensor.concatenated(outputs, axis: 1), state, positions)
}

/// Each tensor of a state cut to what was seen, so that spare room does not count.
func seen(_ state: any MixerState, count: Int) throws -> [(name: String, tensor: Tensor)] {
    try state.tensors.map { name, tensor in
        guard let axis = state.growingAxes[name] else { return (name, tensor) }
        return (name, try tensor.sliced(axis, 0..<count))
    }
}

extension Subject {
    /// Multi-head, grouped and multi-query attention, with every kind of positions.
    static let attention: [Subject] = [
        Subject("attention", .attention(AttentionConfiguration(headCount: 3, headSize: 4))),
        Subject(
            "attention, grouped",
            .attention(
                AttentionConfiguration(
                    headCount: 4, keyValueHeadCount: 2, headSize: 6, rotation: .halves, biases: true))),
        Subject(
            "attention, multi-query, no positions",
            .attention(
                AttentionConfiguration(headCount: 2, keyValueHeadCount: 1, headSize: 5, rotation: .none))),
        Subject(
            "attention, a part of the heads rotated",
            .attention(
                AttentionConfiguration(
                    headCount: 2, headSize: 6, rotation: .halves, rotarySize: 4,
                    rotaryScaling: RotaryScaling(
                        kind: .llama3, factor: 4, originalLength: 40, lowFrequencyFactor: 0.5,
                        highFrequencyFactor: 3),
                    biases: true, outputBiases: false))),
        // A base this small moves the origin every four tokens, so that short tests cross it often.
        Subject(
            "attention, xPos",
            .attention(AttentionConfiguration(headCount: 2, headSize: 6, xPosScaleBase: 0.5))),
    ]
}
