import Foundation
import RetNetStorage
import Testing

@testable import RetNetText

/// The bytes of the source text of tokens, which figures per byte divide by.
@Suite struct SourceByteTests {
    private static let pieces: [(String, Float)] = [
        ("▁", -3), ("a", -2), ("b", -2), ("ab", -4), ("c", -2.5), ("bc", -4.5), ("abc", -6.5), ("▁a", -3.5),
        ("a▁", -3.4),
    ]
    private static let map = [
        ("A", "a"), ("ＡＢ", "ab"), ("ö", "o"), ("o\u{308}", "c"), ("\t", " "), ("\u{AD}", ""), ("ß", "  b"),
    ]
    /// Text with everything that a normalizer changes.
    private static let alphabet = [
        "a", "b", "c", "x", "ab", " ", "  ", "\t", "\n", "A", "ＡＢ", "ö", "o\u{308}", "\u{AD}", "ß", "日", "▁",
        "\u{1F600}", "é",
    ]

    private func tokenizer(_ change: (inout SentencePieceWriter) -> Void = { _ in }) throws
        -> SentencePieceTokenizer
    {
        var writer = SentencePieceWriter.pieces(Self.pieces)
        change(&writer)
        return try SentencePieceTokenizer(bytes: writer.bytes)
    }

    private func text(_ generator: inout SeededGenerator, _ count: Int) -> String {
        (0..<count).map { _ in Self.alphabet[generator.integer(below: Self.alphabet.count)] }.joined()
    }

    /// Returns the bytes that the tokens of a document have together, when it is encoded in pieces of a few bytes.
    private func documentByteCount(_ text: String, _ tokenizer: any Tokenizer, pieceByteCount: Int) throws
        -> Int?
    {
        let collector = TokenCollector(
            vocabularySize: tokenizer.vocabularySize, path: "text", isBytewise: false)
        let encoder = DocumentEncoder(tokenizer: tokenizer, sink: collector, pieceByteCount: pieceByteCount)
        var text = text
        try text.withUTF8 { try encoder.consume(UnsafeRawBufferPointer($0)) }
        try encoder.endDocument()
        let (source, _) = try #require(collector.finish())
        return try source.byteCount(in: 0..<source.tokenCount)
    }

    // MARK: Tokenizers

