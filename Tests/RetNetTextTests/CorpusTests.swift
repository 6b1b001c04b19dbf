import Foundation
import RetNetStorage
import RetNetStories
import Testing

@testable import RetNetText

@Suite struct CorpusTests {
    let tokenizer = ByteTokenizer()

    private func documents(_ stream: TokenStream) throws -> [String] {
        try (0..<stream.documentCount).map { index in
            try tokenizer.decode(stream.tokens(in: stream.range(ofDocument: index)))
        }
    }

    @Test func `plain, compressed and token files of a folder become documents in the order of their paths`()
        throws
    {
        try withTemporaryFolder { folder in
            try put("second", at: folder + "/b.txt")
            try put(Gzip.compress(Data("first".utf8)), at: folder + "/a/x.txt.gz")
            try put("third", at: folder + "/c.MD")
            try put("no", at: folder + "/d.csv")
            try put(Gzip.compress(Data("no".utf8)), at: folder + "/d.csv.gz")
            try put("no", at: folder + "/.hidden/e.txt")
            try put("", at: folder + "/empty.txt")
            try put("tokens", at: folder + "/t")
            try Corpus(path: folder + "/t").writeTokenFile(tokenizer: tokenizer, to: folder + "/t.rtok")
            let corpus = try Corpus(path: folder)
            #expect(corpus.files.map(\.content) == [.compressedText, .text, .text, .text, .tokens])
            let stream = try corpus.tokenStream(tokenizer: tokenizer)
            #expect(try documents(stream) == ["first", "second", "third", "tokens"])
            #expect(try stream.allTokens.filter { $0 == 255 }.count == 4)
        }
    }

    @Test func `words are the parts between white space, as Python divides each document`() throws {
        try withTemporaryFolder { folder in
            // len(re.split(r"\s+", text)) of each.
            for (text, count) in [
                ("one two", 2), (" one\n\ntwo\t", 4), ("a\u{2003}b\u{00A0}c\u{3000}\u{2028}d\u{1680}e", 5),
                ("naïve\u{200B}x â €", 3), ("\u{1C}\u{85}x", 2), ("", 0), (" ", 2),
            ] {
                let path = try put(text, at: folder + "/a.txt")
                #expect(try Corpus(path: path).wordCount() == count, "\(text)")
            }
            let long = String(repeating: "ä\u{2009}b ", count: 700_000)
            let path = try put(Gzip.compress(Data(long.utf8)), at: folder + "/a.txt")
            #expect(try Corpus(path: path).wordCount() == 1_400_001)
            let stories = try put("a b\n\n\n c\nd \n\n", at: folder + "/b.txt")
            #expect(try Corpus(path: stories, separator: .blankLines(1)).wordCount() == 5)
            try Corpus(path: stories).writeTokenFile(tokenizer: tokenizer, to: folder + "/t.rtok")
            #expect(try Corpus(paths: [stories, folder + "/t.rtok"]).wordCount() == nil)
        }
    }

    @Test func `a byte-order mark is skipped in plain and compressed files`() throws {
        try withTemporaryFolder { folder in
            let data = Data([0xEF, 0xBB, 0xBF] + Array("text".utf8))
            try put(data, at: folder + "/a.txt")
            try put(Gzip.compress(data), at: folder + "/b.gz")
            for separator in [DocumentSeparator.wholeFile, .blankLines(1)] {
                let corpus = try Corpus(path: folder, separator: separator)
                #expect(try documents(corpus.tokenStream(tokenizer: tokenizer)) == ["text", "text"])
            }
        }
    }

    @Test func `text that is not UTF-8 is refused with its path and byte`() throws {
        try withTemporaryFolder { folder in
            let data = Data(Array("Grüße".utf8) + [0xFF, 0x41])
            let plain = try put(data, at: folder + "/a.txt")
            let compressed = try put(Gzip.compress(data), at: folder + "/b.gz")
            for path in [plain, compressed] {
                expectTextError(path, "byte 7") {
                    _ = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
                }
            }
            expectTextError("byte 7") {
                _ = try Corpus(path: plain, separator: .blankLines(1)).tokenStream(tokenizer: tokenizer)
            }
            expectTextError("byte 7") {
                try Corpus(path: plain).writeTokenFile(tokenizer: tokenizer, to: folder + "/x.rtok")
            }
            #expect(!FileManager.default.fileExists(atPath: folder + "/x.rtok"))
        }
    }

