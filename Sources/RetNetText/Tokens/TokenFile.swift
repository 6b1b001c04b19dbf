import Foundation
import RetNetStorage

/// A file of tokens, mapped into memory, so that only the parts in use are read.
///
/// Format (little-endian): 16 bytes with the magic `RTOK`, the version 2, the bytes per token (1, 2 or 4) and the way
/// in which the bytes of text of each token are known (0: all are 1; 1: stored; 2: not known); the tokens of all
/// documents, without special tokens, where byte counts are stored in blocks of 65,536 tokens followed by a byte for
/// each with its count; zeros up to a multiple of 8; index and count of each token of more than 254 bytes, whose byte is
/// 255, and the index of the first token of each document, all as 64-bit numbers; the tokenizer's identity in UTF-8;
/// and a 64-byte trailer with the counts and CRC-32 checksums, which ends with `KOTR`. Files of version 1 have no byte
/// counts and are read as well. `Corpus.writeTokenFile(tokenizer:to:)` writes such files.
public struct TokenFile: Sendable {
    static let magic: [UInt8] = Array("RTOK".utf8)
    static let endMagic: [UInt8] = Array("KOTR".utf8)
    static let version: UInt32 = 2
    /// The version without byte counts.
    static let firstVersion: UInt32 = 1
    static let leadByteCount = 16
    static let trailerByteCount = 64
    static let maximumIdentityByteCount = 1 << 12
    static let maximumVocabularySize = Int(Int32.max)
    static let maximumTextByteCount = 1 << 60

    /// The path as given.
    public let path: String
    /// The number of different tokens of the tokenizer that made the file.
    public let vocabularySize: Int
    /// The identity of the tokenizer that made the file.
    public let tokenizerIdentity: String
    /// The signature of the corpus of a cache, or 0.
    let sourceSignature: UInt32
    /// The version of the format.
    let formatVersion: UInt32
    /// The number of bytes of the text of all tokens; `nil` for files of version 1 and copies of them.
    public let textByteCount: Int?
    let source: TokenSource
    /// The starts of all documents and the end of the last, in tokens.
    let bounds: [Int]
    private let countsChecksum: UInt32

    /// The number of stored tokens, without special tokens.
    public var tokenCount: Int { source.tokenCount }
    /// The number of documents, none of which is empty.
    public var documentCount: Int { bounds.count - 1 }
    /// The number of bytes per stored token: 1, 2 or 4.
    public var bytesPerToken: Int { source.width.rawValue }

    /// Opens a file and checks everything but its tokens; throws `TextError` or `StorageError`.
    ///
    /// Each token is checked against the vocabulary when it is read; `verify()` checks all tokens.
    public init(path: String) throws {
        let file = try MappedFile(path: path)
        let layout = try file.withUnsafeBytes { try TokenFileLayout($0, path: path) }
        self.path = path
        vocabularySize = layout.vocabularySize
        tokenizerIdentity = layout.identity
        sourceSignature = layout.sourceSignature
        bounds = layout.bounds
        formatVersion = layout.version
        textByteCount = layout.textByteCount
        countsChecksum = layout.countsChecksum
        source = TokenSource(
            path: path, width: layout.width, tokenCount: layout.tokenCount, crc32: layout.dataChecksum,
            storage: layout.counting == .stored
                ? .mappedBlocks(file, byteOffset: Self.leadByteCount)
                : .mapped(file, byteOffset: Self.leadByteCount),
            counting: layout.counting, largeCounts: layout.largeCounts)
    }

    /// Checks all tokens and byte counts against checksums, vocabulary and sum; throws `StorageError` or `TextError`.
    public func verify() throws {
        var (found, foundOfCounts): (UInt32, UInt32) = (0, 0)
        source.forEachPart(of: 0..<tokenCount) { _, tokens, counts in
            found = Checksum.crc32(tokens, continuing: found)
            foundOfCounts = Checksum.crc32(counts, continuing: foundOfCounts)
        }
        for (found, expected) in [(found, source.crc32), (foundOfCounts, countsChecksum)]
        where found != expected {
            throw StorageError.checksumMismatch(path: path, expected: expected, found: found)
        }
        guard try source.byteCount(in: 0..<tokenCount) == textByteCount else {
            throw TextError.damagedByteCounts(path: path, range: 0..<tokenCount)
        }
        let step = 1 << 16
        try withUnsafeTemporaryAllocation(of: Int32.self, capacity: step) { buffer in
            guard let target = buffer.baseAddress else { return }
            for start in stride(from: 0, to: tokenCount, by: step) {
                let range = start..<min(start + step, tokenCount)
                try source.copy(range, into: target, vocabularySize: vocabularySize)
            }
        }
    }

