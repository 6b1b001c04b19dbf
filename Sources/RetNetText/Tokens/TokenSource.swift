import RetNetStorage

/// A run of stored tokens, in memory or in a mapped file.
final class TokenSource: Sendable {
    /// In memory, all chunks but the last hold this many bytes, so that growing never copies.
    static let chunkByteCount = 1 << 22

    enum Storage: Sendable {
        case mapped(MappedFile, byteOffset: Int)
        case chunks([[UInt8]])
    }

    /// Where the tokens come from, for messages.
    let path: String
    let width: TokenWidth
    let tokenCount: Int
    /// The CRC-32 of the tokens as stored.
    let crc32: UInt32
    private let storage: Storage

    /// The storage must hold `tokenCount` tokens of the given width.
    init(path: String, width: TokenWidth, tokenCount: Int, crc32: UInt32, storage: Storage) {
        self.path = path
        self.width = width
        self.tokenCount = tokenCount
        self.crc32 = crc32
        self.storage = storage
    }

    /// Copies the tokens of a range, which must lie inside, and checks them against the vocabulary.
    func copy(
        _ range: Range<Int>, into target: UnsafeMutablePointer<Int32>, vocabularySize: Int
    ) throws {
        switch storage {
        case .mapped(let file, let byteOffset):
            file.withUnsafeBytes { bytes in
                let start = byteOffset + range.lowerBound * width.rawValue
                let part = UnsafeRawBufferPointer(rebasing: bytes[start...])
                width.load(part, count: range.count, into: target)
            }
        case .chunks(let chunks):
            let tokensPerChunk = Self.chunkByteCount / width.rawValue
            var position = range.lowerBound
            while position < range.upperBound {
                let (chunk, offset) = position.quotientAndRemainder(dividingBy: tokensPerChunk)
                let count = min(tokensPerChunk - offset, range.upperBound - position)
                chunks[chunk].withUnsafeBytes { bytes in
                    let part = UnsafeRawBufferPointer(rebasing: bytes[(offset * width.rawValue)...])
                    width.load(part, count: count, into: target + (position - range.lowerBound))
                }
                position += count
            }
        }
        if width == .one, vocabularySize >= 1 << 8 { return }
        for index in 0..<range.count {
            let token = UInt32(bitPattern: target[index])
            guard Int(token) < vocabularySize, target[index] >= 0 else {
                throw TextError.tokenOutOfRange(
                    path: path, index: range.lowerBound + index, token: Int(token),
                    vocabularySize: vocabularySize)
            }
        }
    }
}
