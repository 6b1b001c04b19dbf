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

/// The way in which the bytes of text of stored tokens are known.
///
/// The numbers are those of token files.
enum TokenByteCounting: UInt32, Sendable {
    /// Every token is one byte.
    case bytewise = 0
    /// A byte is kept for each token, and a list of the counts that need more.
    case stored = 1
    /// They are not: the tokens come from a token file of an earlier version.
    case unknown = 2
}

/// Byte counts of tokens that need more than a byte, by the index of the token.
struct LargeByteCounts: Sendable {
    /// The byte kept for tokens of the list.
    static let escape: UInt8 = 255

    private(set) var indices: [Int] = []
    private(set) var counts: [Int] = []

    /// Returns the byte to be kept for the next token; adds its count to the list if it needs more.
    mutating func byte(for count: Int, index: Int) -> UInt8 {
        if count < Int(Self.escape) { return UInt8(truncatingIfNeeded: count) }
        indices.append(index)
        counts.append(count)
        return Self.escape
    }

    /// Returns the places in the list of the tokens of a range.
    func entries(in range: Range<Int>) -> Range<Int> {
        func place(_ index: Int) -> Int {
            var (low, high) = (0, indices.count)
            while low < high {
                let middle = low + (high - low) / 2
                if indices[middle] < index { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return place(range.lowerBound)..<place(range.upperBound)
    }
}

/// Stored tokens with their byte counts, in memory or in a mapped file.
final class TokenSource: Sendable {
    /// The size of all chunks in memory but the last; growing in chunks avoids copies.
    static let chunkByteCount = 1 << 22
    /// The number of tokens of all blocks of a file but the last.
    static let blockTokenCount = 1 << 16

    enum Storage: Sendable {
        /// The tokens one after the other.
        case mapped(MappedFile, byteOffset: Int)
        /// Blocks of tokens, each followed by as many bytes with their byte counts.
        case mappedBlocks(MappedFile, byteOffset: Int)
        /// Chunks of tokens, and chunks with the byte counts of as many tokens or none.
        case chunks([[UInt8]], byteCounts: [[UInt8]])
    }

    /// The origin of the tokens, for errors.
    let path: String
    let width: TokenWidth
    let tokenCount: Int
    /// The CRC-32 of the tokens as stored.
    let crc32: UInt32
    let counting: TokenByteCounting
    private let storage: Storage
    private let largeCounts: LargeByteCounts

    /// Creates a source; the storage must contain `tokenCount` tokens of the given width and, if stored, their byte counts.
    init(
        path: String, width: TokenWidth, tokenCount: Int, crc32: UInt32, storage: Storage,
        counting: TokenByteCounting = .bytewise, largeCounts: LargeByteCounts = LargeByteCounts()
    ) {
        self.path = path
        self.width = width
        self.tokenCount = tokenCount
        self.crc32 = crc32
        self.storage = storage
        self.counting = counting
        self.largeCounts = largeCounts
    }

    /// Copies the tokens of a range, which must be inside, and checks them against the vocabulary.
    func copy(
        _ range: Range<Int>, into target: UnsafeMutablePointer<Int32>, vocabularySize: Int
    ) throws {
        forEachPart(of: range) { part, tokens, _ in
            width.load(tokens, count: part.count, into: target + (part.lowerBound - range.lowerBound))
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

    /// Returns the bytes of text of the tokens of a range, which must be inside; `nil` if they are unknown.
    func byteCount(in range: Range<Int>) throws -> Int? {
        switch counting {
        case .bytewise: return range.count
        case .unknown: return nil
        case .stored: break
        }
        var (sum, escapeCount) = (0, 0)
        forEachPart(of: range) { _, _, counts in
            for count in counts {
                sum &+= Int(count)
                if count == LargeByteCounts.escape { escapeCount &+= 1 }
            }
        }
        let large = try largeEntries(in: range, escapeCount: escapeCount)
        return largeCounts.counts[large].reduce(sum - escapeCount * Int(LargeByteCounts.escape), +)
    }

    /// Returns the bytes of text of each token of a range, which must be inside; `nil` if they are unknown.
    func byteCounts(in range: Range<Int>) throws -> [Int]? {
        switch counting {
        case .bytewise: return Array(repeating: 1, count: range.count)
        case .unknown: return nil
        case .stored: break
        }
        var result: [Int] = []
        result.reserveCapacity(range.count)
        var escapeCount = 0
        forEachPart(of: range) { _, _, counts in
            for count in counts {
                result.append(Int(count))
                if count == LargeByteCounts.escape { escapeCount += 1 }
            }
        }
        for entry in try largeEntries(in: range, escapeCount: escapeCount) {
            result[largeCounts.indices[entry] - range.lowerBound] = largeCounts.counts[entry]
        }
        return result
    }

    private func largeEntries(in range: Range<Int>, escapeCount: Int) throws -> Range<Int> {
        let entries = largeCounts.entries(in: range)
        guard entries.count == escapeCount else {
            throw TextError.damagedByteCounts(path: path, range: range)
        }
        return entries
    }

    /// Calls `body` with the stored tokens and byte counts, if there are any, of consecutive parts of a range.
    func forEachPart(
        of range: Range<Int>,
        _ body: (_ part: Range<Int>, _ tokens: UnsafeRawBufferPointer, _ counts: UnsafeRawBufferPointer) ->
            Void
    ) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        func slice(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)])
        }
        switch storage {
        case .mapped(let file, let byteOffset):
            file.withUnsafeBytes { bytes in
                let start = byteOffset + range.lowerBound * width.rawValue
                body(range, slice(bytes, start, range.count * width.rawValue), none)
            }
        case .mappedBlocks(let file, let byteOffset):
            file.withUnsafeBytes { bytes in
                forEachPiece(of: range, size: Self.blockTokenCount) { part, block, offset in
                    let first = block * Self.blockTokenCount
                    let blockCount = min(Self.blockTokenCount, tokenCount - first)
                    let start = byteOffset + first * (width.rawValue + 1)
                    body(
                        part, slice(bytes, start + offset * width.rawValue, part.count * width.rawValue),
                        slice(bytes, start + blockCount * width.rawValue + offset, part.count))
                }
            }
        case .chunks(let chunks, let byteCounts):
            forEachPiece(of: range, size: Self.chunkByteCount / width.rawValue) { part, chunk, offset in
                chunks[chunk].withUnsafeBytes { bytes in
                    let tokens = slice(bytes, offset * width.rawValue, part.count * width.rawValue)
                    guard !byteCounts.isEmpty else { return body(part, tokens, none) }
                    byteCounts[chunk].withUnsafeBytes { body(part, tokens, slice($0, offset, part.count)) }
                }
            }
        }
    }

    /// Cuts a range at multiples of a size; `body` gets each part, its index and its offset in the size.
    private func forEachPiece(
        of range: Range<Int>, size: Int, _ body: (_ part: Range<Int>, _ index: Int, _ offset: Int) -> Void
    ) {
        var position = range.lowerBound
        while position < range.upperBound {
            let (index, offset) = position.quotientAndRemainder(dividingBy: size)
            let end = min(position + size - offset, range.upperBound)
            body(position..<end, index, offset)
            position = end
        }
    }
}

/// A consumer of the tokens of documents, one after the other.
protocol TokenSink: AnyObject {
    var width: TokenWidth { get }
    /// Appends tokens with their byte counts, which only a sink that stores them reads.
    ///
    /// Throws `TextError.tokenOutOfRange` for one outside the vocabulary.
    func append(_ text: EncodedText) throws
    /// Appends tokens of one byte each in their stored form, which must be in the vocabulary.
    func append(encoded bytes: UnsafeRawBufferPointer) throws
    /// Ends the document; without tokens since the last end, there is none.
    func endDocument() throws
}

extension TokenSink {
    /// Throws `TextError.invalidArgument` unless every token has a byte count.
    func checkByteCounts(_ text: EncodedText) throws {
        guard text.byteCounts.count == text.tokens.count else {
            throw TextError.invalidArgument(
                name: "tokens",
                reason:
                    "\(text.tokens.count) tokens have \(text.byteCounts.count) byte counts; give each token one"
            )
        }
    }

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
    private let counting: TokenByteCounting
    private var tokens = ByteChunks(size: TokenSource.chunkByteCount)
    private var byteCounts: ByteChunks
    private var largeCounts = LargeByteCounts()
    private var crc32: UInt32 = 0
    private var documentStarts: [Int] = [0]

