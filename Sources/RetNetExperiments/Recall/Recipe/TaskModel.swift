/// The shape of the models that learn a synthetic task, the same for all contenders.
public struct TaskModel: Sendable, Equatable {
    /// d.
    public var width: Int
    /// The number of heads, where there are heads.
    public var headCount: Int
    /// The number of blocks.
    public var layerCount: Int
    /// The inner width of feed-forwards in widths of the model; 0 for none.
    public var feedForwardFactor: Int
    /// The width of a convolution before every mixer; nil for none.
    public var convolutionWidth: Int?

    /// Two blocks with two heads unless told otherwise.
    public init(
        width: Int, headCount: Int = 2, layerCount: Int = 2, feedForwardFactor: Int = 0,
        convolutionWidth: Int? = nil
    ) {
        self.width = width
        self.headCount = headCount
        self.layerCount = layerCount
        self.feedForwardFactor = feedForwardFactor
        self.convolutionWidth = convolutionWidth
    }

    /// For reports.
    public var summary: String {
        "\(layerCount) layers of width \(width), \(headCount) heads, "
            + (feedForwardFactor > 0 ? "feed-forward of \(feedForwardFactor)d" : "no feed-forward")
            + (convolutionWidth.map { ", a convolution of width \($0) before every mixer" } ?? "")
    }
}
