/// Sizes of one Mamba-2 layer, H heads of width P with N numbers of state a channel.
public struct Mamba2Configuration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// P, the width of one head's values.
    public var headSize: Int
    /// N, the numbers of state a channel: the width of B and C.
    public var stateSize: Int
    /// G, the groups of heads that share B and C.
    public var groupCount: Int
    /// The taps of the convolution over x, B and C; 1 for none.
    public var convolutionWidth: Int
    /// The epsilon of the norm before the output.
    public var epsilon: Double

    /// A layer as in the paper (arXiv 2405.21060), unless told otherwise.
    public init(
        headCount: Int, headSize: Int = 64, stateSize: Int = 128, groupCount: Int = 1,
        convolutionWidth: Int = 4, epsilon: Double = 1e-5
    ) {
        self.headCount = headCount
        self.headSize = headSize
        self.stateSize = stateSize
        self.groupCount = groupCount
        self.convolutionWidth = convolutionWidth
        self.epsilon = epsilon
    }

    /// The published proportions: twice the width inside.
    public init(width: Int, headSize: Int = 64) {
        self.init(headCount: max(1, 2 * width / headSize), headSize: headSize)
    }

    /// H · P, the width inside.
    public var innerSize: Int { headCount * headSize }
    /// The channels of the convolution: x, B and C.
    var convolvedSize: Int { innerSize + 2 * groupCount * stateSize }
}
