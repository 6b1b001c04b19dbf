/// Sizes and choices of an attention-free transformer layer (AFT, arXiv 2105.14103).
public struct AFTConfiguration: Sendable, Equatable {
    /// The number of channels, usually the width of the model.
    public var channelCount: Int
    /// How past tokens are weighed beside their keys.
    public var variant: AFTVariant
    /// Whether the projections of queries, values and outputs have biases; one of keys would cancel.
    public var biases: Bool

    /// A layer without biases in its projections unless told otherwise.
    public init(channelCount: Int, variant: AFTVariant, biases: Bool = false) {
        self.channelCount = channelCount
        self.variant = variant
        self.biases = biases
    }
}
