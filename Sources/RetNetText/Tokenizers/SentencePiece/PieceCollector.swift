/// Receives pieces in the order of the text, merges what is unknown or spells it in bytes.
struct PieceCollector {
    private(set) var tokens: [Int32] = []
    private let unknown: Int32
    private let byteTokens: [Int32]?
    private var followsUnknown = false

    init(_ table: PieceTable, capacity: Int) {
        unknown = table.unknown
        byteTokens = table.byteTokens
        tokens.reserveCapacity(capacity)
    }

    /// Takes the next piece, which the bytes at a range are.
    mutating func append(_ piece: Int32, _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        guard piece == unknown else {
            tokens.append(piece)
            followsUnknown = false
            return
        }
        if let byteTokens {
            for index in range { tokens.append(byteTokens[Int(text[index])]) }
        } else if !followsUnknown {
            tokens.append(unknown)
        }
        followsUnknown = true
    }
}
