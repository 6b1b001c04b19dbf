import RetNetStorage

/// The number of bytes of a stored token, a little-endian unsigned integer.
enum TokenWidth: Int, Sendable {
    case one = 1
    case two = 2
    case four = 4

    /// Chooses the smallest width for a vocabulary.
    init(vocabularySize: Int) {
        self = vocabularySize <= 1 << 8 ? .one : vocabularySize <= 1 << 16 ? .two : .four
    }

    /// Appends the stored form of a token, which must fit.
    func store(_ token: Int32, into bytes: inout [UInt8]) {
        let value = UInt32(bitPattern: token)
        for index in 0..<rawValue { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt32(index)))) }
    }

    /// Reads consecutive tokens at any alignment; `bytes` contains at least `count`.
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

/// Stored tokens in memory or in a mapped file.
final class TokenSource: Sendable {
    /// The size of all chunks in memory but the last; growing in chunks avoids copies.
    static let chunkByteCount = 1 << 22

    enum Storage: Sendable {
        case mapped(MappedFile, byteOffset: Int)
        case chunks([[UInt8]])
    }

    /// The origin of the tokens, for errors.
    let path: String
    let width: TokenWidth
    let tokenCount: Int
    /// The CRC-32 of the tokens as stored.
    let crc32: UInt32
    private let storage: Storage

    /// Creates a source; the storage must contain `tokenCount` tokens of the given width.
    init(path: String, width: TokenWidth, tokenCount: Int, crc32: UInt32, storage: Storage) {
        self.path = path
        self.width = width
        self.tokenCount = tokenCount
        self.crc32 = crc32
        self.storage = storage
    }

    /// Copies the tokens of a range, which must be inside, and checks them against the vocabulary.
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

/// A consumer of the tokens of documents, one after the other.
protocol TokenSink: AnyObject {
    var width: TokenWidth { get }
    /// Appends tokens; throws `TextError.tokenOutOfRange` for one outside the vocabulary.
    func append(_ tokens: [Int32]) throws
    /// Appends tokens in their stored form, which must be in the vocabulary.
    func append(encoded bytes: UnsafeRawBufferPointer) throws
    /// Ends the document; without tokens since the last end, there is none.
    func endDocument() throws
}

extension TokenSink {
    /// Returns the stored form of tokens; throws `TextError.tokenOutOfRange` for one outside the vocabulary.
    func encode(_ tokens: [Int32], vocabularySize: Int, path: String, firstIndex: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(tokens.count * width.rawValue)
        for (index, token) in tokens.enumerated() {
            guard token >= 0, Int(token) < vocabularySize else {
                throw TextError.tokenOutOfRange(
                    path: path, index: firstIndex + index, token: Int(token),
                    vocabularySize: vocabularySize)
            }
            width.store(token, into: &bytes)
        }
        return bytes
    }
}

/// A sink that keeps tokens in memory.
final class TokenCollector: TokenSink {
    let width: TokenWidth
    private let vocabularySize: Int
    private let path: String
    private var chunks: [[UInt8]] = []
    private var last: [UInt8] = []
    private var byteCount = 0
    private var crc32: UInt32 = 0
    private var documentStarts: [Int] = [0]

    init(vocabularySize: Int, path: String) {
        self.vocabularySize = vocabularySize
        self.path = path
        width = TokenWidth(vocabularySize: vocabularySize)
    }

    var tokenCount: Int { byteCount / width.rawValue }

    func append(_ tokens: [Int32]) throws {
        let bytes = try encode(tokens, vocabularySize: vocabularySize, path: path, firstIndex: tokenCount)
        try bytes.withUnsafeBytes { try append(encoded: $0) }
    }

    func append(encoded bytes: UnsafeRawBufferPointer) throws {
        crc32 = Checksum.crc32(bytes, continuing: crc32)
        byteCount += bytes.count
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(TokenSource.chunkByteCount - last.count)
            last.append(contentsOf: UnsafeRawBufferPointer(rebasing: part))
            rest = rest.dropFirst(part.count)
            if last.count == TokenSource.chunkByteCount {
                chunks.append(last)
                last = []
            }
        }
    }

    func endDocument() {
        if tokenCount > documentStarts[documentStarts.count - 1] { documentStarts.append(tokenCount) }
    }

    /// Returns the tokens, with the starts of all documents and the end of the last; `nil` without tokens.
    func finish() -> (source: TokenSource, bounds: [Int])? {
        endDocument()
        guard tokenCount > 0 else { return nil }
        let source = TokenSource(
            path: path, width: width, tokenCount: tokenCount, crc32: crc32,
            storage: .chunks(last.isEmpty ? chunks : chunks + [last]))
        return (source, documentStarts)
    }
}
