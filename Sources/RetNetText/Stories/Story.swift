/// A small story in which things told early come back later.
public struct Story: Hashable, Sendable {
    /// The text: ASCII, paragraphs separated by single line ends, none at the end.
    public let text: String
    /// The places of the text that follow from what was told before, in order.
    public let recalls: [Recall]
}
