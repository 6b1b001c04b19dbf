/// Sizes and choices of a Hyena layer (arXiv 2302.10866).
public struct HyenaConfiguration: Sendable, Equatable {
    /// d, the number of channels.
    public var channelCount: Int
    /// The number of gates plus values; as in the authors' code, order n has n - 1 long filters.
    public var order: Int
    /// L, the longest sequence.
    ///
    /// The filters are functions of t / L, so another L is another model.
    public var maximumLength: Int
    /// e, the number of positional features, odd: time, and cosines and sines of (e - 1) / 2 frequencies.
    public var featureCount: Int
    /// The width of the hidden layers of the network that makes the filters.
    public var filterSize: Int
    /// First value of the frequencies of its sine activations: 14 for language, 10 for synthetic tasks.
    public var sineFrequency: Double
    /// W, the taps of the short convolution on all projections.
    public var shortSize: Int
    /// What is added to the exponential window of the filters.
    public var windowShift: Double
    /// Whether positional features are trained, as they are in the authors' code unless their learning rate is 0.
    public var trainsFeatures: Bool

    /// The authors' layer for language, unless told otherwise.
    public init(
        channelCount: Int, order: Int = 2, maximumLength: Int = 2048, featureCount: Int = 33,
        filterSize: Int = 64, sineFrequency: Double = 14, shortSize: Int = 3, windowShift: Double = 0,
        trainsFeatures: Bool = false
    ) {
        self.channelCount = channelCount
        self.order = order
        self.maximumLength = maximumLength
        self.featureCount = featureCount
        self.filterSize = filterSize
        self.sineFrequency = sineFrequency
        self.shortSize = shortSize
        self.windowShift = windowShift
        self.trainsFeatures = trainsFeatures
    }

    /// The number of long filters a channel.
    public var filterCount: Int { order - 1 }
}
