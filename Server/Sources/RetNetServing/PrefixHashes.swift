/// Hashes of all beginnings of a sequence of tokens.
///
/// They find candidates; whoever uses a state compares the tokens themselves.
struct PrefixHashes: Sendable {
    /// The hash of the first i tokens at index i.
    private let values: [UInt64]

    /// The distance between the places at which shared beginnings of two prompts are noticed.
    static let blockLength = 64

    init(_ tokens: [Int32]) {
        var values: [UInt64] = []
        values.reserveCapacity(tokens.count + 1)
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        values.append(hash)
        for token in tokens {
            // One round of a multiplicative generator per token, so that order counts.
            hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 0x2545_F491_4F6C_DD1D
            hash ^= hash >> 29
            values.append(hash)
        }
        self.values = values
    }

    /// Number of tokens.
    var count: Int { values.count - 1 }

    subscript(length: Int) -> UInt64 { values[length] }

    /// The hash of all tokens.
    var whole: UInt64 { values[values.count - 1] }

    /// The hashes of all beginnings of whole blocks, the shortest first.
    var blocks: [UInt64] {
        stride(from: Self.blockLength, through: count, by: Self.blockLength).map { values[$0] }
    }
}
