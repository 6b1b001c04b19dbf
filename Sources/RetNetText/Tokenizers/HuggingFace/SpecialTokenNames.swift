/// The special tokens of a tokenizer by name, as `tokenizer_config.json` and `special_tokens_map.json` give them.
public struct SpecialTokenNames: Hashable, Sendable {
    /// The token before each document.
    public var begin: String?
    /// The token at the end of a text.
    public var end: String?
    /// The token at unused positions of a batch.
    public var padding: String?
    /// The token for text that the vocabulary cannot express.
    public var unknown: String?

    /// Creates names, by default none.
    public init(begin: String? = nil, end: String? = nil, padding: String? = nil, unknown: String? = nil) {
        self.begin = begin
        self.end = end
        self.padding = padding
        self.unknown = unknown
    }

    /// The names in their usual order, with the keys that they have in files.
    static let keys: [(key: String, path: any WritableKeyPath<SpecialTokenNames, String?> & Sendable)] = [
        ("bos_token", \.begin), ("eos_token", \.end), ("pad_token", \.padding), ("unk_token", \.unknown),
    ]

    /// Takes the names of an object that are not there yet: texts, or objects with a `content`.
    mutating func add(_ object: JSONNode) throws {
        let members = try object.members()
        for (key, path) in Self.keys where self[keyPath: path] == nil {
            guard let node = members[key], !node.isNull else { continue }
            let text = node.kind == .object ? try node.member("content") : node
            guard let text else { throw node.fault("lacks its 'content'") }
            let name = try text.string()
            if !name.isEmpty { self[keyPath: path] = name }
        }
    }

    /// Names that usually stand for the end and the beginning of texts.
    static let usualEnds = [
        "<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<|end▁of▁sentence|>", "<|eot_id|>", "[SEP]",
    ]
    static let usualBegins = ["<s>", "<bos>", "<|begin_of_text|>", "<|begin▁of▁sentence|>", "[CLS]"]
}

/// The numbers of a tokenizer's special tokens.
struct TokenizerRoles: Sendable {
    var begin: Int32?
    var end: Int32?
    var padding: Int32?
    var unknown: Int32?
}

/// The reading of added tokens, in a `tokenizer.json` or in the files beside it, and of the roles of special ones.
extension TokenizerReader {
    // MARK: Files beside the tokenizer

    /// Takes `tokenizer_config.json` or `special_tokens_map.json`.
    mutating func add(_ object: JSONNode) throws {
        guard object.kind == .object else {
            throw TokenizerFault(place: "", reason: "it is not a JSON object")
        }
        try names.add(object)
        for key in Self.specialKeys {
            guard let node = try object.member(key) else { continue }
            for element in node.kind == .array ? try node.elements() : [node] {
                guard let token = try Self.specialToken(element) else { continue }
                special.append((key, token))
            }
        }
        if let name = try object.member("tokenizer_class")?.string(), name.hasPrefix("GPT2Tokenizer") {
            isGPT2 = true
        }
        if let node = try object.member("add_bos_token") { addsBeginToken = try node.bool() }
        try pieces.add(object)
        // Transformers adds these to the tokenizer too.
        guard let tokens = try object.member("added_tokens_decoder") else { return }
        hasAddedTokens = true
        for (key, node) in try tokens.members().sorted(by: { $0.key < $1.key }) {
            guard let number = Int(key) else { throw node.fault("is no number of a token") }
            let options = try PartOptions(
                node, "content", "single_word", "lstrip", "rstrip", "normalized", "special", "__type")
            let token = try Self.addedToken(options, number: number)
            if !token.content.isEmpty { extraTokens.append(token) }
        }
    }

    /// Takes `added_tokens.json` of early versions of Transformers: numbers by text, which say nothing if
    /// `tokenizer_config.json` lists the tokens.
    ///
    /// Tokens that other files call special are special here.
    mutating func add(numbers object: JSONNode) throws {
        guard !hasAddedTokens else { return }
        let special = Set(special.map(\.token.content))
        for (text, node) in try object.members().sorted(by: { $0.key < $1.key }) where !text.isEmpty {
            let number = try node.integer()
            guard (0..<TokenVocabulary.maximumCount).contains(number) else {
                throw node.fault("is \(number), but ids are 0 to \(TokenVocabulary.maximumCount - 1)")
            }
            let content = Array(text.utf8)
            let isSpecial = special.contains(content)
            if let other = extraTokens.first(where: { $0.number == Int32(number) }) {
                throw node.fault(
                    "is the id \(number) of '\(String(decoding: other.content, as: UTF8.self))' too")
            }
            extraTokens.append(
                .init(number: Int32(number), content: content, isNormalized: !isSpecial, isSpecial: isSpecial)
            )
        }
    }

    private static let specialKeys =
        SpecialTokenNames.keys.map(\.key) + [
            "sep_token", "cls_token", "mask_token", "additional_special_tokens", "extra_special_tokens",
        ]

    /// Returns a special token that is given as a text or as an object; nil for an empty one.
    private static func specialToken(_ node: JSONNode) throws -> AddedTokens.Token? {
        guard node.kind == .object else {
            let text = try node.string()
            return text.isEmpty ? nil : .init(number: -1, content: Array(text.utf8), isSpecial: true)
        }
        // `extra_special_tokens` may also be names of roles with their tokens, which are none of text.
        guard let content = try node.member("content")?.string(), !content.isEmpty else { return nil }
        func flag(_ name: String) throws -> Bool { try node.member(name)?.bool() ?? false }
        return .init(
            number: -1, content: Array(content.utf8), isSingleWord: try flag("single_word"),
            takesSpaceBefore: try flag("lstrip"), takesSpaceBehind: try flag("rstrip"),
            isNormalized: try flag("normalized"), isSpecial: true)
    }

