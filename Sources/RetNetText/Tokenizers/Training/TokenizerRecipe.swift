/// The kind and the size of a tokenizer that is trained on a text.
///
/// Its text form is `train:bpe:N` or `train:unigram:N` with the number of tokens N, special ones included.
public struct TokenizerRecipe: Hashable, Sendable, LosslessStringConvertible {
    /// The model of a trained tokenizer.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// Byte pairs (Sennrich et al., arXiv 1508.07909), over bytes as in GPT-2.
        case bytePairs = "bpe"
        /// A unigram language model of pieces (Kudo, arXiv 1804.10959), over bytes too.
        case unigram
    }

    /// The model.
    public var kind: Kind
    /// The number of tokens, special ones included.
    public var vocabularySize: Int
    /// The number of tokens that a recipe may ask for at most.
    public static let largestVocabularySize = 1 << 24

    /// A tokenizer of the given kind and size.
    public init(kind: Kind, vocabularySize: Int) {
        self.kind = kind
        self.vocabularySize = vocabularySize
    }

    /// Reads the text form; nil if it is malformed.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "train", let kind = Kind(rawValue: String(parts[1])),
            let size = Int(parts[2]), (1...Self.largestVocabularySize).contains(size),
            String(size) == parts[2]
        else { return nil }
        self.init(kind: kind, vocabularySize: size)
    }

    /// Reads the text form of a name that begins with `train:`; nil for other names.
    ///
    /// Throws `TextError.invalidArgument` for names that begin so and go on wrongly.
    public init?(named name: String) throws {
        guard name.utf8.starts(with: "train:".utf8) else { return nil }
        guard let recipe = TokenizerRecipe(name) else {
            throw TextError.invalidArgument(
                name: "tokenizer",
                reason:
                    "'\(name)' is not train:bpe:N or train:unigram:N with a number of tokens N up to "
                    + "\(Self.largestVocabularySize)")
        }
        self = recipe
    }

    /// The text form.
    public var description: String { "train:\(kind.rawValue):\(vocabularySize)" }
}

/// The special tokens of a tokenizer that is trained: the first of its tokens, in this order.
public struct SpecialTokenLayout: Hashable, Sendable {
    /// The names, without duplicates.
    public var names: [String]
    /// The name of the token before each document, if there is one.
    public var begin: String?
    /// The name of the token at the end of a text, if there is one.
    public var end: String?
    /// The name of the token at unused positions, if there is one.
    public var padding: String?
    /// True if encoding for a model ends every text with the end token, as for text-to-text models.
    public var appendsEnd: Bool

    /// Creates names; begin, end and padding are added to the others, in front of them, where they are not among them.
    public init(
        begin: String? = nil, end: String? = nil, padding: String? = nil, others: [String] = [],
        appendsEnd: Bool = false
    ) {
        var names: [String] = []
        for name in [begin, end, padding].compactMap({ $0 }) + others where !names.contains(name) {
            names.append(name)
        }
        (self.names, self.begin, self.end, self.padding) = (names, begin, end, padding)
        self.appendsEnd = appendsEnd
    }

    /// `<|endoftext|>`, which separates documents, and `<|padding|>`, as in GPT-2 and GPT-NeoX.
    public static let languageModel = SpecialTokenLayout(
        begin: "<|endoftext|>", end: "<|endoftext|>", padding: "<|padding|>")

    /// `<pad>`, `</s>` and the sentinels of T5.
    public static func textToText(
        sentinelCount: Int = SentencePieceTokenizer.usualSentinelCount
    ) -> SpecialTokenLayout {
        let sentinels = (0..<max(0, sentinelCount)).map { "<extra_id_\($0)>" }
        var result = SpecialTokenLayout(end: "</s>", padding: "<pad>", others: sentinels, appendsEnd: true)
        result.names = ["<pad>", "</s>"] + sentinels
        return result
    }
}