    /// Creates a collector of tokens with stored byte counts or, if `isBytewise`, of one byte each.
    init(vocabularySize: Int, path: String, isBytewise: Bool) {
        self.vocabularySize = vocabularySize
        self.path = path
        width = TokenWidth(vocabularySize: vocabularySize)
        counting = isBytewise ? .bytewise : .stored
        byteCounts = ByteChunks(size: TokenSource.chunkByteCount / width.rawValue)
    }

    var tokenCount: Int { tokens.byteCount / width.rawValue }

    func append(_ text: EncodedText) throws {
        let first = tokenCount
        let bytes = try encode(
            text.tokens, vocabularySize: vocabularySize, path: path, firstIndex: first)
        try bytes.withUnsafeBytes { try append(encoded: $0) }
        guard counting == .stored else { return }
        try checkByteCounts(text)
        let counts = text.byteCounts.enumerated().map { largeCounts.byte(for: $1, index: first + $0) }
        counts.withUnsafeBytes { byteCounts.append($0) }
    }

    func append(encoded bytes: UnsafeRawBufferPointer) throws {
        crc32 = Checksum.crc32(bytes, continuing: crc32)
        tokens.append(bytes)
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
            storage: .chunks(tokens.all, byteCounts: byteCounts.all), counting: counting,
            largeCounts: largeCounts)
        return (source, documentStarts)
    }
}

/// Bytes in chunks of one size, of which only the last may be shorter.
private struct ByteChunks {
    private let size: Int
    private var full: [[UInt8]] = []
    private var last: [UInt8] = []

    init(size: Int) { self.size = size }

    var byteCount: Int { full.count * size + last.count }
    var all: [[UInt8]] { last.isEmpty ? full : full + [last] }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(size - last.count)
            last.append(contentsOf: UnsafeRawBufferPointer(rebasing: part))
            rest = rest.dropFirst(part.count)
            if last.count == size {
                full.append(last)
                last = []
            }
        }
    }
}
