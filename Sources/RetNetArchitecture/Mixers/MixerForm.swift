/// One of the equal forms in which mixers compute.
public enum MixerForm: Sendable, Hashable, CustomStringConvertible {
    /// All positions at once; work grows with the square of the length.
    case parallel
    /// Chunks of the given length, carrying the state from one to the next; work grows with the length.
    case chunkwise(Int)
    /// One position at a time.
    case recurrent

    /// Reads `parallel`, `chunkwise:N` or `recurrent`; nil if the text is none of them.
    public init?(parsing text: String) {
        switch text {
        case "parallel": self = .parallel
        case "recurrent": self = .recurrent
        default:
            guard text.hasPrefix("chunkwise:"), let length = Int(text.dropFirst("chunkwise:".count)),
                length > 0
            else { return nil }
            self = .chunkwise(length)
        }
    }

    /// The spelling that ``init(parsing:)`` reads.
    public var description: String {
        switch self {
        case .parallel: "parallel"
        case .chunkwise(let length): "chunkwise:\(length)"
        case .recurrent: "recurrent"
        }
    }
}

/// The place of a batch row in its sequence.
public struct SequencePosition: Sendable, Hashable, Codable {
    /// The absolute position of the next token, used by rotations; rebasing sets it to 0.
    public var position: Int
    /// The number of tokens that the state has absorbed, used by score normalizers; rebasing keeps it.
    public var count: Int

    /// A place in a sequence; the start by default.
    public init(position: Int = 0, count: Int = 0) {
        self.position = position
        self.count = count
    }

    /// Returns the place after `length` more tokens.
    public func advanced(by length: Int) -> SequencePosition {
        SequencePosition(position: position + length, count: count + length)
    }
}
