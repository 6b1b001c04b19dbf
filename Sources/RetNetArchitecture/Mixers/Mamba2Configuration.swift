import RetNetSettings

/// Sizes of one Mamba-2 layer, H heads of width P with N numbers of state per channel.
public struct Mamba2Configuration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// P, the width of one head's values.
    public var headSize: Int
    /// N, the numbers of state per channel: the width of B and C.
    public var stateSize: Int
    /// G, the groups of heads that share B and C.
    public var groupCount: Int
    /// The taps of the convolution over x, B and C; 1 for none.
    public var convolutionWidth: Int
    /// The epsilon of the norm before the output.
    public var epsilon: Double
    /// True if the input and output matrices have biases.
    public var biases: Bool
    /// True if the convolution has biases.
    public var convolutionBiases: Bool
    /// The smallest step Δ, to which smaller ones are raised.
    public var minimumStep: Double
    /// The largest step Δ, to which larger ones are lowered; nil for no limit.
    public var maximumStep: Double?

    /// A layer as in the paper (arXiv 2405.21060) by default.
    public init(
        headCount: Int, headSize: Int = 64, stateSize: Int = 128, groupCount: Int = 1,
        convolutionWidth: Int = 4, epsilon: Double = 1e-5, biases: Bool = false,
        convolutionBiases: Bool = true, minimumStep: Double = 0, maximumStep: Double? = nil
    ) {
        self.headCount = headCount
        self.headSize = headSize
        self.stateSize = stateSize
        self.groupCount = groupCount
        self.convolutionWidth = convolutionWidth
        self.epsilon = epsilon
        self.biases = biases
        self.convolutionBiases = convolutionBiases
        self.minimumStep = minimumStep
        self.maximumStep = maximumStep
    }

    /// The published proportions: twice the width inside.
    public init(width: Int, headSize: Int = 64) {
        self.init(headCount: max(1, 2 * width / headSize), headSize: headSize)
    }

    /// H · P, the width inside.
    public var innerSize: Int { headCount * headSize }
    /// The channels of the convolution: x, B and C.
    package var convolvedSize: Int { innerSize + 2 * groupCount * stateSize }
}

extension Mamba2Configuration: DeclaredSettings {
    /// One head; the number must be given.
    public static let standard = Mamba2Configuration(headCount: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of heads."),
            .int("head_size", \.headSize, in: MixerSizes.heads, "Width of one head's values."),
            .int("state_size", \.stateSize, in: MixerSizes.heads, "Numbers of state per channel."),
            .int("group_count", \.groupCount, in: MixerSizes.heads, "Groups of heads that share B and C."),
            .int(
                "convolution_width", \.convolutionWidth, in: MixerSizes.taps,
                "Taps of the convolution over x, B and C; 1 for none."),
            .double(
                "epsilon", \.epsilon, in: SettingsRange.fraction, "Epsilon of the norm before the output."),
            .bool("biases", \.biases, "Biases of the input and output matrices.").writtenIfChanged(),
            .bool("convolution_biases", \.convolutionBiases, "Biases of the convolution.")
                .writtenIfChanged(),
            .double(
                "minimum_step", \.minimumStep, in: 0...1e6, "Smallest step, to which smaller ones are raised."
            ).writtenIfChanged(),
            .double(
                "maximum_step", \.maximumStep, in: 0...1e6,
                "Largest step, to which larger ones are lowered; no limit by default."),
        ]
    }

    /// Reports groups that do not divide the heads, and widths that are too large.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportGroups("group_count", headCount: headCount, groupCount: groupCount)
        if groupCount * stateSize > MixerSizes.maximumWidth {
            reader.reportContradiction(
                "state_size",
                "all \(groupCount) groups together may have at most \(MixerSizes.maximumWidth) channels")
        }
        reader.reportWidth("head_size", headCount: headCount, size: headSize)
        if let maximumStep, maximumStep < minimumStep {
            reader.reportContradiction("maximum_step", "it must be at least the minimum_step \(minimumStep)")
        }
    }
}

extension Mamba2Configuration: MixerSpecification {
    /// ``MixerConfiguration/mamba2(_:)``.
    public var configuration: MixerConfiguration { .mamba2(self) }

    package var layout: MatrixStateLayout {
        MatrixStateLayout(
            mixer: "mamba2", matrix: [headCount, stateSize, headSize],
            rings: convolutionWidth > 1 ? [("ring", [convolutionWidth - 1, convolvedSize])] : [])
    }

    private var convolutionFLOPs: Int { convolutionWidth > 1 ? 2 * convolutionWidth * convolvedSize : 0 }

    /// H · N · P, and the ring of the convolution.
    public var stateTensors: [StateTensor] { layout.tensors }

    /// 4 · H · N · P for reading and writing the state, and the convolution.
    public func recurrentFLOPs(position: Int) -> Int {
        4 * headCount * stateSize * headSize + convolutionFLOPs
    }

    /// 2CNG + 2CPH + 4HNP: a group's scores are made once.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        2 * MixerCosts.bounded(chunkLength) * (stateSize * groupCount + innerSize)
            + recurrentFLOPs(position: 0)
    }

    /// 2C(3NG + 2PH) + 10HNP.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        2 * MixerCosts.bounded(chunkLength) * (3 * stateSize * groupCount + 2 * innerSize)
            + (recomputesStates ? 12 : 10) * headCount * stateSize * headSize + 2 * convolutionFLOPs
    }
}
