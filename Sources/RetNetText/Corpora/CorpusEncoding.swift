import Foundation
import RetNetStorage

extension Corpus {
    /// Returns the corpus as tokens; throws `TextError` or `StorageError`.
    ///
    /// Text that spells a special token is text.
    /// Plain text of a `ByteTokenizer` with one document per file is only mapped; other text is encoded in
    /// memory, at 1, 2 or 4 bytes per token. With `cache`, it is encoded into a token file at that path
    /// instead, which is reused while the names, sizes and times of the corpus files, the tokenizer and the
    /// separator stay the same.
    public func tokenStream(tokenizer: any Tokenizer, cache: String? = nil) throws -> TokenStream {
        // Whether a pipe would give the same text again cannot be known.
        if let cache, !files.contains(where: \.isCopy) {
            return try cachedStream(tokenizer: tokenizer, cache: cache)
        }
        var assembly = Assembly()
        for file in files {
            switch file.content {
            case .tokens:
                let tokens = try TokenFile(path: file.path)
                try tokens.check(madeWith: tokenizer)
                assembly.add(tokens.source, bounds: tokens.bounds)
            case .text where separator == .wholeFile && tokenizer is ByteTokenizer:
                if let source = try Self.mapped(file) {
                    assembly.add(source, bounds: [0, source.tokenCount])
                }
            case .text, .compressedText:
                let collector = TokenCollector(
                    vocabularySize: tokenizer.vocabularySize, path: file.path,
                    isBytewise: tokenizer.isBytewise)
                try encode(file, tokenizer: tokenizer, sink: collector)
                if let (source, bounds) = collector.finish() { assembly.add(source, bounds: bounds) }
            }
        }
        return try TokenStream(
            like: tokenizer, sources: assembly.sources, parts: assembly.parts, counts: assembly.counts,
            paths: files.map(\.path))
    }

    /// Writes the tokens of the whole corpus into one token file; throws `TextError` or `StorageError`.
    ///
    /// The memory use depends only on the number of documents, not on the size of the corpus. Without `replacing`, a
    /// file that is at the path, or appears there meanwhile, is kept, and `StorageError.alreadyExists` is thrown. With a
    /// token file of version 1 in the corpus, the bytes of its text are not known, nor are those of the new file
    /// (`TokenFile.textByteCount`).
    /// Text that spells a special token is text unless `specialTokens` says otherwise.
    public func writeTokenFile(
        tokenizer: any Tokenizer, to path: String, replacing: Bool = true,
        specialTokens: SpecialTokensInText = .text
    ) throws {
        try writeTokenFile(
            tokenizer: tokenizer, to: path, replacing: replacing, specialTokens: specialTokens,
            sourceSignature: 0)
    }

    private struct Assembly {
        var sources: [TokenSource] = []
        var parts: [TokenStream.Part] = []
        var counts: [Int] = []

        mutating func add(_ source: TokenSource, bounds: [Int]) {
            for (start, end) in zip(bounds, bounds.dropFirst()) {
                parts.append(TokenStream.Part(source: sources.count, start: start))
                counts.append(end - start)
            }
            sources.append(source)
        }
    }

    private func writeTokenFile(
        tokenizer: any Tokenizer, to path: String, replacing: Bool = true,
        specialTokens: SpecialTokensInText = .text, sourceSignature: UInt32
    ) throws {
        let isUnknown = try files.contains {
            try $0.content == .tokens && TokenFile(path: $0.path).textByteCount == nil
        }
        let counting: TokenByteCounting =
            tokenizer.isBytewise ? .bytewise : isUnknown ? .unknown : .stored
        do {
            try TokenFileWriter.write(
                to: path, replacing: replacing, tokenizer: tokenizer, counting: counting,
                sourceSignature: sourceSignature
            ) { writer in
                for file in files {
                    try encode(file, tokenizer: tokenizer, specialTokens: specialTokens, sink: writer)
                }
            }
        } catch TextError.emptyCorpus {
            throw TextError.emptyCorpus(paths: files.map(\.path))
        }
    }

