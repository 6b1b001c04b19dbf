import RetNetSettings

/// Sizes and choices of one gated retention layer: retention with data-dependent decay.
public struct GatedRetentionConfiguration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// The width of one head's queries and keys.
    public var keySize: Int
    /// The width of one head's values.
    public var valueSize: Int
    /// The divisor of ln σ of the gate's logits: at 16 a fresh gate keeps 96 % from one position to the next.
    public var gateDivisor: Double
    /// The rotation of queries and keys by position.
    public var rotation: RotationKind
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate on the output, or none for a layer without one.
    public var gate: GateActivation

    /// A layer as in the lower half of YOCO (arXiv 2405.05254) by default, with the epsilon of its code.
    public init(
        headCount: Int, keySize: Int, valueSize: Int, gateDivisor: Double = 16,
        rotation: RotationKind = .interleaved, headNorm: HeadNormConfiguration = .init(epsilon: 1e-5),
        gate: GateActivation = .swish
    ) {
        self.headCount = headCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.gateDivisor = gateDivisor
        self.rotation = rotation
        self.headNorm = headNorm
        self.gate = gate
    }

    /// The published proportions: heads share the width equally, 5 d² parameters.
    public init(width: Int, headCount: Int) {
        self.init(headCount: headCount, keySize: width / headCount, valueSize: width / headCount)
    }
}

extension GatedRetentionConfiguration: DeclaredSettings {
    /// One head; count and sizes must be given.
    public static let standard = GatedRetentionConfiguration(headCount: 1, keySize: 2, valueSize: 2)

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
            .double(
                "gate_divisor", \.gateDivisor, in: SettingsRange.positive,
                "Divisor of the logarithm of the decay; larger ones forget more slowly."),
            .choice("rotation", \.rotation, "Rotation of queries and keys by position."),
            .headNorm(\.headNorm),
            .choice("gate", \.gate, "Activation of the gate on the output; none for a layer without one."),
        ]
    }

    /// Reports heads that are too wide together or do not fit the rotation.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportOddSize("key_size", keySize, rotation: rotation.rawValue)
        reader.reportWidth("key_size", headCount: headCount, size: keySize)
        reader.reportWidth("value_size", headCount: headCount, size: valueSize)
    }
}

extension GatedRetentionConfiguration: MixerSpecification {
    /// ``MixerConfiguration/gatedRetention(_:)``.
    public var configuration: MixerConfiguration { .gatedRetention(self) }

    /// The heads.
    public var dividedCounts: [(setting: String, count: Int)]? {
        [("head_count", headCount)]
    }

    /// Returns the part with an equal number of heads.
    public func divided(between rankCount: Int) -> Self {
        var result = self
        result.headCount /= rankCount
        return result
    }

    package var layout: MatrixStateLayout {
        MatrixStateLayout(mixer: "gated_retention", matrix: [headCount, keySize, valueSize])
    }

    /// H · K · V, for any number of tokens.
    public var stateTensors: [StateTensor] { layout.tensors }

    /// 4 · H · K · V for reading and writing the state.
    public func recurrentFLOPs(position: Int) -> Int { 4 * headCount * keySize * valueSize }

    /// 2C(K+V)H + 4KVH.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        MixerCosts.chunkwise(chunkLength, headCount: headCount, keySize: keySize, valueSize: valueSize)
    }

    /// 2C(3K+2V)H + 8KVH.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        MixerCosts.backward(
            chunkLength, headCount: headCount, keySize: keySize, valueSize: valueSize,
            recomputesStates: recomputesStates)
    }
}
