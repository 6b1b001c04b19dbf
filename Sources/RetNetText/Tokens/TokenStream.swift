import CRetNetZlib
import RetNetStorage

/// The documents of a corpus as one sequence of tokens, with `<bos>` before each document.
///
/// Positions count from 0 over all documents. Tokens stay in mapped files or, at 1, 2 or 4 bytes per token, in
/// memory; only the ranges read are copied. The token after the last one of a document is the `<bos>` of the
/// next, so a model learns the end of a text by predicting `<bos>`.
public struct TokenStream: Sendable {
    /// A document or a part of one in a source; its length follows from `starts`.
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
    /// The token at unused positions of batches.
    public let paddingToken: Int32
    /// A checksum of all tokens and document bounds, the same for a text and for its token file.
    public let fingerprint: UInt32
    /// True if every token but `<bos>` is one byte of text.
    let isBytewise: Bool
    let sources: [TokenSource]
    let parts: [Part]
    /// The position of the first token of each document, and the end of the last.
    let starts: [Int]

    /// The number of tokens, `<bos>` included.
    public var tokenCount: Int { starts[starts.count - 1] }
    /// The number of documents.
    public var documentCount: Int { parts.count }
    /// The number of tokens before each document that are not stored: 1 or, without `<bos>`, 0.
    var prefixCount: Int { beginToken == nil ? 0 : 1 }

    /// Creates a stream of parts; `counts` are the numbers of stored tokens of each.
    init(
        like tokenizer: any Tokenizer, sources: [TokenSource], parts: [Part], counts: [Int],
        paths: [String]
    ) throws {
        guard !parts.isEmpty else { throw TextError.emptyCorpus(paths: paths) }
        vocabularySize = tokenizer.vocabularySize
        tokenizerIdentity = tokenizer.identity
        beginToken = tokenizer.beginToken
        paddingToken = tokenizer.paddingToken ?? 0
        isBytewise = tokenizer.isBytewise
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

    /// Creates a stream of parts of another.
    init(from other: TokenStream, parts: [Part], counts: [Int]) {
        vocabularySize = other.vocabularySize
        tokenizerIdentity = other.tokenizerIdentity
        beginToken = other.beginToken
        paddingToken = other.paddingToken
        isBytewise = other.isBytewise
        sources = other.sources
        self.parts = parts
        starts = Self.sum(counts, prefixCount: other.prefixCount)
        fingerprint = Self.checksum(
            identity: "part",
            numbers: [Int(other.fingerprint)] + starts + parts.flatMap { [$0.source, $0.start] })
    }

    /// Encodes texts, one document each, without those that have no tokens; text that spells a special token is text.
    ///
    /// Throws `TextError.emptyCorpus` if there are no tokens at all.
    public init(texts: some Sequence<String>, tokenizer: any Tokenizer) throws {
        let path = "text in memory"
        let collector = TokenCollector(
            vocabularySize: tokenizer.vocabularySize, path: path, isBytewise: tokenizer.isBytewise)
        let tokenizer = tokenizer.with(.text)
        for var text in texts {
            var place = TextPlace.beginning
            try collector.append(
                text.withUTF8 {
                    try tokenizer.encodeForStream(utf8: UnsafeRawBufferPointer($0), at: &place)
                })
            collector.endDocument()
        }
        guard let (source, bounds) = collector.finish() else { throw TextError.emptyCorpus(paths: []) }
        let parts = bounds.dropLast().map { Part(source: 0, start: $0) }
        try self.init(
            like: tokenizer, sources: [source], parts: parts,
            counts: zip(bounds.dropFirst(), bounds).map { $0 - $1 }, paths: [])
    }

    /// Returns the positions of a document, its `<bos>` included; throws `TextError.outOfBounds`.
    public func range(ofDocument index: Int) throws -> Range<Int> {
        guard index >= 0, index < documentCount else {
            throw TextError.outOfBounds(
                range: index..<(index == Int.max ? index : index + 1), count: documentCount)
        }
        return starts[index]..<starts[index + 1]
    }

    /// Returns the document of the token at a position in `0..<tokenCount`.
    func documentIndex(at position: Int) -> Int {
        var low = 0
        var high = documentCount
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if starts[middle] <= position { low = middle } else { high = middle }
        }
        return low
    }

