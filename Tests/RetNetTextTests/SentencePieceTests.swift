import Foundation
import Testing

@testable import RetNetText

/// Small models made here; the expected tokens and texts are those of the reference library for the same files.
@Suite struct SentencePieceTests {
    private static let unigram: [(String, Float)] = [
        ("▁", -3), ("a", -2), ("b", -2), ("ab", -4), ("c", -2.5), ("bc", -4.5), ("abc", -6.5), ("▁a", -3.5),
    ]
    private static let bytePairs: [(String, Float)] = [
        ("▁", -9), ("a", -8), ("b", -7), ("c", -6), ("ab", -1), ("bc", -1), ("abc", -2), ("▁a", -0.5),
        ("aa", -3),
    ]

    private func tokenizer(
        _ pieces: [(String, Float)], sentinelCount: Int = 0,
        _ change: (inout SentencePieceWriter) -> Void = { _ in }
    ) throws -> SentencePieceTokenizer {
        var writer = SentencePieceWriter.pieces(pieces)
        change(&writer)
        return try SentencePieceTokenizer(bytes: writer.bytes, sentinelCount: sentinelCount)
    }

    private func expect(
        _ tokenizer: SentencePieceTokenizer, _ cases: [(String, [Int32], String)],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (text, tokens, decoded) in cases {
            #expect(
                tokenizer.encode(text) == tokens, "\(text.debugDescription)", sourceLocation: sourceLocation)
            #expect(tokenizer.decode(tokens) == decoded, sourceLocation: sourceLocation)
        }
    }

    @Test func `A unigram model takes the best path, and of equal ones that of the earlier start`() throws {
        expect(
            try tokenizer(Self.unigram),
            [
                ("ab", [10, 5], "ab"), ("abc", [10, 8], "abc"), ("cab ab", [3, 7, 6, 10, 5], "cab ab"),
                ("  a  b ", [10, 3, 5], "a b"), ("axyb", [10, 0, 5], "a ⁇ b"), ("", [], ""),
                ("a\n", [10, 0], "a ⁇ "), ("é日", [3, 0], " ⁇ "),
            ])
        let unused = try tokenizer(Self.unigram) { $0.pieces.append(("cab", -0.1, .unused)) }
        expect(unused, [("cab", [3, 7, 6], "cab")])
    }

    @Test func `User-defined symbols are kept whole`() throws {
        let unigram = try tokenizer(Self.unigram) {
            $0.pieces += [("xy", 0, .userDefined), ("bca", 0, .userDefined), ("<tag>", 0, .userDefined)]
        }
        expect(
            unigram,
            [
                ("axyb", [10, 11, 5], "axyb"), ("abcab", [10, 12, 5], "abcab"),
                ("a<tag> b", [10, 13, 3, 5], "a<tag> b"), ("xyxy <tag>", [3, 11, 11, 3, 13], "xyxy <tag>"),
            ])
        let bytePairs = try tokenizer(Self.bytePairs) {
            $0.type = 2
            $0.pieces.append(("bca", 0, .userDefined))
        }
        expect(bytePairs, [("abcab", [10, 12, 5], "abcab")])
    }

    @Test func `A byte-pair model merges the best pair first, and of equal ones the leftmost`() throws {
        expect(
            try tokenizer(Self.bytePairs) { $0.type = 2 },
            [
                ("abc", [10, 8], "abc"), ("xabc", [3, 0, 9], " ⁇ abc"), ("aaaa", [10, 11, 4], "aaaa"),
                ("bcbc", [3, 8, 8], "bcbc"), ("b abab", [3, 5, 10, 5, 7], "b abab"),
                ("日a", [3, 0, 4], " ⁇ a"),
                ("<s>", [3, 0], " ⁇ "),
            ])
    }

    @Test func `Unused pieces help merging and are taken apart again`() throws {
        let tokenizer = try tokenizer(Self.bytePairs) {
            $0.type = 2
            $0.pieces += [("cc", -0.2, .unused), ("ccab", -0.3, .normal)]
        }
        expect(
            tokenizer,
            [
                ("cc", [3, 6, 6], "cc"), ("ccab", [3, 13], "ccab"),
                ("xcc xab", [3, 0, 6, 6, 3, 0, 7], " ⁇ cc  ⁇ ab"),
            ])
    }

    @Test func `Unknown characters are spelled in bytes where the model has them`() throws {
        let tokenizer = try tokenizer(Self.bytePairs) {
            $0.type = 2
            $0.addsDummyPrefix = false
            $0.removesExtraSpaces = false
            $0.addBytes()
        }
        expect(
            tokenizer,
            [
                ("é a", [207, 181, 10], "é a"), ("  a\n\n", [3, 10, 22, 22], "  a\n\n"),
                ("日b", [242, 163, 177, 5], "日b"), (" ", [3], " "),
            ])
        #expect(tokenizer.decode([242, 163]) == "\u{FFFD}\u{FFFD}")
        #expect(tokenizer.decode([242, 163, 4]) == "\u{FFFD}\u{FFFD}a")
        #expect(tokenizer.decode([3, 4]) == " a")
        #expect(tokenizer.bytes(of: 242) == [0xE6] && tokenizer.bytes(of: 10) == Array(" a".utf8))
        var stream = UTF8StreamDecoder()
        #expect([242, 163, 177].map { stream.append(tokenizer.bytes(of: $0)) } == ["", "", "日"])
    }

    @Test func `Decoding drops the space that encoding put in front`() throws {
        let kept = try tokenizer(Self.bytePairs) {
            $0.type = 2
            $0.removesExtraSpaces = false
            $0.addBytes()
        }
        #expect(
            [[3, 3, 4], [1, 3, 4], [77, 10], [3, 1, 10], [10, 10]].map { kept.decode($0) }
                == [" a", "a", "A a", " a", "a a"])
        let collapsed = try tokenizer(Self.unigram)
        #expect(
            [[3, 3, 4], [1, 3, 4], [0, 10], [10, 10], [3, 1, 10]].map { collapsed.decode($0) }
                == ["a", "a", " ⁇  a", "a a", "a"])
        #expect(collapsed.decode([-1, 10, 9_999, Int32.max, Int32.min]) == "a")
    }

    @Test func `Long texts without spaces are merged in parts that no piece crosses`() throws {
        var writer = SentencePieceWriter.pieces(Self.bytePairs + [("d", -1), ("é", -1)])
        writer.type = 2
        writer.addBytes()
        let model = try SentencePieceModel(writer.bytes)
        let table = try PieceTable(model, bytes: writer.bytes)
        func tokens(_ text: String, _ limit: Int) -> [Int32] {
            var collector = PieceCollector(table, capacity: 0, alignment: TextAlignment(sourceByteCount: 0))
            Array(text.utf8).withUnsafeBufferPointer {
                BytePairSegmenter(table: table, maximumPartByteCount: limit).segment($0, into: &collector)
            }
            return collector.tokens
        }
        var generator = SeededGenerator(seed: 7, stream: 1)
        for _ in 0..<200 {
            // After at most five letters of pieces, one that no piece joins to a neighbor.
            let text = (0..<40).map { _ in
                let letters = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                    "abc".randomElement(using: &generator).map(String.init) ?? ""
                }
                return letters.joined() + (["d", "é", "日", "▁"].randomElement(using: &generator) ?? "d")
            }.joined()
            #expect(tokens(text, 16) == tokens(text, 1 << 20), "\(text)")
        }
        // Without such a place the limit decides; nothing is lost, and no character is cut.
        #expect(
            tokens(String(repeating: "a", count: 100), 16).count
                > tokens(String(repeating: "a", count: 100), 1_000).count)
        for limit in [1, 2, 3, 16] {
            let found = tokens("aaéabc日abcab▁aaaaaa日日", limit).flatMap { Array(table.surface($0)) }
            #expect(String(decoding: found, as: UTF8.self) == "aaéabc日abcab aaaaaa日日")
        }
    }

    @Test func `Windows of a unigram model end where no piece crosses, and change nothing`() throws {
        let writer = SentencePieceWriter.pieces(Self.unigram + [("d", -1.3), ("é", -0.7), ("cc", -4.75)])
        let table = try PieceTable(SentencePieceModel(writer.bytes), bytes: writer.bytes)
        func tokens(_ text: String, _ size: Int, _ largest: Int) -> [Int32] {
            var collector = PieceCollector(table, capacity: 0, alignment: TextAlignment(sourceByteCount: 0))
            Array(text.utf8).withUnsafeBufferPointer {
                UnigramSegmenter(table, windowByteCount: size, largestWindowByteCount: largest)
                    .segment($0, into: &collector)
            }
            return collector.tokens
        }
        var generator = SeededGenerator(seed: 8, stream: 1)
        for _ in 0..<100 {
            let text = (0..<2_000).map { _ in
                ["a", "b", "c", "ab", "abc", "d", "é", "日", "▁"].randomElement(using: &generator) ?? "d"
            }.joined()
            let whole = tokens(text, .max, .max - 100)
            for size in [1, 2, 7, 64] { #expect(tokens(text, size, 1 << 20) == whole) }
        }
        // Without such a place the largest size decides; nothing is lost, and no character is cut.
        for largest in [1, 2, 3, 16] {
            let found = tokens("aaéabcdcccccccccccab▁aaaaaadd", 1, largest).flatMap {
                Array(table.surface($0))
            }
            #expect(String(decoding: found, as: UTF8.self) == "aaéabcdcccccccccccab aaaaaadd")
        }
    }

    @Test func `A sentinel before a combining accent or a joiner is still one`() throws {
        let tokenizer = SentinelByteTokenizer()
        for mark in ["\u{301}", "\u{200D}", "\u{FE0F}", "\u{1F3FD}"] {
            let tokens = tokenizer.encodeWithSentinels("a<extra_id_0>\(mark)<extra_id_1>")
            #expect(tokens == tokenizer.encode("a") + [383] + tokenizer.encode(mark) + [382])
        }
    }

    @Test func `Word and character models cut as they say`() throws {
        let words = try tokenizer([("▁a", -1), ("▁ab", -1), ("▁", -1)]) { $0.type = 3 }
        expect(words, [("a ab x y a", [3, 4, 0, 3], "a ab ⁇  a"), ("a  b", [3, 0], "a ⁇ ")])
        let characters = try tokenizer([("▁", -1), ("a", -1)]) {
            $0.type = 4
            $0.pieces.append(("bc", -1, .userDefined))
        }
        expect(characters, [("a bca xyé a", [3, 4, 3, 5, 4, 3, 0, 3, 4], "a bca  ⁇  a")])
    }

    @Test func `Characters are replaced by the longest rule of the map`() throws {
        let tokenizer = try tokenizer(Self.unigram) {
            $0.characterMap = [
                ("A", "a"), ("ＡＢ", "ab"), ("ö", "o"), ("o\u{308}", "c"), ("\t", " "), ("\u{AD}", ""),
                ("ß", "  b"),
            ]
        }
        expect(
            tokenizer,
            [
                ("A\tA", [10, 10], "a a"), ("ＡＢc", [10, 8], "abc"), ("o\u{308}b", [3, 7, 5], "cb"),
                ("\u{AD}", [], ""), ("a\u{AD} b", [10, 3, 5], "a b"), ("aßb", [10, 3, 3, 5, 5], "a  bb"),
                ("ß", [3, 5], "b"), ("öa", [3, 0, 4], " ⁇ a"),
            ])
    }

    @Test func `Spaces are kept, collapsed or put last as the model says`() throws {
        let last = try tokenizer([("▁", -3), ("a", -2), ("a▁", -2.5), ("b", -2)]) { $0.putsSpacesLast = true }
        expect(last, [("a b a", [5, 6, 3, 5], "a b a ")])
        let kept = try tokenizer(Self.unigram) { $0.removesExtraSpaces = false }
        expect(kept, [("  a  b ", [3, 3, 10, 3, 3, 5, 3], "  a  b ")])
        let surface = try tokenizer(Self.unigram) { $0.unknownSurface = "?" }
        expect(surface, [("axb", [10, 0, 5], "a?b")])
    }

    @Test func `Invalid bytes are unknown, one for one`() throws {
        let tokenizer = try tokenizer(Self.unigram)
        func encode(_ bytes: [UInt8]) -> [Int32] { bytes.withUnsafeBytes { tokenizer.encode(utf8: $0) } }
        #expect(encode([0x61, 0xFF, 0x62, 0xE6, 0x97]) == [10, 0, 5, 0])
        #expect(encode([0x61, 0xC3]) == [10, 0])
    }

    // MARK: Sentinels

    @Test func `Sentinels are added at the top, the first of them last`() throws {
        let tokenizer = try tokenizer(Self.unigram, sentinelCount: 100) {
            $0.pieces.insert(("<pad>", 0, .control), at: 0)
        }
        #expect(tokenizer.vocabularySize == 112)
        #expect(tokenizer.sentinels == (0..<100).map { 111 - $0 })
        #expect(tokenizer.paddingToken == 0 && tokenizer.endToken == 3 && tokenizer.beginToken == 2)
        #expect(tokenizer.bytes(of: 111).isEmpty)
        let text = "ab <extra_id_0> a<extra_id_99>"
        let tokens = tokenizer.encodeWithSentinels(text)
        #expect(tokens == [11, 6, 111, 11, 12])
        let located = tokenizer.encodeWithSentinelOffsets(text)
        #expect(located.tokens == tokens && located.ranges.map(\.lowerBound) == [0, 1, 3, 15, 17])
        #expect(located.ranges.map(\.upperBound) == [1, 3, 15, 17, 30])
        #expect(tokenizer.decodeWithSentinels(tokens + [3]) == "ab<extra_id_0> a<extra_id_99>")
        #expect(tokenizer.decode(tokens) == "ab a")
        // Text alone never makes sentinels, and names of others are text.
        #expect(tokenizer.encode("<extra_id_0>").allSatisfy { $0 < 12 })
        #expect(tokenizer.encodeWithSentinels("<extra_id_100>").allSatisfy { $0 < 12 })
        #expect(tokenizer.encodeWithSentinels("<extra_id_00><extra_id_1").allSatisfy { $0 < 12 })
    }

    @Test func `Sentinels of the file are found`() throws {
        let tokenizer = try tokenizer(Self.unigram, sentinelCount: 100) {
            $0.pieces += [
                ("▁<extra_id_1>", 0, .userDefined), ("▁<extra_id_0>", 0, .userDefined),
                ("<extra_id_x>", 0, .userDefined),
            ]
        }
        #expect(tokenizer.sentinels == [12, 11] && tokenizer.vocabularySize == 14)
        #expect(!tokenizer.identity.contains("+"))
    }

    @Test func `Bytes with sentinels write them by the same names`() {
        let tokenizer = SentinelByteTokenizer()
        let tokens = tokenizer.encodeWithSentinels("a<extra_id_0>b<extra_id_1>")
        #expect(tokens == [100, 383, 101, 382])
        #expect(tokenizer.decodeWithSentinels(tokens + [1, 0]) == "a<extra_id_0>b<extra_id_1>")
        #expect(tokenizer.decodeWithSentinels([100]) == "a")
    }

    // MARK: Folders

    @Test(arguments: [0, 100]) func `A saved tokenizer is loaded again`(sentinelCount: Int) throws {
        let tokenizer = try tokenizer(Self.unigram, sentinelCount: sentinelCount)
        try withTemporaryFolder { folder in
            try tokenizer.save(to: folder)
            let loaded = try TokenizerLoader.load(folder: folder)
            #expect(loaded.identity == tokenizer.identity)
            #expect(loaded.vocabularySize == 11 + sentinelCount)
            #expect(loaded.encode("cab ab") == [3, 7, 6, 10, 5])
            let name = sentinelCount > 0 ? "spiece.model" : "tokenizer.model"
            #expect(FileManager.default.fileExists(atPath: folder + "/" + name))
            #expect(try TokenizerLoader.load(named: folder + "/" + name).vocabularySize == 11)
            #expect(try TokenizerLoader.load(named: folder).identity == tokenizer.identity)
            // Another model file under the same name is noticed.
            try put(Data(SentencePieceWriter.pieces([("z", -1)]).bytes), at: folder + "/" + name)
            expectTextError("identity is", "vocab_size") { _ = try TokenizerLoader.load(folder: folder) }
            try FileManager.default.removeItem(atPath: folder + "/" + name)
            expectTextError("is missing") { _ = try TokenizerLoader.load(folder: folder) }
        }
    }

    @Test(arguments: [
        ("{\"model_type\": \"t5\"}", nil, 111), ("{\"model_type\": \"llama\"}", nil, 11),
        ("{\"model_type\": \"t5\"}", "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": 7}", 18),
        ("{}", "{\"tokenizer_class\": \"T5TokenizerFast\"}", 111),
        ("{}", "{\"tokenizer_class\": \"LlamaTokenizer\"}", 11),
        ("{\"model_type\": \"t5\"}", "{}", 111), ("{}", "{\"tokenizer_class\": \"TokenizersBackend\"}", 11),
        ("{\"model_type\": \"t5\"}", "{\"tokenizer_class\": \"TokenizersBackend\"}", 111),
    ])
    func `Folders of other projects are read`(model: String, tokenizer: String?, size: Int) throws {
        try withTemporaryFolder { folder in
            try put(model, at: folder + "/config.json")
            if let tokenizer { try put(tokenizer, at: folder + "/tokenizer_config.json") }
            try put(
                Data(SentencePieceWriter.pieces(Self.unigram).bytes), at: folder + "/spiece.model")
            let loaded = try TokenizerLoader.load(folder: folder)
            #expect(loaded.vocabularySize == size)
            // Transformers' general class adds what the file says, and no more.
            #expect(loaded.textStart.isEmpty == (size != 11 || tokenizer?.contains("Backend") == true))
            try put("{\"tokenizer_class\": \"XLMRobertaTokenizer\"}", at: folder + "/tokenizer_config.json")
            expectTextError("XLMRobertaTokenizer") { _ = try TokenizerLoader.load(folder: folder) }
        }
    }

    @Test func `Names mean the built-in tokenizers`() throws {
        #expect(try TokenizerLoader.load(named: "byte") is ByteTokenizer)
        #expect(try TokenizerLoader.load(named: "byte-sentinel") is SentinelByteTokenizer)
        expectTextError("does not exist; use 'byte'") {
            _ = try TokenizerLoader.load(named: "/no/such/file.model")
        }
    }

    @Test func `A token file of pieces gives the text back`() throws {
        let tokenizer = try tokenizer(Self.unigram)
        let stream = try TokenStream(texts: ["cab ab", "b"], tokenizer: tokenizer)
        #expect(
            try tokenizer.decode(stream.tokens(in: 0..<stream.tokenCount).filter { $0 > 2 }) == "cab ab b")
    }
}
