/// Sizes and choices of the time mixing of RWKV-4 (arXiv 2305.13048).
public struct RWKVConfiguration: Sendable, Equatable {
    /// d, the number of channels, which is the width of the model.
    public var channelCount: Int
    /// First values of the four matrices.
    public var initialization: RWKVInitialization

    /// Time mixing as in RWKV-4 unless told otherwise.
    public init(channelCount: Int, initialization: RWKVInitialization = .rwkv) {
        self.channelCount = channelCount
        self.initialization = initialization
    }

    /// First values of the vectors of one channel-wise layer; r = layer / (layers - 1), s = 1 - layer / layers.
    ///
    /// Source: BlinkDL/RWKV-LM, RWKV-v4/src/model.py. A single layer counts as the first of many.
    struct FirstValues {
        /// ω, the logarithm of the decay: -5 + 8 (i/(d-1))^(0.7 + 1.3 r).
        var decay: [Double] = []
        /// u: ln 0.3, and ½ more or less for every third channel.
        var bonus: [Double] = []
        /// (i/d)^s.
        var mixKey: [Double] = []
        /// (i/d)^s + 0.3 r.
        var mixValue: [Double] = []
        /// (i/d)^(s/2).
        var mixReceptance: [Double] = []
    }
}
