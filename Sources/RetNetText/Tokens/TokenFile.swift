import Foundation
import RetNetStorage

/// A file of tokens that is mapped into memory, so that only what is used is read.
///
/// Format (little-endian): 16 bytes with the magic `RTOK`, the version, the bytes per token (1, 2 or 4) and
/// zero; the tokens of all documents, without special tokens; zeros up to a multiple of 8; the first token's
/// index of each document as 64-bit numbers; the tokenizer's identity in UTF-8; and a 64-byte trailer with
/// the counts and CRC-32 checksums, the last four bytes of which are `KOTR`.
public struct TokenFile: Sendable {
    static let magic: [UInt8] = Array("RTOK".utf8)
    static let endMagic: [UInt8] = Array("KOTR".utf8)
    static let version: UInt32 = 1
    static let leadByteCount = 16
    static let trailerByteCount = 64
    static let maximumIdentityByteCount = 1 << 12
    static let maximumVocabularySize = Int(Int32.max)

    /// The path as given.
    public let path: String
    /// The number of different tokens of the tokenizer that made the file.
    public let vocabularySize: Int
    /// The identity of the tokenizer that made the file.
    public let tokenizerIdentity: String
    /// A number that tells which files the tokens come from, or 0.
    let sourceSignature: UInt32
    let source: TokenSource
    /// The starts of all documents and the end of the last, in tokens.
    let bounds: [Int]
    private let file: MappedFile

    /// The number of stored tokens, which include no special tokens.
    public var tokenCount: Int { source.tokenCount }
    /// The number of documents, none of which is empty.
    public var documentCount: Int { bounds.count - 1 }
    /// The number of bytes that each stored token takes: 1, 2 or 4.
    public var bytesPerToken: Int { source.width.rawValue }

    /// Opens the file at `path` and checks all of it but the tokens; throws `TextError` or `StorageError`.
    ///
    /// Each token is checked against the vocabulary when it is read; `verify()` checks them all.
    public init(path: String) throws {
        let file = try MappedFile(path: path)
        let layout = try file.withUnsafeBytes { try TokenFileLayout($0, path: path) }
        self.path = path
        self.file = file
        vocabularySize = layout.vocabularySize
        tokenizerIdentity = layout.identity
        sourceSignature = layout.sourceSignature
        bounds = layout.bounds
        source = TokenSource(
            path: path, width: layout.width, tokenCount: layout.tokenCount, crc32: layout.dataChecksum,
            storage: .mapped(file, byteOffset: Self.leadByteCount))
    }

    /// Reads all tokens and checks them against the checksum and the vocabulary; throws `TextError`.
    public func verify() throws {
        let dataByteCount = tokenCount * bytesPerToken
        let found = file.withUnsafeBytes { bytes in
            let end = Self.leadByteCount + dataByteCount
            return Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[Self.leadByteCount..<end]))
        }
        guard found == source.crc32 else {
            throw StorageError.checksumMismatch(path: path, expected: source.crc32, found: found)
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

    /// Throws `TextError.tokenizerMismatch` unless the file was made with an equal tokenizer.
    public func check(madeWith tokenizer: any Tokenizer) throws {
        guard tokenizerIdentity == tokenizer.identity, vocabularySize == tokenizer.vocabularySize else {
            throw TextError.tokenizerMismatch(
                path: path, expected: "\(tokenizer.identity) (\(tokenizer.vocabularySize) tokens)",
                found: "\(tokenizerIdentity) (\(vocabularySize) tokens)")
        }
    }
}