    @Test func `linked folders are read, and what is left out of a folder is named`() throws {
        try withTemporaryFolder { folder in
            try put("one", at: folder + "/data/a.txt")
            try put("two", at: folder + "/elsewhere/b.txt")
            let files = FileManager.default
            try files.createSymbolicLink(
                atPath: folder + "/data/more", withDestinationPath: "../elsewhere")
            try files.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "data")
            let stream = try Corpus(path: folder + "/link").tokenStream(tokenizer: tokenizer)
            #expect(try documents(stream) == ["one", "two"])
            #expect(try Corpus.remarks(on: [folder + "/link", folder + "/data/a.txt"]) == [])
            try files.createSymbolicLink(atPath: folder + "/elsewhere/up", withDestinationPath: "../data")
            for name in ["1", "2", "3", "4"] { try put("no", at: folder + "/data/\(name).csv") }
            let remarks = try Corpus.remarks(on: [folder + "/link"])
            #expect(remarks.count == 2)
            #expect(remarks.first?.hasSuffix("'1.csv', '2.csv', '3.csv' and 1 more") == true)
            #expect(remarks.last?.contains("lead back") == true)
            #expect(remarks.last?.hasSuffix("'more/up'") == true)
        }
    }

    @Test(arguments: [false, true])
    func `text may come from a pipe, plain or compressed, and is encoded as that of a file`(
        isCompressed: Bool
    ) throws {
        try withTemporaryFolder { folder in
            let text = String(repeating: "Grüße.\n\n", count: 30_000)
            let data = isCompressed ? Gzip.compress(Data(text.utf8)) : Data(text.utf8)
            let expected = try Corpus(path: put(data, at: folder + "/a"), separator: .blankLines(1))
                .tokenStream(tokenizer: tokenizer)
            let pipe = folder + "/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            Thread { try? data.write(to: URL(fileURLWithPath: pipe)) }.start()
            let corpus = try Corpus(path: pipe, separator: .blankLines(1))
            #expect(corpus.byteCount == data.count)
            // Twice, from the copy; a cache would not know whether the pipe gives the same again.
            for cache in [nil, folder + "/cache"] {
                let stream = try corpus.tokenStream(tokenizer: tokenizer, cache: cache)
                #expect(stream.fingerprint == expected.fingerprint)
                #expect(stream.documentCount == 30_000)
            }
            #expect(!FileManager.default.fileExists(atPath: folder + "/cache"))
            #expect(try Corpus(path: "/dev/null").byteCount == 0)
        }
    }

    @Test func `large texts become tokens in a file that leaves no trace`() throws {
        try withTemporaryFolder { folder in
            let corpus = try Corpus(
                paths: [
                    put(String(repeating: "Grüße.\n\n", count: 300), at: folder + "/a.txt"),
                    put(
                        Gzip.compress(Data(String(repeating: "more\n", count: 90).utf8)), at: folder + "/b.gz"
                    ),
                ], separator: .blankLines(1))
            func leftovers() throws -> [String] {
                try FileManager.default.contentsOfDirectory(
                    atPath: FileManager.default.temporaryDirectory.path
                )
                .filter { $0.hasPrefix("retnet-") && $0.hasSuffix(".rtok") }
            }
            let before = try leftovers()
            let tokenizer = OffsetTokenizer(offset: 3)
            let expected = try corpus.tokenStream(tokenizer: tokenizer)
            for limit in [0, 1000, 1 << 20] {
                let stream = try corpus.tokenStream(tokenizer: tokenizer, inMemoryUpTo: limit)
                #expect(stream.fingerprint == expected.fingerprint && stream.documentCount == 301)
                #expect(try stream.allTokens == expected.allTokens)
            }
            #expect(try Set(leftovers()).isSubset(of: before))
        }
    }

    @Test func `a token file is not written over one that exists`() throws {
        try withTemporaryFolder { folder in
            let corpus = try Corpus(path: put("text", at: folder + "/a.txt"))
            let path = folder + "/a.rtok"
            try corpus.writeTokenFile(tokenizer: tokenizer, to: path, replacing: false)
            #expect(throws: StorageError.alreadyExists(path: path)) {
                try corpus.writeTokenFile(tokenizer: tokenizer, to: path, replacing: false)
            }
            try corpus.writeTokenFile(tokenizer: tokenizer, to: path)
        }
    }

    @Test func `nothing to read is an error`() throws {
        try withTemporaryFolder { folder in
            expectTextError("no .txt") { _ = try Corpus(path: folder) }
            expectTextError("at least one file or folder") { _ = try Corpus(paths: []) }
            let path = try put("", at: folder + "/a.txt")
            expectTextError("no text in", path) {
                _ = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
            }
            expectTextError("no text in", path) {
                try Corpus(path: path).writeTokenFile(tokenizer: tokenizer, to: folder + "/x.rtok")
            }
            #expect(throws: StorageError.self) { try Corpus(path: folder + "/missing") }
            expectTextError("empty") { _ = try Corpus(path: path, separator: .text("")) }
            expectTextError("0 blank lines") { _ = try Corpus(path: path, separator: .blankLines(0)) }
        }
    }

    @Test func `text, its compressed form, its token file and its cache are the same stream`() throws {
        try withTemporaryFolder { folder in
            let text = "One.\n\nTwo, Grüße.\n\n\nThree.\n"
            try put(text, at: folder + "/1/a.txt")
            try put("More", at: folder + "/1/b.txt")
            try put(Gzip.compress(Data(text.utf8)), at: folder + "/2/a.txt.gz")
            try put(Gzip.compress(Data("More".utf8)), at: folder + "/2/b.txt.gz")
            for separator in [DocumentSeparator.wholeFile, .blankLines(1), .text(".")] {
                let plain = try Corpus(path: folder + "/1", separator: separator)
                let expected = try plain.tokenStream(tokenizer: tokenizer)
                try plain.writeTokenFile(tokenizer: tokenizer, to: folder + "/c.rtok")
                let cache = folder + "/cache-\(separator.identity)"
                let others = [
                    try Corpus(path: folder + "/2", separator: separator).tokenStream(tokenizer: tokenizer),
                    try Corpus(path: folder + "/c.rtok").tokenStream(tokenizer: tokenizer),
                    try plain.tokenStream(tokenizer: tokenizer, cache: cache),
                    try plain.tokenStream(tokenizer: tokenizer, cache: cache),
                ]
                for other in others {
                    #expect(other.fingerprint == expected.fingerprint)
                    #expect(other.starts == expected.starts)
                    #expect(try other.allTokens == expected.allTokens)
                }
            }
        }
    }

    @Test func `a cache is renewed when the text changes and never replaces another file`() throws {
        try withTemporaryFolder { folder in
            let path = try put("old", at: folder + "/a.txt")
            let cache = folder + "/cache"
            let old = try Corpus(path: path).tokenStream(tokenizer: tokenizer, cache: cache)
            try put("newer", at: path)
            let new = try Corpus(path: path).tokenStream(tokenizer: tokenizer, cache: cache)
            #expect(try documents(old) == ["old"])
            #expect(try documents(new) == ["newer"])
            let other = OffsetTokenizer()
            #expect(
                try Corpus(path: path).tokenStream(tokenizer: other, cache: cache).vocabularySize == 1_000)
            expectTextError("other content") {
                _ = try Corpus(path: path).tokenStream(tokenizer: tokenizer, cache: path)
            }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "newer")
        }
    }

    @Test func `a large compressed document gives the same tokens as a plain one`() throws {
        try withTemporaryFolder { folder in
            var generator = StoryGenerator(seed: 1)
            let text = String(repeating: generator.corpus(byteCount: 60_000).text, count: 80)
            let plain = try put(text, at: folder + "/a.txt")
            let compressed = try put(Gzip.compress(Data(text.utf8)), at: folder + "/a.gz")
            let first = try Corpus(path: plain).tokenStream(tokenizer: tokenizer)
            let second = try Corpus(path: compressed).tokenStream(tokenizer: tokenizer)
            #expect(first.tokenCount == text.utf8.count + 1)
            #expect(first.fingerprint == second.fingerprint)
            // Around the seam of two chunks in memory.
            let range = ((4 << 20) - 50)..<((4 << 20) + 50)
            #expect(try first.tokens(in: range) == second.tokens(in: range))
        }
    }

    @Test(arguments: ["one line\nand another\n\nlast", "without lines: Grüße, 世界!", ""])
    func `long documents are encoded in pieces that depend on the text alone`(text: String) throws {
        func encode(readByteCount: Int) throws -> [Int32] {
            let collector = TokenCollector(vocabularySize: 1_000, path: "text", isBytewise: false)
            // Each piece is marked by the tokenizer, so that the cuts show.
            let encoder = DocumentEncoder(tokenizer: MarkingTokenizer(), sink: collector, pieceByteCount: 12)
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: readByteCount) {
                let piece = Array(bytes[start..<min(start + readByteCount, bytes.count)])
                try piece.withUnsafeBytes { try encoder.consume($0) }
            }
            try encoder.endDocument()
            guard let (source, _) = collector.finish() else { return [] }
            return try [Int32](unsafeUninitializedCapacity: source.tokenCount) { buffer, count in
                let target = try #require(buffer.baseAddress)
                try source.copy(0..<source.tokenCount, into: target, vocabularySize: 1_000)
                count = source.tokenCount
            }
        }
        let whole = try encode(readByteCount: 1_000)
        #expect(whole.filter { $0 < 256 } == text.utf8.map { Int32($0) })
        #expect(try encode(readByteCount: 1) == whole)
        #expect(try encode(readByteCount: 5) == whole)
    }
}

/// A tokenizer that puts a mark before everything it encodes.
private struct MarkingTokenizer: Tokenizer {
    var vocabularySize: Int { 1_000 }
    var beginToken: Int32? { nil }
    var endToken: Int32? { nil }
    var paddingToken: Int32? { nil }
    var identity: String { "marking" }

    func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] { [999] + bytes.map { Int32($0) } }
    func bytes(of token: Int32) -> [UInt8] { [] }
    func save(to folder: String) throws {}
}
