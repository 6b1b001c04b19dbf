import RetNetText

/// Text from the bytes of tokens, as early as possible, that ends at stop strings.
///
/// The text comes in whole characters (Unicode scalars). The bytes of an incomplete character are held back, and
/// so is the longest end of the text that may still become a stop string.
public struct StreamingText: Sendable {
    private let stops: [[UInt8]]
    private let stopStrings: [String]
    private var decoder = UTF8StreamDecoder()
    /// Bytes of an incomplete character in the decoder, and bytes that the decoder has not been given.
    private var undecoded: [UInt8] = []
    private var pending: [UInt8] = []
    /// The stop string that ended the text, once one has.
    public private(set) var stopString: String?

    /// Creates a stream that ends at any of the given texts, none of which may be empty.
    public init(stopStrings: [String] = []) {
        self.stopStrings = stopStrings.filter { !$0.isEmpty }
        stops = self.stopStrings.map { Array($0.utf8) }
    }

    /// The bytes held back: a new stream that is given them first continues as this one would.
    public var heldBytes: [UInt8] { undecoded + pending }

    /// Takes bytes and returns the text that is now certain, which may be empty.
    ///
    /// Once a stop string has been found, bytes are ignored.
    public mutating func append(_ bytes: some Sequence<UInt8>) -> String {
        guard stopString == nil else { return "" }
        pending.append(contentsOf: bytes)
        if let (place, stop) = firstStop() {
            stopString = stopStrings[stop]
            let text = release(place) + decoder.finish()
            pending = []
            undecoded = []
            return text
        }
        return release(pending.count - heldByteCount())
    }

    /// Ends the text and returns what was held back; an incomplete character becomes U+FFFD.
    public mutating func finish() -> String {
        let text = release(pending.count) + decoder.finish()
        undecoded = []
        return text
    }

    private mutating func release(_ count: Int) -> String {
        let bytes = pending.prefix(count)
        let text = decoder.append(bytes)
        undecoded = Array((undecoded + bytes).suffix(decoder.pendingByteCount))
        pending.removeFirst(count)
        return text
    }

    /// Returns the stop string that is complete first, the longest of several: the same for any division into pieces.
    private func firstStop() -> (place: Int, stop: Int)? {
        guard !stops.isEmpty else { return nil }
        for end in stride(from: 1, through: pending.count, by: 1) {
            let text = pending[..<end]
            let complete = stops.indices.filter {
                text.count >= stops[$0].count && text.suffix(stops[$0].count).elementsEqual(stops[$0])
            }
            if let stop = complete.max(by: { stops[$0].count < stops[$1].count }) {
                return (end - stops[stop].count, stop)
            }
        }
        return nil
    }

    /// Returns the length of the longest end of the pending bytes that begins a stop string.
    private func heldByteCount() -> Int {
        let longest = stops.reduce(0) { max($0, $1.count - 1) }
        for count in stride(from: min(longest, pending.count), to: 0, by: -1) {
            let end = pending.suffix(count)
            if stops.contains(where: { $0.count > count && $0.starts(with: end) }) { return count }
        }
        return 0
    }
}