    /// Returns the positions in a range at which documents start; throws `TextError.outOfBounds`.
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

    /// Copies the tokens of a range to the start of a buffer; throws `TextError`.
    public func copy(_ range: Range<Int>, into buffer: UnsafeMutableBufferPointer<Int32>) throws {
        try check(range)
        guard !range.isEmpty else { return }
        guard let target = buffer.baseAddress, buffer.count >= range.count else {
            throw TextError.invalidArgument(
                name: "buffer",
                reason:
                    "its capacity of \(buffer.count) tokens is less than the \(range.count) tokens to copy")
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

    /// Returns the tokens of a range; throws `TextError`.
    public func tokens(in range: Range<Int>) throws -> [Int32] {
        try check(range)
        return try [Int32](unsafeUninitializedCapacity: range.count) { buffer, count in
            try copy(range, into: buffer)
            count = range.count
        }
    }

    /// Returns the bytes of the source text that the tokens of a range stand for; throws `TextError`.
    ///
    /// The bytes of all ranges of a text add up to those of the text as it was read, whatever its tokenizer makes of it;
    /// `<bos>` has none. `nil` if a token file of the range was written by a version that did not keep byte counts; see
    /// `byteCountWarnings`.
    public func byteCount(in range: Range<Int>) throws -> Int? {
        try check(range)
        guard !range.isEmpty else { return 0 }
        var sum = 0
        var position = range.lowerBound
        var index = documentIndex(at: position)
        while position < range.upperBound {
            if position == starts[index] { position += prefixCount }
            let end = min(starts[index + 1], range.upperBound)
            if end > position {
                let part = parts[index]
                let first = part.start + position - starts[index] - prefixCount
                let stored = first..<(first + end - position)
                guard let count = isBytewise ? stored.count : try sources[part.source].byteCount(in: stored)
                else { return nil }
                sum += count
                position = end
            }
            index += 1
        }
        return sum
    }

    /// A sentence on each token file of the stream that does not keep the bytes of its text, as earlier versions wrote them.
    public var byteCountWarnings: [String] {
        guard !isBytewise else { return [] }
        let used = Set(parts.map(\.source))
        return sources.indices.filter { used.contains($0) && sources[$0].counting == .unknown }.map {
            "'\(sources[$0].path)' was written by an earlier version and does not keep the number of bytes of its text, so"
                + " figures per byte are left out: tokenize the text again"
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

    /// Returns a checksum of a name and numbers.
    static func checksum(identity: String, numbers: [Int]) -> UInt32 {
        let name = Array(identity.utf8).withUnsafeBytes { Checksum.crc32($0) }
        return numbers.map { Int64($0).littleEndian }
            .withUnsafeBytes { Checksum.crc32($0, continuing: name) }
    }
}

// MARK: Parts

extension TokenStream {
    private static let minimumDocumentCountForSplit = 10

    /// Returns a training part and a validation part with about the given fraction of the tokens.
    ///
    /// With ten documents or more, the validation part consists of whole documents, picked at random by
    /// `seed`; with fewer, it is the end of the stream. Both parts keep the order of the documents. With `countsBytes`, bytes
    /// of the text are counted instead of tokens: the training part is then the same text for every tokenizer, but for
    /// the token at a cut, which belongs to it as a whole. Throws `TextError` if `validationFraction` is not between 0
    /// and 1, if there are no tokens for one part, or if the bytes are not known.
    public func trainValidationSplit(
        validationFraction: Double, seed: UInt64 = 0, countsBytes: Bool = false
    ) throws -> (train: TokenStream, validation: TokenStream) {
        guard validationFraction > 0, validationFraction < 1 else {
            throw TextError.invalidArgument(
                name: "validationFraction",
                reason: "\(validationFraction) is out of range; use a value between 0 and 1")
        }
        let counts = countsBytes ? try documentByteCounts() : nil
        return documentCount >= Self.minimumDocumentCountForSplit
            ? splitByDocument(validationFraction, counts: counts, seed: seed)
            : try splitAtEnd(validationFraction, byteCount: counts?.reduce(0, +))
    }

    /// Returns the bytes of the text of each document; throws `TextError.invalidArgument` if they are not known.
    private func documentByteCounts() throws -> [Int] {
        try (0..<documentCount).map { index in
            guard let count = try byteCount(in: starts[index]..<starts[index + 1]) else {
                throw TextError.invalidArgument(
                    name: "countsBytes",
                    reason: "a token file does not keep the bytes of its text; make it again")
            }
            return count
        }
    }

    /// Returns the stream of a range of documents; throws `TextError.outOfBounds`.
    public func documents(_ range: Range<Int>) throws -> TokenStream {
        guard range.lowerBound >= 0, range.upperBound <= documentCount, !range.isEmpty else {
            throw TextError.outOfBounds(range: range, count: documentCount)
        }
        return picking(Array(range))
    }

    private func splitByDocument(
        _ validationFraction: Double, counts: [Int]?, seed: UInt64
    ) -> (TokenStream, TokenStream) {
        // Each document counts with the token before it.
        let counts = counts.map { $0.map { $0 + 1 } } ?? zip(starts.dropFirst(), starts).map { $0 - $1 }
        let wanted = Double(counts.reduce(0, +)) * validationFraction
        var generator = SeededGenerator(seed: seed)
        var order = Array(0..<documentCount)
        generator.shuffle(&order)
        var isValidation = [Bool](repeating: false, count: documentCount)
        var count = 0
        // At least one document for each part.
        for index in order.dropLast() where Double(count) < wanted {
            isValidation[index] = true
            count += counts[index]
        }
        let indices = 0..<documentCount
        return (
            picking(indices.filter { !isValidation[$0] }), picking(indices.filter { isValidation[$0] })
        )
    }

    private func splitAtEnd(_ validationFraction: Double, byteCount: Int?) throws -> (
        TokenStream, TokenStream
    ) {
        let storedCount = tokenCount - documentCount * prefixCount
        guard storedCount > 1 else {
            throw TextError.corpusTooShort(tokenCount: tokenCount, neededTokenCount: 2 + prefixCount)
        }
        var trainCount: Int
        if let byteCount {
            let wanted = Int(Double(byteCount) * validationFraction)
            trainCount = try storedTokenCount(
                ofFirstBytes: byteCount - min(max(wanted, 1), max(1, byteCount - 1)))
        } else {
            let wanted = Int(Double(storedCount) * validationFraction)
            trainCount = storedCount - min(max(wanted, 1), storedCount - 1)
        }
        trainCount = min(trainCount, storedCount - 1)
        var train: [(Part, Int)] = []
        var validation: [(Part, Int)] = []
        for (part, count) in pieces(0..<documentCount) {
            // The document at the cut is divided.
            let offset = min(trainCount, count)
            if offset > 0 { train.append((part, offset)) }
            if offset < count {
                validation.append((Part(source: part.source, start: part.start + offset), count - offset))
            }
            trainCount -= offset
        }
        return (assembling(train), assembling(validation))
    }

    /// Returns how many stored tokens from the start on stand for at least the given bytes.
    private func storedTokenCount(ofFirstBytes wanted: Int) throws -> Int {
        var (rest, stored) = (wanted, 0)
        for index in 0..<documentCount where rest > 0 {
            let range = (starts[index] + prefixCount)..<starts[index + 1]
            var (low, high) = (range.lowerBound, range.upperBound)
            if let all = try byteCount(in: range), all < rest {
                (rest, stored) = (rest - all, stored + range.count)
                continue
            }
            // The first place up to which there are enough bytes.
            while low < high {
                let middle = low + (high - low) / 2
                if try byteCount(in: range.lowerBound..<middle) ?? rest >= rest {
                    high = middle
                } else {
                    low = middle + 1
                }
            }
            stored += low - range.lowerBound
            rest = 0
        }
        return stored
    }

    private func pieces(_ documents: some Sequence<Int>) -> [(Part, Int)] {
        documents.map { (parts[$0], starts[$0 + 1] - starts[$0] - prefixCount) }
    }

    private func picking(_ documents: [Int]) -> TokenStream {
        assembling(pieces(documents))
    }

    private func assembling(_ pieces: [(Part, Int)]) -> TokenStream {
        TokenStream(from: self, parts: pieces.map(\.0), counts: pieces.map(\.1))
    }
}
