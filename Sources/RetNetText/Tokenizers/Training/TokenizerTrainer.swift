import RetNetStorage

/// The training of a tokenizer on texts.
///
/// Texts are read first, piece by piece; only their different words are kept. Then ``tokenizer(progress:)`` learns the
/// pieces. The same texts in the same order give the same tokenizer.
///
///     let trainer = try TokenizerTrainer(TokenizerRecipe(kind: .bytePairs, vocabularySize: 8000))
///     try trainer.read(Corpus(path: "texts"))
///     let tokenizer = try trainer.tokenizer()
public final class TokenizerTrainer {
    /// The kind and the size.
    public let recipe: TokenizerRecipe
    /// The special tokens.
    public let specialTokens: SpecialTokenLayout
    /// The least number of occurrences of a pair that becomes a piece of byte pairs.
    public let minimumFrequency: Int
    private let counter = WordCounter()

    /// The state of a training.
    public enum Progress: Sendable, Equatable {
        /// Bytes of text that have been read.
        case reading(byteCount: Int)
        /// The share of the work on the pieces that is done.
        case learning(fraction: Double)
    }

    /// Creates a trainer that has read nothing.
    ///
    /// Throws `TextError.invalidArgument` for a size that has no room for the 256 bytes and the special tokens, and for
    /// special tokens that the pieces of a text could equal.
    public init(
        _ recipe: TokenizerRecipe, specialTokens: SpecialTokenLayout = .languageModel,
        minimumFrequency: Int = 2
    ) throws {
        self.recipe = recipe
        self.specialTokens = specialTokens
        self.minimumFrequency = minimumFrequency
        let least = specialTokens.names.count + 256
        guard (least...TokenizerRecipe.largestVocabularySize).contains(recipe.vocabularySize) else {
            throw TextError.invalidArgument(
                name: "vocabulary size",
                reason: "\(recipe.vocabularySize) is out of range; use \(least) (the 256 bytes and "
                    + "\(specialTokens.names.count) special tokens) to \(TokenizerRecipe.largestVocabularySize)"
            )
        }
        guard minimumFrequency >= 0 else {
            throw TextError.invalidArgument(
                name: "minimum frequency", reason: "\(minimumFrequency) is negative; use 0 or more")
        }
        if specialTokens.names.contains("") {
            throw TextError.invalidArgument(
                name: "special token", reason: "its name is empty; use a name such as '<special>'")
        }
        for name in specialTokens.names where WordScanner.gpt2.isOneWord(name) {
            throw TextError.invalidArgument(
                name: "special token",
                reason:
                    "'\(name)' could be a piece of a text; use a name of several words, such as '<\(name)>'")
        }
    }

    /// The number of bytes of text that have been read.
    public var byteCount: Int { counter.byteCount }

    // MARK: Texts

    /// Reads a document.
    public func read(_ text: String) {
        var text = text
        text.withUTF8 { counter.consume(UnsafeRawBufferPointer($0)) }
        counter.endDocument()
    }

    /// Reads the text files of a corpus in pieces, so that the memory does not depend on their size.
    ///
    /// Throws `TextError.invalidArgument` for token files, `TextError` and `StorageError`.
    public func read(_ corpus: Corpus, progress: (Progress) -> Void = { _ in }) throws {
        try Self.checkIsText(corpus)
        for file in corpus.files {
            let splitter = DocumentSplitter(separator: corpus.separator, consumer: counter)
            try TextFileReader.read(file) {
                try splitter.feed($0)
                progress(.reading(byteCount: counter.byteCount))
            }
            try splitter.finish()
        }
    }

    /// Reads the documents of a stream of bytes; throws `TextError.invalidArgument` for streams of other tokens.
    public func read(_ stream: TokenStream, progress: (Progress) -> Void = { _ in }) throws {
        guard stream.tokenizerIdentity == ByteTokenizer().identity else {
            throw TextError.invalidArgument(
                name: "stream", reason: "a tokenizer is trained on text; use a stream of the byte tokenizer")
        }
        for index in 0..<stream.documentCount {
            let range = try stream.range(ofDocument: index)
            // The first token of a document is the one before it.
            for start in stride(from: range.lowerBound + 1, to: range.upperBound, by: 1 << 20) {
                let tokens = try stream.tokens(in: start..<min(start + 1 << 20, range.upperBound))
                tokens.map { UInt8(truncatingIfNeeded: $0) }.withUnsafeBytes { counter.consume($0) }
                progress(.reading(byteCount: counter.byteCount))
            }
            counter.endDocument()
        }
    }

    /// Throws `TextError.invalidArgument` if files of a corpus hold tokens, from which no tokenizer can be trained.
    public static func checkIsText(_ corpus: Corpus) throws {
        guard let file = corpus.files.first(where: { $0.content == .tokens }) else { return }
        throw TextError.invalidArgument(
            name: "tokenizer",
            reason: "it is to be trained on text, but '\(file.path)' is a token file; give the text itself")
    }

    /// Returns the number of tokens of what has been read; each word is encoded only once.
    public func tokenCount(with tokenizer: any Tokenizer) -> Int {
        let words = counter.words
        return words.bytes.withUnsafeBytes { bytes in
            words.counts.indices.reduce(0) { sum, index in
                let word = UnsafeRawBufferPointer(rebasing: bytes[words.range(of: index)])
                return sum + words.counts[index] * tokenizer.encode(utf8: word).count
            }
        }
    }

    // MARK: Results

    /// Learns the pieces of what has been read, and returns the tokenizer.
    ///
    /// There may be fewer tokens than wanted where a text has no more. Throws `TextError.emptyCorpus` if nothing was read.
    public func tokenizer(progress: (Progress) -> Void = { _ in }) throws -> any Tokenizer {
        let names = SpecialTokenNames(
            begin: specialTokens.begin, end: specialTokens.end, padding: specialTokens.padding)
        return try HuggingFaceTokenizer(
            json: vocabulary(progress: progress).json, names: names, sourceName: "the trained tokenizer")
    }

    /// Returns a tokenizer of byte pairs for texts, one document each; throws `TextError`.
    public static func bytePair(
        texts: some Sequence<String>, vocabularySize: Int, specialTokens: SpecialTokenLayout = .languageModel
    ) throws -> any Tokenizer {
        let trainer = try TokenizerTrainer(
            TokenizerRecipe(kind: .bytePairs, vocabularySize: vocabularySize), specialTokens: specialTokens)
        for text in texts { trainer.read(text) }
        return try trainer.tokenizer()
    }

    private func vocabulary(progress: (Progress) -> Void) throws -> TrainedVocabulary {
        guard counter.byteCount > 0 else { throw TextError.emptyCorpus(paths: []) }
        let (size, first) = (recipe.vocabularySize, specialTokens.names.count)
        func report(_ fraction: Double) { progress(.learning(fraction: fraction)) }
        switch recipe.kind {
        case .bytePairs:
            let trainer = BytePairTrainer(
                vocabularySize: size, firstByte: first, minimumFrequency: minimumFrequency)
            return TrainedVocabulary(
                merges: trainer.merges(of: counter.words, progress: report), specialTokens: specialTokens)
        case .unigram:
            let trainer = UnigramTrainer(pieceCount: size - first)
            return TrainedVocabulary(
                pieces: trainer.pieces(of: counter.words, progress: report), specialTokens: specialTokens)
        }
    }
}