    /// Returns the special tokens of other files that are in the vocabulary and not among the given ones.
    func named(in vocabulary: TokenVocabulary, without tokens: [AddedTokens.Token]) -> [AddedTokens.Token] {
        var numbers = Set(tokens.map(\.number))
        let texts = SpecialTokenNames.keys.compactMap { names[keyPath: $0.path] }
        let all =
            special.map(\.token)
            + texts.map { AddedTokens.Token(number: -1, content: Array($0.utf8), isSpecial: true) }
        return all.compactMap { token in
            var token = token
            token.number = token.content.withUnsafeBufferPointer { vocabulary.number($0) }
            return token.number >= 0 && numbers.insert(token.number).inserted ? token : nil
        }
    }

    // MARK: Added tokens

    /// Returns the tokens that only other files add.
    func extra(
        _ tokens: [AddedTokens.Token], _ vocabulary: TokenVocabulary
    ) throws -> [AddedTokens.Token] {
        let numbers = Set(tokens.map(\.number))
        return try extraTokens.filter { !numbers.contains($0.number) }.map { token in
            let known = token.content.withUnsafeBufferPointer { vocabulary.number($0) }
            guard known == token.number || known < 0 && !vocabulary.has(Int(token.number)) else {
                throw TokenizerFault(
                    place: "the vocabulary",
                    reason:
                        "contradicts the file beside it, which gives '\(String(decoding: token.content, as: UTF8.self))' "
                        + "the id \(token.number)")
            }
            return token
        }
    }

    func addedTokens(_ node: JSONNode, _ vocabulary: TokenVocabulary) throws -> [AddedTokens.Token] {
        var tokens: [AddedTokens.Token] = []
        var numbers: Set<Int32> = []
        for element in try node.elements() {
            let options = try PartOptions(
                element, "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
            let token = try Self.addedToken(options, number: options.required("id").integer())
            if token.content.isEmpty { continue }
            let (content, number) = (try options.string("content"), Int(token.number))
            let known = vocabulary.number(content)
            if let known, Int(known) != number {
                throw element.fault(
                    "gives '\(content)' the id \(number), but in the vocabulary it is \(known)")
            }
            if known == nil, vocabulary.has(number) {
                throw element.fault(
                    "gives '\(content)' the id \(number) of '\(String(decoding: vocabulary.text(number), as: UTF8.self))'"
                )
            }
            guard numbers.insert(Int32(number)).inserted else {
                throw element.fault("has the id \(number) of another added token")
            }
            tokens.append(token)
        }
        return tokens
    }

    /// Reads a token with the rules by which it is found.
    static func addedToken(_ options: PartOptions, number: Int) throws -> AddedTokens.Token {
        guard (0..<TokenVocabulary.maximumCount).contains(number) else {
            throw options.node.fault(
                "has the id \(number), but ids are 0 to \(TokenVocabulary.maximumCount - 1)")
        }
        let isSpecial = try options.bool("special", false)
        return AddedTokens.Token(
            number: Int32(number), content: Array(try options.string("content").utf8),
            isSingleWord: try options.bool("single_word", false),
            takesSpaceBefore: try options.bool("lstrip", false),
            takesSpaceBehind: try options.bool("rstrip", false),
            isNormalized: try options.bool("normalized", !isSpecial), isSpecial: isSpecial)
    }

    // MARK: Roles

    /// Returns the special tokens; throws `TextError.invalidTokenizer` for a name that is no token.
    func roles(_ core: TokenizerCore, path: String) throws -> TokenizerRoles {
        var roles = TokenizerRoles(
            begin: core.number(of: names.begin), end: core.number(of: names.end),
            padding: core.number(of: names.padding), unknown: core.number(of: names.unknown) ?? core.unknown)
        for name in [names.begin, names.end].compactMap({ $0 }) where core.number(name) == nil {
            throw TextError.invalidTokenizer(
                path: path, reason: "its special token '\(name)' is not in the vocabulary")
        }
        // A pair of tokens around every text says what begins and ends it.
        if names.begin == nil, names.end == nil {
            if core.frame.before.count == 1 { roles.begin = core.frame.before[0] }
            if core.frame.after.count == 1 { roles.end = core.frame.after[0] }
        }
        func usual(_ names: [String]) -> Int32? {
            for name in names {
                guard let number = core.number(name) else { continue }
                // GPT-2's vocabulary does not say which of its tokens are special.
                if core.added.token(number)?.isSpecial ?? core.added.tokens.isEmpty { return number }
            }
            return nil
        }
        if roles.end == nil { roles.end = usual(SpecialTokenNames.usualEnds) }
        if roles.begin == nil {
            roles.begin =
                usual(SpecialTokenNames.usualBegins)
                ?? (roles.end == core.number("<|endoftext|>") ? roles.end : nil)
        }
        if roles.padding == nil {
            roles.padding = usual(["<pad>", "[PAD]", "<|padding|>", "<|pad|>"])
        }
        return roles
    }
}

extension TokenizerCore {
    fileprivate func number(of name: String?) -> Int32? { name.flatMap { number($0) } }
}
