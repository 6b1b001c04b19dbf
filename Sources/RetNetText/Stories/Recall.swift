/// An answer in a story that is fully determined by what the story told before.
public struct Recall: Codable, Hashable, Sendable {
    /// What is to be remembered.
    public enum Kind: String, Codable, CaseIterable, Hashable, Sendable {
        /// Who did or has something.
        case person
        /// A thing with its colour, or a dish.
        case thing
        /// Where something is.
        case place
        /// The colour of something.
        case colour
        /// An animal.
        case animal
        /// The name of an animal.
        case petName
        /// What somebody wants to become.
        case trade
    }

    /// What is to be remembered.
    public let kind: Kind
    /// The bytes of the answer in the UTF-8 text.
    public let range: Range<Int>
    /// The bytes in which the story told the answer; they read the same.
    public let introduction: Range<Int>

    /// How far back the answer was told, in bytes, from start to start.
    public var distance: Int { range.lowerBound - introduction.lowerBound }

    /// The same recall in a text with `byteCount` more bytes before it.
    func moved(by byteCount: Int) -> Recall {
        Recall(
            kind: kind, range: (range.lowerBound + byteCount)..<(range.upperBound + byteCount),
            introduction: (introduction.lowerBound + byteCount)..<(introduction.upperBound + byteCount))
    }
}
