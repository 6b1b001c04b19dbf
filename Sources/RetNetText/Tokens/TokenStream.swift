import CRetNetZlib
import RetNetStorage

/// The documents of a corpus as one long sequence of tokens, with `<bos>` before each document.
///
/// Tokens are numbered from 0 over all documents. Nothing is copied until tokens are asked for: they stay in
/// mapped files or, compact, in memory. The token after a document's last one is the `<bos>` of the next,
/// so a model learns to end a text by predicting it.
public struct TokenStream: Sendable {
    /// A document, or a part of one, inside a source; its length follows from `starts`.
    struct Part: Sendable {
        var source: Int
        var start: Int
    }

    /// The number of different tokens.
    public let vocabularySize: Int
    /// The identity of the tokenizer.
    public let tokenizerIdentity: String
    /// The token before each document, if there is one.
    public let beginToken: Int32?
    /// The token that fills unused places of batches.
    public let paddingToken: Int32
    /// A checksum of all tokens and document bounds, the same for a text and for its token file.
    public let fingerprint: UInt32
    let sources: [TokenSource]
    let parts: [Part]
    /// The place of each document's first token, and the end of the last.
    let starts: [Int]

    /// The number of tokens, with the `<bos>` of each document.
    public var tokenCount: Int { starts[starts.count - 1] }
    /// The number of documents.
    public var documentCount: Int { parts.count }
    /// How many tokens before each document are not stored: 1 or, without `<bos>`, 0.
    var prefixCount: Int { beginToken == nil ? 0 : 1 }

    /// A stream of given parts; `counts` are the stored tokens of each.
    init(
        like tokenizer: any Tokenizer, sources: [TokenSource], parts: [Part], counts: [Int],
        paths: [String]
    ) throws {
        guard !parts.isEmpty else { throw TextError.emptyCorpus(paths: paths) }
        vocabularySize = tokenizer.vocabularySize
        tokenizerIdentity = tokenizer.identity
        beginToken = tokenizer.beginToken
        paddingToken = tokenizer.paddingToken ?? 0
        self.sources = sources
        self.parts = parts
        starts = Self.sum(counts, prefixCount: tokenizer.beginToken == nil ? 0 : 1)
        var data: UInt32 = 0
        for source in sources {
            let byteCount = source.tokenCount * source.width.rawValue
            data = UInt32(
                truncatingIfNeeded: crc32_combine(uLong(data), uLong(source.crc32), numericCast(byteCount)))
        }
        fingerprint = Self.checksum(
            identity: "\(tokenizer.identity) \(tokenizer.beginToken ?? -1)",
            numbers: [Int(data)] + starts)
    }

    /// A stream of some parts of another.
    init(from other: TokenStream, parts: [Part], counts: [Int]) {
        vocabularySize = other.vocabularySize
        tokenizerIdentity = other.tokenizerIdentity
        beginToken = other.beginToken
        paddingToken = other.paddingToken
        sources = other.sources
        self.parts = parts
        starts = Self.sum(counts, prefixCount: other.prefixCount)
        fingerprint = Self.checksum(
            identity: "part",
            numbers: [Int(other.fingerprint)] + starts + parts.flatMap { [$0.source, $0.start] })
    }

    /// The tokens of texts, one document each; texts without tokens are left out.
    ///
    /// Throws `TextError.emptyCorpus` if nothing is left.
    public init(texts: some Sequence<String>, tokenizer: any Tokenizer) throws {
        let path = "The text in memory"
        let collector = TokenCollector(vocabularySize: tokenizer.vocabularySize, path: path)
        for text in texts {
            try collector.append(tokenizer.encode(text))
            collector.endDocument()
        }
        guard let (source, bounds) = collector.finish() else { throw TextError.emptyCorpus(paths: [path]) }
        let parts = bounds.dropLast().map { Part(source: 0, start: $0) }
        try self.init(
            like: tokenizer, sources: [source], parts: parts,
            counts: zip(bounds.dropFirst(), bounds).map { $0 - $1 }, paths: [path])
    }

    /// Where the tokens of a document lie, its `<bos>` included.
    public func range(ofDocument index: Int) throws -> Range<Int> {
        guard index >= 0, index < documentCount else {
            throw TextError.outOfBounds(
                range: index..<(index == Int.max ? index : index + 1), count: documentCount)
        }
        return starts[index]..<starts[index + 1]
    }

    /// The document that the token at `position` belongs to, which must be in `0..<tokenCount`.
    func documentIndex(at position: Int) -> Int {
        var low = 0
        var high = documentCount
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if starts[middle] <= position { low = middle } else { high = middle }
        }
        return low
    }

    /// The places inside a range at which documents start.
    public func documentStarts(in range: Range<Int>) throws -> [Int] {
        try check(range)
        guard !range.isEmpty else { return [] }
        var index = documentIndex(at: range.lowerBound)
        if starts[index] < range.lowerBound { index += 1 }
        var result: [Int] = []
        while index < documentCount, starts[index] < range.upperBound {
            result.append(starts[index])
            index += 1
        }
        return result
    }

    /// Copies the tokens of a range to the beginning of a buffer; throws `TextError`.
    public func copy(_ range: Range<Int>, into buffer: UnsafeMutableBufferPointer<Int32>) throws {
        try check(range)
        guard !range.isEmpty else { return }
        guard let target = buffer.baseAddress, buffer.count >= range.count else {
            throw TextError.invalidArgument(
                name: "buffer", reason: "it holds \(buffer.count) tokens, \(range.count) are to be copied")
        }
        var position = range.lowerBound
        var index = documentIndex(at: position)
        while position < range.upperBound {
            if let beginToken, position == starts[index] {
                target[position - range.lowerBound] = beginToken
                position += 1
            }
            let end = min(starts[index + 1], range.upperBound)
            if end > position {
                let part = parts[index]
                let first = part.start + position - starts[index] - prefixCount
                try sources[part.source].copy(
                    first..<(first + end - position), into: target + (position - range.lowerBound),
                    vocabularySize: vocabularySize)
                position = end
            }
            index += 1
        }
    }

    /// The tokens of a range; throws `TextError`.
    public func tokens(in range: Range<Int>) throws -> [Int32] {
        try check(range)
        return try [Int32](unsafeUninitializedCapacity: range.count) { buffer, count in
            try copy(range, into: buffer)
            count = range.count
        }
    }

    private func check(_ range: Range<Int>) throws {
        guard range.lowerBound >= 0, range.upperBound <= tokenCount else {
            throw TextError.outOfBounds(range: range, count: tokenCount)
        }
    }

    private static func sum(_ counts: [Int], prefixCount: Int) -> [Int] {
        var starts = [0]
        starts.reserveCapacity(counts.count + 1)
        var total = 0
        for count in counts {
            total += count + prefixCount
            starts.append(total)
        }
        return starts
    }

    static func checksum(identity: String, numbers: [Int]) -> UInt32 {
        let name = Array(identity.utf8).withUnsafeBytes { Checksum.crc32($0) }
        return numbers.map { Int64($0).littleEndian }
            .withUnsafeBytes { Checksum.crc32($0, continuing: name) }
    }
}
