import RetNetSettings

/// Sizes and choices of one layer of gated linear attention: a gate for every key channel and position.
public struct GatedLinearAttentionConfiguration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// The width of one head's queries and keys.
    public var keySize: Int
    /// The width of one head's values.
    public var valueSize: Int
    /// The rank of the matrix that makes the gates' logits.
    public var gateRank: Int
    /// The divisor of ln σ of the logits: at 16 a fresh gate keeps 96 % from one position to the next.
    public var gateDivisor: Double
    /// The smallest ln α, to which smaller ones are raised; nil for no limit.
    public var minimumLogGate: Double?
    /// The taps of the convolutions over queries, keys and values, each with swish behind it; 1 for neither.
    public var convolutionWidth: Int
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate on the output, or none for a layer without one.
    public var gate: GateActivation

    /// A layer as in the paper (arXiv 2312.06635) by default.
    public init(
        headCount: Int, keySize: Int, valueSize: Int, gateRank: Int = 16, gateDivisor: Double = 16,
        minimumLogGate: Double? = nil, convolutionWidth: Int = 1,
        headNorm: HeadNormConfiguration = .init(affine: .shared, epsilon: 1e-5), gate: GateActivation = .swish
    ) {
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.gateRank = gateRank
        self.gateDivisor = gateDivisor
        self.minimumLogGate = minimumLogGate
        self.convolutionWidth = convolutionWidth
        self.headNorm = headNorm
        self.gate = gate
    }

    /// The published proportions: keys of half the width, values of the whole, about 4 d² parameters.
    public init(width: Int, headCount: Int) {
        self.init(headCount: headCount, keySize: width / 2 / headCount, valueSize: width / headCount)
    }
}

extension GatedLinearAttentionConfiguration: DeclaredSettings {
    /// One head; count and sizes must be given.
    public static let standard = GatedLinearAttentionConfiguration(headCount: 1, keySize: 1, valueSize: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of heads."),
            .int(
                "key_size", \.keySize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's queries and keys."),
            .int(
                "value_size", \.valueSize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's values."),
            .int(
                "gate_rank", \.gateRank, in: MixerSizes.heads, "Rank of the matrix of the decays' logits."),
            .double(
                "gate_divisor", \.gateDivisor, in: SettingsRange.positive,
                "Divisor of the logarithm of the decay; larger ones forget more slowly."),
            .double(
                "minimum_log_gate", \.minimumLogGate, in: -1e6...0,
                "Smallest logarithm of the decay, to which smaller ones are raised; no limit by default."),
            .int(
                "convolution_width", \.convolutionWidth, in: MixerSizes.taps,
                "Taps of the convolutions over queries, keys and values, with swish behind; 1 for neither."
            ).writtenIfChanged(),
            .headNorm(\.headNorm),
            .choice("gate", \.gate, "Activation of the gate on the output; none for a layer without one."),
        ]
    }

    /// Reports heads that are too wide together.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportWidth("key_size", headCount: headCount, size: keySize)
        reader.reportWidth("value_size", headCount: headCount, size: valueSize)
    }
}

extension GatedLinearAttentionConfiguration: MixerSpecification {
    /// ``MixerConfiguration/gatedLinearAttention(_:)``.
    public var configuration: MixerConfiguration { .gatedLinearAttention(self) }

    /// The projections with convolutions: their names and widths.
    package var convolved: [(name: String, size: Int)] {
        [("query", headCount * keySize), ("key", headCount * keySize), ("value", headCount * valueSize)]
    }

    package var layout: MatrixStateLayout {
        MatrixStateLayout(
            mixer: "gated_linear_attention", matrix: [headCount, keySize, valueSize],
            rings: convolutionWidth > 1
                ? convolved.map { ("\($0.name)_ring", [convolutionWidth - 1, $0.size]) } : [])
    }

    private var convolutionFLOPs: Int {
        convolutionWidth > 1 ? 2 * convolutionWidth * headCount * (2 * keySize + valueSize) : 0
    }

    /// H · K · V, and the rings of the convolutions, for any number of tokens.
    public var stateTensors: [StateTensor] { layout.tensors }

    /// 4 · H · K · V for reading and writing the state, and the convolutions.
    public func recurrentFLOPs(position: Int) -> Int {
        4 * headCount * keySize * valueSize + convolutionFLOPs
    }

    /// 2C(K+V)H + 4KVH with chunks of at most `MatrixRecurrence.channelChunkLength`, and the convolutions.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        MixerCosts.chunkwise(
            min(chunkLength, MixerCosts.channelChunkLength), headCount: headCount, keySize: keySize,
            valueSize: valueSize) + convolutionFLOPs
    }

    /// 2C(3K+2V)H + 8KVH with chunks of at most `MatrixRecurrence.channelChunkLength`.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        MixerCosts.backward(
            min(chunkLength, MixerCosts.channelChunkLength), headCount: headCount, keySize: keySize,
            valueSize: valueSize, recomputesStates: recomputesStates) + 2 * convolutionFLOPs
    }
}
