import RetNetLayers
import RetNetMixers
import RetNetSettings

/// One kind of block: its mixer and its feed-forward.
public struct LayerConfiguration: Sendable, Equatable {
    /// The token mixer.
    public var mixer: MixerConfiguration
    /// The position-wise feed-forward.
    public var feedForward: FeedForwardConfiguration
    /// The width of a depthwise causal convolution before the mixer; nil for none.
    public var shortConvolution: Int?

    /// A block, without a convolution unless told otherwise.
    public init(
        mixer: MixerConfiguration, feedForward: FeedForwardConfiguration, shortConvolution: Int? = nil
    ) {
        self.mixer = mixer
        self.feedForward = feedForward
        self.shortConvolution = shortConvolution
    }

    /// The parameters of mixer and convolution with their names within the block.
    func mixerParameterShapes(hiddenSize: Int) -> [(name: String, shape: [Int])] {
        let convolution = shortConvolution.map {
            [("short_convolution.weight", [hiddenSize, $0]), ("short_convolution.bias", [hiddenSize])]
        }
        return (convolution ?? [])
            + mixer.architecture.parameterShapes(hiddenSize: hiddenSize).map {
                ("mixer.\($0.name)", $0.shape)
            }
    }

    /// The mixer, behind the convolution where there is one, with its parameters declared in the block's scope.
    func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        guard let width = shortConvolution else {
            return try mixer.architecture.makeMixer(scope.scope("mixer"), context)
        }
        let convolution = try ShortConvolution(
            scope.scope("short_convolution"), channels: context.hiddenSize, width: width, bias: true)
        return ConvolvedMixer(
            convolution: convolution, mixer: try mixer.architecture.makeMixer(scope.scope("mixer"), context))
    }

    /// Numbers in the state of one sequence after so many tokens.
    func stateElementCount(hiddenSize: Int, tokenCount: Int) -> Int {
        mixer.architecture.stateElementCount(tokenCount: tokenCount)
            + hiddenSize * ((shortConvolution ?? 1) - 1)
    }
}

extension LayerConfiguration: SettingsRepresentable {
    /// Reads `mixer`, `feed_forward` and, where it is given, `short_convolution`.
    public init(reading reader: SettingsReader) {
        self.init(
            mixer: MixerConfiguration(reading: reader.object("mixer")),
            feedForward: FeedForwardConfiguration(reading: reader.object("feed_forward")),
            shortConvolution: reader.optionalInt("short_convolution", in: 2...64))
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["mixer": mixer.settings, "feed_forward": feedForward.settings]
        if let shortConvolution { object["short_convolution"] = .int(shortConvolution) }
        return .object(object)
    }
}
