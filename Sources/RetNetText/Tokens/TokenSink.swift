import RetNetStorage

/// Takes the tokens of documents, one after the other.
protocol TokenSink: AnyObject {
    var width: TokenWidth { get }
    /// Takes tokens; throws `TextError.tokenOutOfRange` for one outside the vocabulary.
    func append(_ tokens: [Int32]) throws
    /// Takes whole tokens that are already in the stored form and known to be in the vocabulary.
    func append(encoded bytes: UnsafeRawBufferPointer) throws
    /// The document is complete; without tokens before it there is none.
    func endDocument() throws
}

extension TokenSink {
    /// Encodes tokens for storage after checking them.
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

/// Collects tokens in memory.
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

    /// What was collected, with the starts of all documents and the end of the last; `nil` if nothing.
    func finish() -> (source: TokenSource, bounds: [Int])? {
        endDocument()
        guard tokenCount > 0 else { return nil }
        let source = TokenSource(
            path: path, width: width, tokenCount: tokenCount, crc32: crc32,
            storage: .chunks(last.isEmpty ? chunks : chunks + [last]))
        return (source, documentStarts)
    }
}