    /// Throws `TextError.tokenizerMismatch` if the file was made with a different tokenizer.
    public func check(madeWith tokenizer: any Tokenizer) throws {
        guard tokenizerIdentity == tokenizer.identity, vocabularySize == tokenizer.vocabularySize else {
            throw TextError.tokenizerMismatch(
                path: path, expected: "\(tokenizer.identity) (\(tokenizer.vocabularySize) tokens)",
                found: "\(tokenizerIdentity) (\(vocabularySize) tokens)")
        }
    }
}

/// The header of a token file, fully checked against the size of the file.
struct TokenFileLayout {
    let version: UInt32
    let width: TokenWidth
    let counting: TokenByteCounting
    let textByteCount: Int?
    let countsChecksum: UInt32
    let largeCounts: LargeByteCounts
    let tokenCount: Int
    let vocabularySize: Int
    let identity: String
    let dataChecksum: UInt32
    let sourceSignature: UInt32
    let bounds: [Int]

    init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
        func fail(_ byteOffset: Int, _ reason: String) -> TextError {
            .invalidTokenFile(path: path, byteOffset: byteOffset, reason: reason)
        }
        func number32(_ byteOffset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: byteOffset, as: UInt32.self))
        }
        func number64(_ byteOffset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: byteOffset, as: UInt64.self))
        }
        let lead = TokenFile.leadByteCount
        guard bytes.starts(with: TokenFile.magic) else {
            throw fail(0, "it does not begin with the magic of token files")
        }
        guard bytes.count >= lead + TokenFile.trailerByteCount else { throw fail(0, "it is truncated") }
        let trailer = bytes.count - TokenFile.trailerByteCount
        guard bytes[(bytes.count - 4)...].elementsEqual(TokenFile.endMagic) else {
            throw fail(bytes.count - 4, "the end magic is missing, so the file is probably truncated")
        }
        let version = number32(4)
        guard (TokenFile.firstVersion...TokenFile.version).contains(version) else {
            throw fail(
                4, "its version is \(version), but only up to \(TokenFile.version) is supported")
        }
        let leadChecksum = Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[..<lead]))
        let checksum = Checksum.crc32(
            UnsafeRawBufferPointer(rebasing: bytes[trailer..<(trailer + 56)]), continuing: leadChecksum)
        guard checksum == number32(trailer + 56) else {
            throw fail(trailer + 56, "the checksum of its header is wrong")
        }
        guard let width = TokenWidth(rawValue: Int(number32(8))) else {
            throw fail(8, "\(number32(8)) bytes per token are not 1, 2 or 4")
        }
        guard let found = TokenByteCounting(rawValue: number32(12)) else {
            throw fail(12, "\(number32(12)) is no way in which byte counts are known")
        }
        let counting = version == TokenFile.firstVersion ? .unknown : found
        // A right checksum does not make the sizes right; they must still fit the file.
        let available = UInt64(trailer - lead)
        let tokens = number64(trailer)
        let tokenByteCount = UInt64(width.rawValue + (counting == .stored ? 1 : 0))
        let largeCount = counting == .stored ? UInt64(number32(trailer + 48)) : 0
        let documents = number64(trailer + 8)
        let identityByteCount = UInt64(number32(trailer + 24))
        guard tokens > 0, tokens <= available / tokenByteCount else {
            throw fail(trailer, "\(tokens) tokens do not fit the file")
        }
        guard documents > 0, documents <= tokens, documents <= available / 8 else {
            throw fail(trailer + 8, "\(documents) documents do not fit the file")
        }
        guard identityByteCount <= TokenFile.maximumIdentityByteCount else {
            throw fail(trailer + 24, "the identity of the tokenizer is too long")
        }
        let dataByteCount = (tokens * tokenByteCount + 7) / 8 * 8
        guard dataByteCount + largeCount * 16 + documents * 8 + identityByteCount == available else {
            throw fail(trailer, "the sizes of its parts do not add up to its size")
        }
        let vocabulary = number64(trailer + 16)
        guard vocabulary > 0, vocabulary <= UInt64(TokenFile.maximumVocabularySize) else {
            throw fail(trailer + 16, "a vocabulary of \(vocabulary) tokens is out of range")
        }
        let tables = lead + Int(dataByteCount)
        guard
            Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[tables..<trailer]))
                == number32(trailer + 32)
        else { throw fail(tables, "the checksum of its table of documents is wrong") }
        let text = number64(trailer + 40)
        guard counting == .unknown || text <= UInt64(TokenFile.maximumTextByteCount) else {
            throw fail(trailer + 40, "a text of \(text) bytes is out of range")
        }
        guard counting != .bytewise || text == tokens else {
            throw fail(trailer + 40, "\(tokens) tokens are not the \(text) bytes of its text")
        }
        var (largeCounts, largeSum) = (LargeByteCounts(), UInt64(0))
        for offset in stride(from: tables, to: tables + 16 * Int(largeCount), by: 16) {
            let (index, count) = (number64(offset), number64(offset + 8))
            let isInOrder = largeCounts.indices.last.map { index > UInt64($0) } ?? true
            guard isInOrder, index < tokens, count >= UInt64(LargeByteCounts.escape), count <= text else {
                throw fail(offset, "its byte counts above 254 are out of order or out of range")
            }
            largeSum += count
            guard largeSum <= text else { throw fail(offset, "its byte counts exceed its text") }
            _ = largeCounts.byte(for: Int(count), index: Int(index))
        }
        let table = tables + 16 * Int(largeCount)
        var bounds: [Int] = []
        bounds.reserveCapacity(Int(documents) + 1)
        for index in 0..<Int(documents) {
            let start = number64(table + 8 * index)
            let isInOrder = bounds.last.map { start > UInt64($0) } ?? (start == 0)
            guard isInOrder, start < tokens else {
                throw fail(table + 8 * index, "the starts of documents are out of order")
            }
            bounds.append(Int(start))
        }
        bounds.append(Int(tokens))
        let name = UnsafeRawBufferPointer(rebasing: bytes[(table + 8 * Int(documents))..<trailer])
        guard UTF8Validator.firstInvalidOffset(in: name) == nil else {
            throw fail(table + 8 * Int(documents), "the identity of the tokenizer is not UTF-8")
        }
        self.version = version
        self.width = width
        self.counting = counting
        self.largeCounts = largeCounts
        self.bounds = bounds
        textByteCount = counting == .unknown ? nil : Int(text)
        countsChecksum = counting == .stored ? number32(trailer + 52) : 0
        tokenCount = Int(tokens)
        vocabularySize = Int(vocabulary)
        identity = String(decoding: name, as: UTF8.self)
        dataChecksum = number32(trailer + 28)
        sourceSignature = number32(trailer + 36)
    }
}

