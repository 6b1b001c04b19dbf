import RetNetSettings

/// One kind of block: its mixer and its feed-forward.
public struct LayerConfiguration: Sendable, Equatable {
    /// Token mixer.
    public var mixer: MixerConfiguration
    /// Position-wise feed-forward.
    public var feedForward: FeedForwardConfiguration
    /// Width of a depthwise causal convolution before the mixer; nil for none.
    public var shortConvolution: Int?

    /// A block, by default without a convolution.
    public init(
        mixer: MixerConfiguration, feedForward: FeedForwardConfiguration, shortConvolution: Int? = nil
    ) {
        self.mixer = mixer
        self.feedForward = feedForward
        self.shortConvolution = shortConvolution
    }
}

extension LayerConfiguration: DeclaredSettings {
    /// A block whose mixer and feed-forward must be given.
    public static let standard = LayerConfiguration(
        mixer: .retention(.standard), feedForward: .standard)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .requiredObject("mixer", \.mixer), .requiredObject("feed_forward", \.feedForward),
            .int(
                "short_convolution", \.shortConvolution, in: 2...64,
                "Width of a depthwise causal convolution before the mixer; none by default."),
        ]
    }
}
