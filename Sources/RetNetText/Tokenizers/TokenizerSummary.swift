import Foundation

/// What is in a tokenizer, for people: its kind, its sizes, its special tokens, and the steps from text to tokens and back.
public struct TokenizerSummary: Sendable, Equatable {
    /// A special token with its role.
    public struct Special: Sendable, Equatable {
        /// `begin`, `end`, `padding`, `unknown` or `other`.
        public let role: String
        /// The token.
        public let token: Int32
        /// Its text in the file; nil where it has none.
        public let name: String?
    }

    /// One of the steps around the model.
    public struct Step: Sendable, Equatable {
        /// `normalizer`, `pre_tokenizer`, `post_processor` or `decoder`.
        public let name: String
        /// The types of its parts in order, as the file names them.
        public let parts: [String]
    }

    /// The kind of the tokenizer, as in `tokenizer_config.json`.
    public let kind: String
    /// The model, such as `BPE`.
    public let model: String
    /// The number of tokens.
    public let vocabularySize: Int
    /// The merges of byte pairs; nil for other models.
    public private(set) var mergeCount: Int?
    /// The special tokens: those with a role, then the others by number, without sentinels.
    public let specialTokens: [Special]
    /// The number of sentinels.
    public let sentinelCount: Int
    /// The steps that are there.
    public private(set) var steps: [Step] = []

    /// Describes a tokenizer.
    public init(_ tokenizer: any Tokenizer) {
        vocabularySize = tokenizer.vocabularySize
        let sentinels = (tokenizer as? any SentinelTokenizer)?.sentinels ?? []
        sentinelCount = sentinels.count
        var others: [Int32] = []
        switch tokenizer {
        case let tokenizer as SentencePieceTokenizer:
            kind = SentencePieceTokenizer.kind
            (model, others) = (tokenizer.algorithmName, tokenizer.controlTokens)
            steps =
                tokenizer.normalizationParts.isEmpty
                ? [] : [Step(name: "normalizer", parts: tokenizer.normalizationParts)]
        case let tokenizer as HuggingFaceTokenizer:
            kind = HuggingFaceTokenizer.kind
            let added = tokenizer.core.added
            others = added.tokens.filter(\.isSpecial).map(\.number)
            let file =
                tokenizer.files.count > 1 || tokenizer.files[0].name.hasSuffix(".txt")
                ? nil : tokenizer.files.first
            let root = file.flatMap { file in
                try? file.bytes.withUnsafeBytes { try JSONTape($0) }.root
            }
            if let root {
                let found = try? root.member("model")
                model = (try? found?.member("type")?.string()) ?? "unknown"
                mergeCount = (try? found?.member("merges"))?.count
                steps = ["normalizer", "pre_tokenizer", "post_processor", "decoder"].compactMap { name in
                    guard let node = try? root.member(name), !node.isNull else { return nil }
                    return Step(name: name, parts: Self.parts(node))
                }
            } else {
                // Files without a description of the steps.
                if tokenizer.files.count > 1 {
                    model = "BPE"
                    mergeCount = tokenizer.files[1].bytes.split(separator: 0x0A)
                        .count { !$0.starts(with: "#version".utf8) }
                    steps = ["pre_tokenizer", "decoder"].map { Step(name: $0, parts: ["ByteLevel"]) }
                } else {
                    model = "WordPiece"
                    steps = [
                        Step(name: "normalizer", parts: ["BertNormalizer"]),
                        Step(name: "pre_tokenizer", parts: ["BertPreTokenizer"]),
                        Step(name: "post_processor", parts: ["TemplateProcessing"]),
                        Step(name: "decoder", parts: ["WordPiece"]),
                    ]
                }
            }
        default:
            kind = tokenizer is ByteTokenizer ? ByteTokenizer.kind : SentinelByteTokenizer.kind
            model = "bytes"
        }
        let roles: [(String, Int32?)] = [
            ("begin", tokenizer.beginToken), ("end", tokenizer.endToken), ("padding", tokenizer.paddingToken),
            ("unknown", tokenizer.unknownToken),
        ]
        var specials = roles.compactMap { role, token in
            token.map { Special(role: role, token: $0, name: tokenizer.specialName(of: $0)) }
        }
        let known = Set(specials.map(\.token)).union(sentinels)
        specials += Set(others).subtracting(known).sorted().map {
            Special(role: "other", token: $0, name: tokenizer.specialName(of: $0))
        }
        specialTokens = specials
    }

    /// Returns the types of a part of a file, those of a sequence one by one.
    private static func parts(_ node: JSONNode) -> [String] {
        let inner = ["normalizers", "pretokenizers", "processors", "decoders"].lazy
            .compactMap { try? node.member($0)?.elements() }.first
        if let inner { return inner.flatMap { parts($0) } }
        return [(try? node.member("type")?.string()) ?? "unknown"]
    }
}

extension SentencePieceTokenizer {
    /// The name of the model in the reference library.
    fileprivate var algorithmName: String {
        switch algorithm {
        case .unigram: "Unigram"
        case .bytePairs: "BPE"
        case .words: "Word"
        case .characters: "Char"
        }
    }
}