/// A sink that writes a token file from front to back.
final class TokenFileWriter: TokenSink {
    let width: TokenWidth
    private let sink: FileSink
    private let identity: String
    private let vocabularySize: Int
    private let sourceSignature: UInt32
    private let counting: TokenByteCounting
    private var tokenCount = 0
    private var textByteCount = 0
    private var dataChecksum: UInt32 = 0
    private var countsChecksum: UInt32 = 0
    private var largeCounts = LargeByteCounts()
    /// Tokens of a block that is not full yet, as stored, and their byte counts.
    private var block: (tokens: [UInt8], counts: [UInt8]) = ([], [])
    private var lead: [UInt8] = []
    private var starts: [UInt64] = [0]

    private init(
        sink: FileSink, tokenizer: any Tokenizer, counting: TokenByteCounting, sourceSignature: UInt32
    ) throws {
        self.sink = sink
        self.counting = counting
        self.sourceSignature = sourceSignature
        identity = tokenizer.identity
        vocabularySize = tokenizer.vocabularySize
        width = TokenWidth(vocabularySize: vocabularySize)
        lead = TokenFile.magic
        Self.append(TokenFile.version, to: &lead)
        Self.append(UInt32(width.rawValue), to: &lead)
        Self.append(counting.rawValue, to: &lead)
        try lead.withUnsafeBytes { try sink.write($0) }
    }