    /// Returns the corpus as tokens in bounded memory; throws `TextError` or `StorageError`.
    ///
    /// Where more than `byteCount` bytes of text would be encoded in memory, they are encoded into a token file in the folder
    /// for temporary files instead, which is mapped and has no name any more when this returns.
    public func tokenStream(tokenizer: any Tokenizer, inMemoryUpTo byteCount: Int) throws -> TokenStream {
        let encodedByteCount = files.reduce(0) { sum, file in
            switch file.content {
            case .tokens: sum
            case .text: separator == .wholeFile && tokenizer is ByteTokenizer ? sum : sum + file.byteCount
            // About as much as gzip saves of text.
            case .compressedText: sum + 3 * file.byteCount
            }
        }
        guard encodedByteCount > byteCount else { return try tokenStream(tokenizer: tokenizer) }
        let folder = FileManager.default.temporaryDirectory.path
        Self.removeLeftovers(in: folder)
        let path = folder + "/retnet-\(UUID().uuidString).rtok"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try writeTokenFile(tokenizer: tokenizer, to: path)
        return try Corpus(path: path).tokenStream(tokenizer: tokenizer)
    }

    /// Removes the files of processes that were ended while they encoded: for an hour nothing has been added to them.
    private static func removeLeftovers(in folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix(".retnet-") && name.contains(".rtok.tmp-") {
            let path = folder + "/" + name
            let facts = try? FileManager.default.attributesOfItem(atPath: path)
            guard let date = facts?[.modificationDate] as? Date, date.timeIntervalSinceNow < -3600 else {
                continue
            }
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    private func cachedStream(tokenizer: any Tokenizer, cache: String) throws -> TokenStream {
        let signature = try sourceSignature()
        if FileManager.default.fileExists(atPath: cache) {
            // An unusable cache is replaced; files of other kinds are not overwritten.
            guard try CorpusFile(path: cache).content == .tokens else {
                throw TextError.invalidTokenFile(
                    path: cache, byteOffset: 0,
                    reason: "it cannot serve as the cache because it has other content")
            }
            // Caches of version 1 lack the bytes of the text.
            if let old = try? TokenFile(path: cache), old.sourceSignature == signature,
                old.formatVersion == TokenFile.version || tokenizer.isBytewise,
                (try? old.check(madeWith: tokenizer)) != nil
            {
                return try Corpus(path: cache).tokenStream(tokenizer: tokenizer)
            }
        }
        try writeTokenFile(tokenizer: tokenizer, to: cache, sourceSignature: signature)
        return try Corpus(path: cache).tokenStream(tokenizer: tokenizer)
    }

    /// Returns a number that changes with the files of the corpus and the separator.
    private func sourceSignature() throws -> UInt32 {
        var text = separator.identity
        for file in files {
            let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
            let time = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
            text += "\n\(file.path)\n\(file.byteCount) \(time.bitPattern)"
        }
        let value = Array(text.utf8).withUnsafeBytes { Checksum.crc32($0) }
        // Zero marks token files that are not caches.
        return value == 0 ? 1 : value
    }

    private func encode(
        _ file: CorpusFile, tokenizer: any Tokenizer, specialTokens: SpecialTokensInText = .text,
        sink: any TokenSink
    ) throws {
        guard file.content != .tokens else { return try copyTokens(file, tokenizer: tokenizer, to: sink) }
        let encoder = DocumentEncoder(tokenizer: tokenizer, sink: sink, specialTokens: specialTokens)
        let splitter = DocumentSplitter(separator: separator, consumer: encoder)
        try TextFileReader.read(file) { try splitter.feed($0) }
        try splitter.finish()
    }

    private func copyTokens(_ file: CorpusFile, tokenizer: any Tokenizer, to sink: any TokenSink) throws {
        let tokens = try TokenFile(path: file.path)
        try tokens.check(madeWith: tokenizer)
        let step = 1 << 18
        for (start, end) in zip(tokens.bounds, tokens.bounds.dropFirst()) {
            for first in stride(from: start, to: end, by: step) {
                let range = first..<min(first + step, end)
                let piece = try [Int32](unsafeUninitializedCapacity: range.count) { buffer, count in
                    guard let target = buffer.baseAddress else { return }
                    try tokens.source.copy(range, into: target, vocabularySize: tokens.vocabularySize)
                    count = range.count
                }
                try sink.append(
                    EncodedText(
                        tokens: piece, byteCounts: try tokens.source.byteCounts(in: range) ?? []))
            }
            try sink.endDocument()
        }
    }

    /// Returns the bytes of a plain text file as tokens, or `nil` if there are none.
    private static func mapped(_ corpusFile: CorpusFile) throws -> TokenSource? {
        let (file, path) = (try corpusFile.map(), corpusFile.path)
        return try file.withUnsafeBytes { bytes in
            if let byteOffset = UTF8Validator.firstInvalidOffset(in: bytes) {
                throw TextError.notUTF8(path: path, byteOffset: byteOffset)
            }
            let markByteCount = bytes.starts(with: TextFileReader.byteOrderMark) ? 3 : 0
            let text = UnsafeRawBufferPointer(rebasing: bytes[markByteCount...])
            guard !text.isEmpty else { return nil }
            return TokenSource(
                path: path, width: .one, tokenCount: text.count, crc32: Checksum.crc32(text),
                storage: .mapped(file, byteOffset: markByteCount))
        }
    }
}

/// A consumer of documents that encodes their text and passes the tokens to a sink.
final class DocumentEncoder: DocumentConsumer {
    /// The size of the pieces in which longer documents are encoded, cut after a line if possible.
    private let pieceByteCount: Int
    private let tokenizer: any Tokenizer
    private let sink: any TokenSink
    /// True if tokens are equal to the bytes, so that no encoding is needed.
    private let passesBytes: Bool
    private var pending: [UInt8] = []
    private var isEmpty = true
    /// The end of the pieces already encoded.
    private var place = TextPlace.beginning
    /// The last token, kept until it is known whether text without tokens follows.
    private var last = EncodedText()
    /// Bytes at the beginning of the document for which no token stands yet.
    private var leadingByteCount = 0

    init(
        tokenizer: any Tokenizer, sink: any TokenSink, specialTokens: SpecialTokensInText = .text,
        pieceByteCount: Int = 1 << 22
    ) {
        self.pieceByteCount = pieceByteCount
        self.tokenizer = tokenizer.with(specialTokens)
        self.sink = sink
        passesBytes = tokenizer is ByteTokenizer && sink.width == .one
    }

    func consume(_ bytes: UnsafeRawBufferPointer) throws {
        guard !bytes.isEmpty else { return }
        isEmpty = false
        if passesBytes {
            try sink.append(encoded: bytes)
            return
        }
        pending.append(contentsOf: bytes)
        while pending.count >= pieceByteCount { try encode(cut(pending)) }
    }

    func endDocument() throws {
        guard !isEmpty else { return }
        try encode(pending.count)
        try passLast()
        try sink.endDocument()
        leadingByteCount = 0
        place = .beginning
        isEmpty = true
    }

    private func encode(_ byteCount: Int) throws {
        guard byteCount > 0 else { return }
        var text = try pending.withUnsafeBytes {
            try tokenizer.encodeForStream(
                utf8: UnsafeRawBufferPointer(rebasing: $0[..<byteCount]), at: &place)
        }
        pending.removeFirst(byteCount)
        if tokenizer.isBytewise { return try sink.append(text) }
        guard !text.tokens.isEmpty else {
            // Text that normalization drops counts for the token before it or, at the beginning, for the next.
            if last.tokens.isEmpty {
                leadingByteCount += byteCount
            } else {
                last.byteCounts[0] += byteCount
            }
            return
        }
        text.byteCounts[0] += leadingByteCount
        leadingByteCount = 0
        try passLast()
        last = EncodedText(tokens: [text.tokens.removeLast()], byteCounts: [text.byteCounts.removeLast()])
        try sink.append(text)
    }

    private func passLast() throws {
        if !last.tokens.isEmpty { try sink.append(last) }
        last = EncodedText()
    }

    /// Returns the end of the first piece of a long text, which depends only on the text, not on reads.
    private func cut(_ bytes: [UInt8]) -> Int {
        let piece = bytes[..<pieceByteCount]
        if let lineEnd = piece.lastIndex(of: 0x0A) { return lineEnd + 1 }
        let lead = piece.lastIndex { $0 & 0xC0 != 0x80 } ?? 0
        return lead > 0 ? lead : pieceByteCount
    }
}
