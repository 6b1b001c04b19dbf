/// Turns bytes that come one after the other into text, whole characters (Unicode scalars) only.
///
/// Bytes that may still become a character are kept until the rest of it comes; invalid ones become
/// U+FFFD. All pieces together are the same text as decoding all bytes at once.
public struct UTF8StreamDecoder: Sendable {
    private var pending: [UInt8] = []

    /// Creates a decoder that has seen nothing.
    public init() {}

    /// The number of bytes kept back, at most three.
    public var pendingByteCount: Int { pending.count }

    /// Takes bytes and returns the text that is now complete, which may be empty.
    public mutating func append(_ bytes: some Sequence<UInt8>) -> String {
        pending.append(contentsOf: bytes)
        let keptByteCount = Self.incompleteSuffixByteCount(pending)
        let text = String(decoding: pending.dropLast(keptByteCount), as: UTF8.self)
        pending.removeFirst(pending.count - keptByteCount)
        return text
    }

    /// Returns what was kept back, now as U+FFFD, and starts afresh.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// The length of the longest suffix that is the start of a valid sequence and not a whole one.
    private static func incompleteSuffixByteCount(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            guard bytes[bytes.count - length] >= 0xC0 else { continue }
            return bytes.suffix(length).withUnsafeBytes { suffix in
                var validator = UTF8Validator()
                let isPrefix = validator.feed(suffix) == nil && validator.finish() != nil
                return isPrefix ? length : 0
            }
        }
        return 0
    }
}
