import Foundation

/// In which of its equal forms a mixer computes.
public enum MixerForm: Sendable, Hashable, CustomStringConvertible {
    /// All positions at once; work grows with the square of the length.
    case parallel
    /// Chunks of the given length, carrying the state from one to the next; work grows with the length.
    case chunkwise(Int)
    /// One position at a time.
    case recurrent

    /// Reads `parallel`, `chunkwise:N` or `recurrent`; nil when the text is none of them.
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
