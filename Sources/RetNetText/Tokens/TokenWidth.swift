/// How many bytes a stored token takes; tokens are stored as little-endian unsigned integers.
enum TokenWidth: Int, Sendable {
    case one = 1
    case two = 2
    case four = 4

    /// The smallest width for a vocabulary.
    init(vocabularySize: Int) {
        self = vocabularySize <= 1 << 8 ? .one : vocabularySize <= 1 << 16 ? .two : .four
    }

    /// Appends a token, which must fit.
    func store(_ token: Int32, into bytes: inout [UInt8]) {
        let value = UInt32(bitPattern: token)
        for index in 0..<rawValue { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt32(index)))) }
    }

    /// Reads tokens that lie one after the other, at any alignment; `bytes` holds at least `count`.
    func load(_ bytes: UnsafeRawBufferPointer, count: Int, into target: UnsafeMutablePointer<Int32>) {
        switch self {
        case .one:
            for index in 0..<count { target[index] = Int32(bytes[index]) }
        case .two:
            for index in 0..<count {
                let value = bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
                target[index] = Int32(UInt16(littleEndian: value))
            }
        case .four:
            for index in 0..<count {
                let value = bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
                target[index] = Int32(bitPattern: UInt32(littleEndian: value))
            }
        }
    }
}
