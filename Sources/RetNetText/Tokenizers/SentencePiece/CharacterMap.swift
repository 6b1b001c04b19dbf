/// The character map that a SentencePiece model carries: which sequences become which others.
///
/// The form is that of the reference: the size of a double-array trie in bytes, the trie (Darts-clone's 32-bit units,
/// little-endian), and texts that end with a zero byte, to whose starts the trie's values point.
struct CharacterMap: Sendable {
    // Far more than any rule needs; keeps a damaged map from making text of any size.
    private static let maximumTextByteCount = 1 << 10

    private let units: [UInt32]
    private let texts: [UInt8]

    /// Reads a map; throws `WireReader.Fault`.
    init(_ bytes: [UInt8], in range: Range<Int>) throws {
        func fault(_ reason: String) -> WireReader.Fault {
            WireReader.Fault(byteOffset: range.lowerBound, reason: "the character map \(reason)")
        }
        func unit(at offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
        }
        guard range.count > 4 else { throw fault("is cut off") }
        let start = range.lowerBound + 4
        let byteCount = Int(unit(at: range.lowerBound))
        guard byteCount > 0, byteCount % 4 == 0, byteCount < range.count - 4 else {
            throw fault("says that its trie has \(byteCount) bytes")
        }
        units = (0..<byteCount / 4).map { unit(at: start + 4 * $0) }
        texts = Array(bytes[(start + byteCount)..<range.upperBound])
        guard texts.last == 0,
            texts.split(separator: 0).allSatisfy({ $0.count <= Self.maximumTextByteCount })
        else { throw fault("has texts without end") }
    }

    /// The longest sequence at the start of a text that is replaced: its length and what it becomes.
    func longestMatch(_ input: UnsafeBufferPointer<UInt8>, at start: Int) -> (
        byteCount: Int, text: Range<Int>
    )? {
        let (byteCount, value, _) = walk(input, from: start)
        guard byteCount > 0, value < texts.count else { return nil }
        var end = value
        while texts[end] != 0 { end += 1 }
        return (byteCount, value..<end)
    }

    /// Whether a byte of ASCII stays as it is whenever another of ASCII follows.
    func keepsASCII(_ byte: UInt8) -> Bool {
        guard [byte].withUnsafeBufferPointer({ walk($0, from: 0).depth }) > 0 else { return true }
        return (0..<0x80).allSatisfy { next in
            [byte, UInt8(next)].withUnsafeBufferPointer {
                let (byteCount, _, depth) = walk($0, from: 0)
                return byteCount == 0 && depth < 2
            }
        }
    }

    /// Follows a text into the trie: the longest key with its value, and how many bytes had edges.
    private func walk(
        _ input: UnsafeBufferPointer<UInt8>, from start: Int
    ) -> (byteCount: Int, value: Int, depth: Int) {
        units.withUnsafeBufferPointer { units in
            var (byteCount, value) = (0, 0)
            var node = Self.offset(units[0])
            var index = start
            while index < input.count {
                node ^= Int(input[index])
                guard node < units.count else { break }
                let unit = units[node]
                // The upper bit marks values, which are no labels.
                guard unit & 0x8000_00FF == UInt32(input[index]) else { break }
                index += 1
                node ^= Self.offset(unit)
                guard node < units.count else { break }
                if unit >> 8 & 1 == 1 {
                    byteCount = index - start
                    value = Int(units[node] & 0x7FFF_FFFF)
                }
            }
            return (byteCount, value, index - start)
        }
    }

    /// The bytes of a replacement.
    func text(_ range: Range<Int>) -> ArraySlice<UInt8> { texts[range] }

    @inline(__always) private static func offset(_ unit: UInt32) -> Int {
        Int((unit >> 10) << ((unit & (1 << 9)) >> 6))
    }
}