    /// Writes a file atomically, with the tokens that `body` appends to the writer.
    static func write(
        to path: String, replacing: Bool = true, tokenizer: any Tokenizer, counting: TokenByteCounting,
        sourceSignature: UInt32 = 0,
        _ body: (TokenFileWriter) throws -> Void
    ) throws {
        let size = tokenizer.vocabularySize
        guard size > 0, size <= TokenFile.maximumVocabularySize else {
            throw TextError.invalidArgument(
                name: "tokenizer",
                reason:
                    "its vocabulary has \(size) tokens; token files allow 1 to \(TokenFile.maximumVocabularySize)"
            )
        }
        guard tokenizer.identity.utf8.count <= TokenFile.maximumIdentityByteCount else {
            throw TextError.invalidArgument(
                name: "tokenizer",
                reason: "its identity is longer than \(TokenFile.maximumIdentityByteCount) bytes")
        }
        try AtomicFile.write(to: path, replacing: replacing) { sink in
            let writer = try TokenFileWriter(
                sink: sink, tokenizer: tokenizer, counting: counting, sourceSignature: sourceSignature)
            try body(writer)
            try writer.finish()
        }
    }

    func append(_ text: EncodedText) throws {
        let bytes = try encode(
            text.tokens, vocabularySize: vocabularySize, path: sink.path, firstIndex: tokenCount)
        guard counting == .stored else { return try bytes.withUnsafeBytes { try append(encoded: $0) } }
        try checkByteCounts(text)
        var next = 0
        while next < text.tokens.count {
            let room = TokenSource.blockTokenCount - block.counts.count
            let end = min(next + room, text.tokens.count)
            block.tokens += bytes[(next * width.rawValue)..<(end * width.rawValue)]
            for index in next..<end {
                let count = text.byteCounts[index]
                block.counts.append(largeCounts.byte(for: count, index: tokenCount))
                textByteCount += count
                tokenCount += 1
            }
            if block.counts.count == TokenSource.blockTokenCount { try writeBlock() }
            next = end
        }
    }

    func append(encoded bytes: UnsafeRawBufferPointer) throws {
        try sink.write(bytes)
        dataChecksum = Checksum.crc32(bytes, continuing: dataChecksum)
        tokenCount += bytes.count / width.rawValue
    }

    private func writeBlock() throws {
        try block.tokens.withUnsafeBytes {
            try sink.write($0)
            dataChecksum = Checksum.crc32($0, continuing: dataChecksum)
        }
        try block.counts.withUnsafeBytes {
            try sink.write($0)
            countsChecksum = Checksum.crc32($0, continuing: countsChecksum)
        }
        block.tokens.removeAll(keepingCapacity: true)
        block.counts.removeAll(keepingCapacity: true)
    }

    func endDocument() {
        let count = UInt64(tokenCount)
        if count > starts[starts.count - 1] { starts.append(count) }
    }

    private func finish() throws {
        endDocument()
        guard tokenCount > 0 else { throw TextError.emptyCorpus(paths: [sink.path]) }
        try writeBlock()
        guard largeCounts.counts.count <= Int(UInt32.max), textByteCount <= TokenFile.maximumTextByteCount
        else {
            throw TextError.invalidArgument(
                name: "corpus", reason: "it has too many bytes for one token file; divide it")
        }
        var table: [UInt8] = []
        for (index, count) in zip(largeCounts.indices, largeCounts.counts) {
            Self.append(UInt64(index), to: &table)
            Self.append(UInt64(count), to: &table)
        }
        for start in starts.dropLast() { Self.append(start, to: &table) }
        table.append(contentsOf: identity.utf8)
        var trailer: [UInt8] = []
        Self.append(UInt64(tokenCount), to: &trailer)
        Self.append(UInt64(starts.count - 1), to: &trailer)
        Self.append(UInt64(vocabularySize), to: &trailer)
        Self.append(UInt32(identity.utf8.count), to: &trailer)
        Self.append(dataChecksum, to: &trailer)
        Self.append(table.withUnsafeBytes { Checksum.crc32($0) }, to: &trailer)
        Self.append(sourceSignature, to: &trailer)
        let text = [.bytewise: tokenCount, .stored: textByteCount][counting] ?? 0
        Self.append(UInt64(text), to: &trailer)
        Self.append(UInt32(largeCounts.counts.count), to: &trailer)
        Self.append(countsChecksum, to: &trailer)
        let leadChecksum = lead.withUnsafeBytes { Checksum.crc32($0) }
        Self.append(
            trailer.withUnsafeBytes { Checksum.crc32($0, continuing: leadChecksum) }, to: &trailer)
        trailer += TokenFile.endMagic
        let dataByteCount = tokenCount * (width.rawValue + (counting == .stored ? 1 : 0))
        let padding = [UInt8](repeating: 0, count: (8 - dataByteCount % 8) % 8)
        for part in [padding, table, trailer] { try part.withUnsafeBytes { try sink.write($0) } }
    }

    private static func append<Number: FixedWidthInteger>(_ number: Number, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
