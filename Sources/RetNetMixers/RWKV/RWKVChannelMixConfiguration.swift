/// Sizes and choices of the channel mixing of RWKV-4 (arXiv 2305.13048), RWKV's own feed-forward.
///
/// It looks one token back and so has a state, which feed-forwards do not have here: it is a mixer. A whole RWKV-4 is
/// a pattern of two kinds of block without feed-forwards, time mixing and channel mixing in turns.
public struct RWKVChannelMixConfiguration: Sendable, Equatable {
    /// d, the number of channels, which is the width of the model.
    public var channelCount: Int
    /// The width between the two large matrices; 4 d in RWKV-4.
    public var innerSize: Int
    /// First values of the three matrices.
    public var initialization: RWKVInitialization

    /// Channel mixing as in RWKV-4, with an inner width of 4 d unless told otherwise.
    public init(channelCount: Int, innerSize: Int? = nil, initialization: RWKVInitialization = .rwkv) {
        self.channelCount = channelCount
        self.innerSize = innerSize ?? channelCount.multipliedReportingOverflow(by: 4).partialValue
        self.initialization = initialization
    }
}
