import Foundation
import RetNetStorage
import Testing

@testable import RetNetText

/// Trained tokenizers against those that Hugging Face's `tokenizers` trains on the same text.
@Suite struct TokenizerTrainingTests {
    /// What `Benchmarks/tokenizers/train_fixture.py` writes.
    private struct Fixture: Decodable {
        struct Text: Decodable {
            let text: String
            let ids: [Int32]
        }
        struct BytePairs: Decodable {
            let size: Int
            let special: [String]
            let minimumFrequency: Int
            let merges: [[Int32]]
            let texts: [Text]
        }
        struct Unigram: Decodable {
            let size: Int
            let tokens: Int
        }
        let documents: [String]
        let heldOut: [String]
        let bytePairs: [BytePairs]
        let unigram: [Unigram]
    }

    private static func fixture() throws -> Fixture {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let file = folder.appendingPathComponent("Fixtures/training-0.23.3.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Fixture.self, from: Data(contentsOf: file))
    }

    private func trainer(
        _ kind: TokenizerRecipe.Kind, _ size: Int, _ special: [String], minimumFrequency: Int = 2,
        documents: [String]
    ) throws -> TokenizerTrainer {
        let trainer = try TokenizerTrainer(
            TokenizerRecipe(kind: kind, vocabularySize: size),
            specialTokens: SpecialTokenLayout(others: special),
            minimumFrequency: minimumFrequency)
        for document in documents { trainer.read(document) }
        return trainer
    }

    @Test(arguments: 0..<6) func `Byte pairs are merged in the order of the reference`(index: Int) throws {
        let fixture = try Self.fixture()
        let expected = fixture.bytePairs[index]
        let counter = WordCounter()
        for document in fixture.documents { Self.feed(document, to: counter, pieceByteCount: 1 + 7 * index) }
        let merges = BytePairTrainer(
            vocabularySize: expected.size, firstByte: expected.special.count,
            minimumFrequency: expected.minimumFrequency
        ).merges(of: counter.words)
        #expect(merges.map { [$0.first, $0.second] } == expected.merges)
    }

    /// Words are cut alike whatever pieces a document comes in.
    private static func feed(_ text: String, to counter: WordCounter, pieceByteCount: Int) {
        Array(text.utf8).withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
                counter.consume(
                    UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + pieceByteCount, bytes.count)]))
            }
        }
        counter.endDocument()
    }

    @Test(arguments: 0..<6)
    func `A trained tokenizer encodes as that of the reference and decodes to the text`(
        index: Int
    ) throws {
        let fixture = try Self.fixture()
        let expected = fixture.bytePairs[index]
        let tokenizer = try trainer(
            .bytePairs, expected.size, expected.special, minimumFrequency: expected.minimumFrequency,
            documents: fixture.documents
        ).tokenizer()
        #expect(tokenizer.vocabularySize == expected.special.count + 256 + expected.merges.count)
        for text in expected.texts {
            #expect(tokenizer.encode(text.text) == text.ids, "\(text.text.debugDescription)")
            #expect(tokenizer.decode(text.ids) == text.text, "\(text.text.debugDescription)")
        }
    }

    @Test(arguments: 0..<3)
    func `A unigram model has the size asked for and needs no more tokens than the reference`(
        index: Int
    ) throws {
        let fixture = try Self.fixture()
        let expected = fixture.unigram[index]
        let trainer = try trainer(.unigram, expected.size, [], documents: fixture.documents)
        let tokenizer = try trainer.tokenizer()
        #expect(tokenizer.vocabularySize == expected.size)
        let tokens = fixture.heldOut.map { tokenizer.encode($0) }
        #expect(tokens.reduce(0) { $0 + $1.count } <= expected.tokens + expected.tokens / 50)
        #expect(tokens.map { tokenizer.decode($0) } == fixture.heldOut)
        // Words are encoded one by one, so those of the training text can be counted without the text.
        let count = fixture.documents.reduce(0) { $0 + tokenizer.encode($1).count }
        #expect(trainer.tokenCount(with: tokenizer) == count)
    }

    @Test(arguments: TokenizerRecipe.Kind.allCases)
    func `The same text gives the same tokenizer, from texts, files and streams of bytes`(
        kind: TokenizerRecipe.Kind
    ) throws {
        let documents = try Self.fixture().documents
        try withTemporaryFolder { folder in
            let paths = try documents.enumerated().map { try put($1, at: folder + "/\(1000 + $0).txt") }
            let recipe = TokenizerRecipe(kind: kind, vocabularySize: 500)
            let texts = try TokenizerTrainer(recipe)
            for document in documents { texts.read(document) }
            let files = try TokenizerTrainer(recipe)
            try files.read(Corpus(paths: paths))
            let stream = try TokenizerTrainer(recipe)
            try stream.read(Corpus(paths: paths).tokenStream(tokenizer: ByteTokenizer()))
            let expected = try texts.tokenizer()
            for trainer in [files, stream] {
                #expect(trainer.byteCount == texts.byteCount)
                #expect(try trainer.tokenizer().identity == expected.identity)
            }
        }
    }

    @Test func `Files of a trained tokenizer give an equal tokenizer with its special tokens`() throws {
        let documents = try Self.fixture().documents
        for layout in [SpecialTokenLayout.languageModel, .textToText()] {
            let trainer = try TokenizerTrainer(
                TokenizerRecipe(kind: .bytePairs, vocabularySize: 420), specialTokens: layout)
            for document in documents { trainer.read(document) }
            let tokenizer = try trainer.tokenizer()
            var saved: (any Tokenizer)?
            try withTemporaryFolder {
                try tokenizer.save(to: $0)
                saved = try TokenizerLoader.load(folder: $0)
            }
            let loaded = try #require(saved)
            #expect(loaded.identity == tokenizer.identity && loaded.vocabularySize == 420)
            func number(_ name: String?) -> Int32? {
                name.flatMap { layout.names.firstIndex(of: $0) }.map { Int32($0) }
            }
            #expect(loaded.beginToken == number(layout.begin) && loaded.endToken == number(layout.end))
            #expect(loaded.paddingToken == number(layout.padding))
            let plain = loaded.with(.text)
            for name in layout.names {
                let tokens = plain.encode(name)
                #expect(tokens.allSatisfy { $0 >= layout.names.count } && plain.decode(tokens) == name)
            }
            #expect(loaded.tokensAround.after == (layout.appendsEnd ? [1] : []))
            let sentinels = (loaded as? any SentinelTokenizer)?.sentinels ?? []
            #expect(sentinels == (layout.appendsEnd ? Array(2..<102) : []))
        }
    }

    @Test func `A text of few words gives all pieces that it has`() throws {
        for (text, kind) in [
            ("abc", TokenizerRecipe.Kind.bytePairs), ("abc", .unigram), ("\u{0}\u{0}\u{0}", .unigram),
        ] {
            let trainer = try TokenizerTrainer(
                TokenizerRecipe(kind: kind, vocabularySize: 5000), specialTokens: SpecialTokenLayout())
            for _ in 0..<3 { trainer.read(text) }
            let tokenizer = try trainer.tokenizer()
            #expect(tokenizer.encode(text).count == 1 && tokenizer.vocabularySize < 262)
            #expect(tokenizer.decode(tokenizer.encode("xyz \u{10FFFF}")) == "xyz \u{10FFFF}")
        }
    }

    @Test func `What cannot be trained is refused`() throws {
        let recipe = TokenizerRecipe(kind: .bytePairs, vocabularySize: 300)
        expectTextError("257 is out of range; use 258") {
            _ = try TokenizerTrainer(TokenizerRecipe(kind: .unigram, vocabularySize: 257))
        }
        expectTextError("'pad' could be a piece") {
            _ = try TokenizerTrainer(recipe, specialTokens: SpecialTokenLayout(padding: "pad"))
        }
        expectTextError("negative") { _ = try TokenizerTrainer(recipe, minimumFrequency: -1) }
        expectTextError("no text") { _ = try TokenizerTrainer(recipe).tokenizer() }
        try withTemporaryFolder { folder in
            let text = try put("some text", at: folder + "/a.txt")
            try Corpus(path: text).writeTokenFile(tokenizer: ByteTokenizer(), to: folder + "/a.rtok")
            expectTextError("is a token file") {
                try TokenizerTrainer(recipe).read(Corpus(path: folder + "/a.rtok"))
            }
        }
        expectTextError("'train:bpe' is not train:bpe:N") { _ = try TokenizerRecipe(named: "train:bpe") }
        for name in ["train:bpe:0", "train:bpe:+1", "train:words:9", "train:bpe:1:2", "Train:bpe:9", ""] {
            #expect(TokenizerRecipe(name) == nil)
        }
        #expect(try TokenizerRecipe(named: "byte") == nil)
        #expect(TokenizerRecipe("train:unigram:800")?.description == "train:unigram:800")
    }

    @Test func `The training part of a split by bytes does not depend on the tokenizer`() throws {
        let documents = try Self.fixture().documents
        let tokenizer = try trainer(.bytePairs, 700, ["<|s|>"], documents: documents).tokenizer()
        for texts in [documents, Array(documents.prefix(4))] {
            let bytes = try TokenStream(texts: texts, tokenizer: ByteTokenizer())
            let tokens = try TokenStream(texts: texts, tokenizer: tokenizer)
            let own = try bytes.trainValidationSplit(validationFraction: 0.2, seed: 3)
            let first = try bytes.trainValidationSplit(validationFraction: 0.2, seed: 3, countsBytes: true)
            #expect(own.train.fingerprint == first.train.fingerprint)
            let second = try tokens.trainValidationSplit(validationFraction: 0.2, seed: 3, countsBytes: true)
            func text(_ stream: TokenStream, _ tokenizer: any Tokenizer) throws -> String {
                tokenizer.decode(try stream.tokens(in: 0..<stream.tokenCount))
            }
            let (short, long) = (try text(first.train, ByteTokenizer()), try text(second.train, tokenizer))
            // At most the token at a cut is longer.
            #expect(long.hasPrefix(short) && long.utf8.count - short.utf8.count < 16)
            #expect(texts.count < 10 || long == short)
        }
    }
}