    @Test func `Every byte of a text belongs to the token that stands for it`() throws {
        func expect(
            _ text: String, _ counts: [Int], sourceLocation: SourceLocation = #_sourceLocation,
            _ change: (inout SentencePieceWriter) -> Void = { _ in }
        ) throws {
            #expect(
                try tokenizer(change).encodeCountingBytes(text).byteCounts == counts,
                "\(text.debugDescription)", sourceLocation: sourceLocation)
        }
        // The space that encoding adds has no bytes, alone or joined.
        try expect("cab ab", [0, 1, 2, 2, 1])
        try expect("ab", [1, 1])
        // Several unknown characters are one token.
        try expect("日本a", [0, 6, 1])
        try expect("日本語日本語日本語 the cat", [0, 27, 1, 3, 1, 1, 1, 1])
        // Spaces that are dropped belong to the token before them, at the beginning to the first.
        try expect("  a  b  ", [2, 3, 3])
        // Replaced characters count as they were written.
        try expect("A\tA", [1, 2]) { $0.characterMap = Self.map }
        try expect("ＡＢc", [1, 6]) { $0.characterMap = Self.map }
        try expect("a\u{AD}b\u{AD}", [3, 3]) { $0.characterMap = Self.map }
        try expect("aßb", [0, 3, 0, 0, 1]) { $0.characterMap = Self.map }
        // Spelled bytes are bytes of their character.
        try expect("日a", [0, 1, 1, 1, 1]) { $0.addBytes() }
        try expect("a b a", [2, 1, 1, 1]) { $0.putsSpacesLast = true }
        try expect("  a\n", [0, 1, 2, 1]) { $0.removesExtraSpaces = false }
    }

    private static let changes: [@Sendable (inout SentencePieceWriter) -> Void] = [
        { _ in }, { $0.characterMap = map },
        {
            $0.characterMap = map
            $0.addBytes()
        },
        {
            $0.removesExtraSpaces = false
            $0.characterMap = map
        },
        {
            $0.addsDummyPrefix = false
            $0.characterMap = map
        },
        {
            $0.putsSpacesLast = true
            $0.characterMap = map
        },
        {
            $0.pieces += [("xy", 0, .userDefined), ("日a", 0, .userDefined)]
            $0.characterMap = map
        },
    ]

    @Test(arguments: 1...4) func `The bytes of all tokens are those of the text`(type: Int) throws {
        var generator = SeededGenerator(seed: UInt64(type))
        for change in Self.changes {
            let tokenizer = try tokenizer {
                $0.type = type
                change(&$0)
            }
            for round in 0..<120 {
                let text = text(&generator, round % 12 + 1)
                let encoded = tokenizer.encodeCountingBytes(text)
                #expect(encoded.tokens == tokenizer.encode(text))
                #expect(encoded.byteCounts.count == encoded.tokens.count)
                #expect(encoded.byteCounts.allSatisfy { $0 >= 0 }, "\(text.debugDescription)")
                let total = encoded.byteCounts.reduce(0, +)
                #expect(encoded.tokens.isEmpty || total == text.utf8.count, "\(text.debugDescription)")
            }
        }
    }

    @Test(arguments: [0, 1, 3, 5]) func `Parts of a text have the bytes of the parts`(
        change: Int
    ) throws {
        let tokenizer = try tokenizer(Self.changes[change])
        var generator = SeededGenerator(seed: 41)
        for _ in 0..<200 {
            let parts = (0..<3).map { _ in text(&generator, 1 + generator.integer(below: 5)) }
            var place = TextPlace.beginning
            for part in parts {
                var part = part
                let encoded = part.withUTF8 {
                    tokenizer.encodeCountingBytes(utf8: UnsafeRawBufferPointer($0), at: &place)
                }
                #expect(encoded.byteCounts.allSatisfy { $0 >= 0 })
                let total = encoded.byteCounts.reduce(0, +)
                #expect(encoded.tokens.isEmpty || total == part.utf8.count, "\(parts)")
            }
        }
        // Pieces of a long document are encoded as parts of it.
        for text in ["a b c ab", "abc  bc a ", " c c c c c c c", "b\nb\nb a"] {
            #expect(try documentByteCount(text, tokenizer, pieceByteCount: 5) == text.utf8.count)
        }
    }

    @Test func `Invalid bytes count as they were given`() throws {
        var generator = SeededGenerator(seed: 7)
        let kinds: [any Tokenizer] = [ByteTokenizer(), SentinelByteTokenizer(), try tokenizer()]
        for _ in 0..<400 {
            let bytes = (0..<generator.integer(below: 9)).map { _ in
                [0x61, 0xC3, 0xA9, 0xE6, 0x97, 0xA5, 0xF0, 0x9F, 0x80, 0xFF, 0xED][
                    generator.integer(below: 11)]
            }.map { UInt8($0) }
            for tokenizer in kinds {
                var place = TextPlace.beginning
                let encoded = bytes.withUnsafeBytes { tokenizer.encodeCountingBytes(utf8: $0, at: &place) }
                #expect(encoded.byteCounts.reduce(0, +) == bytes.count)
                guard tokenizer.isBytewise else { continue }
                #expect(
                    tokenizer.decode(encoded.tokens) == String(decoding: bytes, as: UTF8.self), "\(bytes)")
            }
        }
    }

    @Test func `A tokenizer whose byte counts are not those of the text is refused`() throws {
        struct Wrong: Tokenizer {
            var counts: [Int]
            var vocabularySize: Int { 10 }
            var beginToken: Int32? { nil }
            var endToken: Int32? { nil }
            var paddingToken: Int32? { nil }
            var identity: String { "wrong" }
            func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] { [1, 2] }
            func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
                -> EncodedText
            {
                EncodedText(tokens: [1, 2], byteCounts: counts)
            }
            func bytes(of token: Int32) -> [UInt8] { [] }
            func save(to folder: String) throws {}
        }
        for counts in [[1, 2], [5], [5, -1], []] {
            expectTextError("'wrong'", "4 bytes") {
                _ = try TokenStream(texts: ["text"], tokenizer: Wrong(counts: counts))
            }
        }
        let stream = try TokenStream(texts: ["text"], tokenizer: Wrong(counts: [0, 4]))
        #expect(try stream.byteCount(in: 0..<2) == 4)
    }

    // MARK: Streams

    /// Documents of odd text, none without tokens.
    private func documents(_ count: Int, seed: UInt64) -> [String] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in "a" + text(&generator, 3 + generator.integer(below: 60)) }
    }

    private func stream(_ count: Int = 12, seed: UInt64 = 3) throws -> TokenStream {
        let tokenizer = try tokenizer { $0.characterMap = Self.map }
        #expect(tokenizer.beginToken == 1)
        return try TokenStream(texts: documents(count, seed: seed), tokenizer: tokenizer)
    }

    @Test func `The bytes of documents are those of their texts`() throws {
        let stream = try stream()
        let texts = documents(12, seed: 3)
        for (index, text) in texts.enumerated() {
            #expect(try stream.byteCount(in: stream.range(ofDocument: index)) == text.utf8.count)
        }
        #expect(
            try stream.byteCount(in: 0..<stream.tokenCount) == texts.reduce(0) { $0 + $1.utf8.count })
        #expect(try stream.byteCount(in: 0..<1) == 0)
        #expect(try stream.byteCount(in: 5..<5) == 0)
        expectTextError("outside") { _ = try stream.byteCount(in: 0..<(stream.tokenCount + 1)) }
    }

    @Test func `A held-out part has the bytes that the other part lacks`() throws {
        for count in [1, 4, 30] {
            let stream = try stream(count)
            let all = try stream.byteCount(in: 0..<stream.tokenCount)
            let parts = try stream.trainValidationSplit(validationFraction: 0.3, seed: 1)
            let (a, b) = (parts.train, parts.validation)
            let (first, second) = (
                try a.byteCount(in: 0..<a.tokenCount), try b.byteCount(in: 0..<b.tokenCount)
            )
            #expect(try #require(first) + #require(second) == all)
            #expect(try #require(second) > 0)
        }
    }

    /// The bytes of the counted targets of a batch, taken one by one.
    private func bytes(_ batch: Batch, _ count: (Int32) -> Int) -> Int {
        batch.targets.reduce(0) { $0 + ($1 == Batch.ignoredTarget ? 0 : count($1)) }
    }

    @Test(arguments: [Int32?.none, 1_000_000])
    func `The bytes of a window are those of its targets, wherever it cuts`(beginToken: Int32?) throws {
        let stream = try numberedStream([7, 40, 1, 13, 90, 2, 25], beginToken: beginToken)
        let count = { (token: Int32) in token == beginToken ? 0 : numberedByteCount(token) }
        var sources: [any BatchSource] = [
            try ShuffledWindows(stream: stream, rowCount: 3, length: 8, seed: 5),
            try ContiguousWindows(stream: stream, rowCount: 3, length: 8, seed: 5),
            try ContiguousWindows(stream: stream, rowCount: 2, length: 11, seed: 5, cutsAtDocuments: true),
        ]
        if beginToken != nil {
            sources.append(
                try ShuffledWindows(stream: stream, rowCount: 2, length: 9, seed: 5, prependsBeginToken: true)
            )
        }
        for var source in sources {
            for _ in 0..<40 {
                let batch = try source.next()
                #expect(batch.targetByteCount == bytes(batch, count))
            }
        }
        let modes: [EvaluationWindows.Mode] = [
            .carried, .carriedWithinDocuments, .independent(rowCount: 3, overlap: 0),
            .independent(rowCount: 2, overlap: 4),
        ]
        for mode in modes {
            var windows = try EvaluationWindows(stream: stream, length: 9, mode: mode)
            var total = 0
            while let batch = try windows.next() {
                #expect(batch.targetByteCount == bytes(batch, count))
                total += try #require(batch.targetByteCount)
            }
            // Without <bos> the first token is not predicted: that of the stream or that of each document.
            let unpredicted =
                beginToken != nil
                ? 0
                : mode == .carriedWithinDocuments
                    ? stream.starts.dropLast().reduce(0) { $0 + numberedByteCount(Int32($1)) }
                    : numberedByteCount(0)
            let whole = try #require(try stream.byteCount(in: 0..<stream.tokenCount))
            #expect(total == whole - unpredicted)
        }
    }

    @Test func `Text without tokens counts for its document`() throws {
        let tokenizer = try tokenizer()
        for text in ["    a b", "a b       ", "        a         b      ", "a b"] {
            #expect(
                try documentByteCount(text, tokenizer, pieceByteCount: 4) == text.utf8.count, "'\(text)'")
        }
    }

    @Test func `Separators have no bytes`() throws {
        try withTemporaryFolder { folder in
            let path = try put("\u{FEFF}日 a\n\n\n  b ö\n\n\nab\n", at: folder + "/a.txt")
            let tokenizer = try tokenizer { $0.characterMap = Self.map }
            let stream = try Corpus(path: path, separator: .blankLines(2)).tokenStream(tokenizer: tokenizer)
            let counts = try (0..<3).map { try stream.byteCount(in: stream.range(ofDocument: $0)) }
            #expect(counts == [5, 6, 2])
        }
    }

    // MARK: Token files

    /// A corpus of several blocks with tokens of many bytes, of which one is at the seam of two blocks.
    private func largeText() -> String {
        let unknown = String(repeating: "日本語", count: 400)
        let words = String(repeating: "c", count: (1 << 16) - 2)
        return "a" + words + unknown + "ab c" + words + "\u{AD}" + unknown
    }

    @Test func `A token file and a cache keep the bytes of the text`() throws {
        try withTemporaryFolder { folder in
            let tokenizer = try tokenizer { $0.characterMap = Self.map }
            try put(largeText(), at: folder + "/1/a.txt")
            try put(Gzip.compress(Data("  A日\n".utf8)), at: folder + "/1/b.txt.gz")
            let corpus = try Corpus(path: folder + "/1")
            let expected = try corpus.tokenStream(tokenizer: tokenizer)
            let byteCount = largeText().utf8.count + 7
            #expect(try expected.byteCount(in: 0..<expected.tokenCount) == byteCount)
            try corpus.writeTokenFile(tokenizer: tokenizer, to: folder + "/a.rtok")
            let file = try TokenFile(path: folder + "/a.rtok")
            try file.verify()
            #expect(file.textByteCount == byteCount)
            try Corpus(path: folder + "/a.rtok").writeTokenFile(tokenizer: tokenizer, to: folder + "/b.rtok")
            let others = [
                try Corpus(path: folder + "/a.rtok").tokenStream(tokenizer: tokenizer),
                try Corpus(path: folder + "/b.rtok").tokenStream(tokenizer: tokenizer),
                try corpus.tokenStream(tokenizer: tokenizer, cache: folder + "/cache"),
                try corpus.tokenStream(tokenizer: tokenizer, cache: folder + "/cache"),
            ]
            var generator = SeededGenerator(seed: 2)
            for other in others {
                #expect(other.fingerprint == expected.fingerprint)
                #expect(try other.allTokens == expected.allTokens)
                #expect(try other.byteCount(in: 0..<other.tokenCount) == byteCount)
                for round in 0..<200 {
                    let start =
                        round < 100
                        ? generator.integer(below: other.tokenCount) : (1 << 16) - 50 + round - 100
                    let range = start..<min(other.tokenCount, start + 1 + generator.integer(below: 300))
                    #expect(try other.byteCount(in: range) == expected.byteCount(in: range))
                }
            }
            let (a, b) = (
                try Data(contentsOf: URL(fileURLWithPath: folder + "/a.rtok")),
                try Data(contentsOf: URL(fileURLWithPath: folder + "/b.rtok"))
            )
            #expect(a == b)
        }
    }

    @Test func `Damaged byte counts are found when they are read or verified`() throws {
        try withTemporaryFolder { folder in
            let text = try put("ab cab " + String(repeating: "日", count: 200) + " abc", at: folder + "/a.txt")
            let path = folder + "/a.rtok"
            let tokenizer = try tokenizer()
            try Corpus(path: text).writeTokenFile(tokenizer: tokenizer, to: path)
            let good = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
            let file = try TokenFile(path: path)
            #expect(file.bytesPerToken == 1)
            for index in 0..<file.tokenCount {
                var bytes = good
                bytes[16 + file.tokenCount + index] ^= 0xFF
                try put(Data(bytes), at: path)
                #expect(throws: (any Error).self) { try TokenFile(path: path).verify() }
                let stream = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
                _ = try? stream.byteCount(in: 0..<stream.tokenCount)
            }
            var bytes = good
            bytes[16 + file.tokenCount] = 255
            try put(Data(bytes), at: path)
            let stream = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
            expectTextError(path, "byte counts", "make the token file again") {
                _ = try stream.byteCount(in: 0..<4)
            }
        }
    }

    /// The same file in the format of version 1, which had no byte counts.
    private func firstVersion(_ file: TokenFile, tokens: [Int32], starts: [Int]) -> Data {
        func append<Number: FixedWidthInteger>(_ number: Number, to bytes: inout [UInt8]) {
            withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
        }
        var lead = Array("RTOK".utf8)
        for number in [1, UInt32(file.bytesPerToken), 0] { append(number, to: &lead) }
        var data: [UInt8] = []
        for token in tokens {
            TokenWidth(rawValue: file.bytesPerToken)?.store(token, into: &data)
        }
        var table: [UInt8] = []
        for start in starts { append(UInt64(start), to: &table) }
        table += file.tokenizerIdentity.utf8
        var trailer: [UInt8] = []
        for number in [tokens.count, starts.count, file.vocabularySize] {
            append(UInt64(number), to: &trailer)
        }
        append(UInt32(file.tokenizerIdentity.utf8.count), to: &trailer)
        append(Checksum.crc32(Data(data)), to: &trailer)
        append(Checksum.crc32(Data(table)), to: &trailer)
        append(file.sourceSignature, to: &trailer)
        append(UInt64(0), to: &trailer)
        append(UInt64(0), to: &trailer)
        append(Checksum.crc32(Data(lead + trailer)), to: &trailer)
        let padding = [UInt8](repeating: 0, count: (8 - data.count % 8) % 8)
        return Data(lead + data + padding + table + trailer + Array("KOTR".utf8))
    }

    @Test func `Token files of version 1 are read, and say that they have no byte counts`() throws {
        try withTemporaryFolder { folder in
            let kinds: [any Tokenizer] = [ByteTokenizer(), SentinelByteTokenizer(), try tokenizer()]
            for tokenizer in kinds {
                let text = try put("ab 日 c", at: folder + "/a.txt")
                let (path, cache) = (folder + "/a.rtok", folder + "/cache")
                try Corpus(path: text).writeTokenFile(tokenizer: tokenizer, to: path)
                let new = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
                _ = try Corpus(path: text).tokenStream(tokenizer: tokenizer, cache: cache)
                for name in [path, cache] {
                    let file = try TokenFile(path: name)
                    let tokens = try new.tokens(in: new.prefixCount..<new.tokenCount)
                    try put(firstVersion(file, tokens: tokens, starts: [0]), at: name)
                    try TokenFile(path: name).verify()
                    #expect(try TokenFile(path: name).textByteCount == nil)
                }
                let old = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
                // A run on the old file resumes on the new one, and the other way round.
                #expect(old.fingerprint == new.fingerprint)
                #expect(try old.allTokens == new.allTokens)
                let isKnown = tokenizer.isBytewise
                #expect(try old.byteCount(in: 0..<old.tokenCount) == (isKnown ? 8 : nil))
                #expect(old.byteCountWarnings.count == (isKnown ? 0 : 1))
                #expect(old.byteCountWarnings.allSatisfy { $0.contains("'\(path)'") })
                var windows = try EvaluationWindows(stream: old, length: 4)
                #expect(try windows.next()?.targetByteCount == (isKnown ? 4 : nil))
                // An old cache is renewed.
                let cached = try Corpus(path: text).tokenStream(tokenizer: tokenizer, cache: cache)
                #expect(try cached.byteCount(in: 0..<cached.tokenCount) == 8)
                // A file made of an old one does not know more.
                try Corpus(paths: [path, text]).writeTokenFile(tokenizer: tokenizer, to: folder + "/b.rtok")
                let copy = try TokenFile(path: folder + "/b.rtok")
                try copy.verify()
                #expect(copy.textByteCount == (isKnown ? 16 : nil))
                let both = try Corpus(paths: [path, text]).tokenStream(tokenizer: tokenizer)
                #expect(try both.byteCount(in: 0..<both.tokenCount) == (isKnown ? 16 : nil))
                #expect(try both.byteCount(in: both.range(ofDocument: 1)) == 8)
            }
        }
    }
}
