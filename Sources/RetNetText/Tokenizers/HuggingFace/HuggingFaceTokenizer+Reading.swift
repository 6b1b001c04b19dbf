import Foundation
import RetNetStorage

extension HuggingFaceTokenizer {
    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// `names` are those of special tokens; where they are missing, the tokens that the file puts around texts and the usual
    /// names among its special tokens are taken. `sourceName` is the name in errors. Throws `TextError.invalidTokenizer` and
    /// `TextError.unsupportedTokenizerPart`.
    public convenience init(
        json bytes: [UInt8], names: SpecialTokenNames = SpecialTokenNames(),
        specialTokensInText: SpecialTokensInText = .recognized, sourceName: String = "tokenizer.json"
    ) throws {
        let reader = TokenizerReader(names: names)
        let core: TokenizerCore
        do {
            core = try reader.core(bytes.withUnsafeBytes { try JSONTape($0) })
        } catch let fault as TokenizerFault {
            throw fault.error(path: sourceName)
        }
        self.init(
            core, roles: try reader.roles(core, path: sourceName), files: [("tokenizer.json", bytes)],
            identity: Self.identity([bytes]), specialTokensInText: specialTokensInText)
    }

    /// Reads the bytes of GPT-2's files: a vocabulary in JSON and merges in lines.
    ///
    /// The files name no special tokens: those of `names` are found in text, where the reference finds them; without any,
    /// `<|endoftext|>` begins and ends texts and is not found in text.
    public convenience init(
        vocabulary: [UInt8], merges: [UInt8], names: SpecialTokenNames = SpecialTokenNames(),
        specialTokensInText: SpecialTokensInText = .recognized, sourceName: String = "vocab.json"
    ) throws {
        let reader = TokenizerReader(names: names)
        let core: TokenizerCore
        do {
            core = try reader.core(vocabulary.withUnsafeBytes { try JSONTape($0) }, merges: merges)
        } catch let fault as TokenizerFault {
            throw fault.error(path: sourceName)
        }
        self.init(
            core, roles: try reader.roles(core, path: sourceName),
            files: [("vocab.json", vocabulary), ("merges.txt", merges)],
            identity: Self.identity([vocabulary, merges]), specialTokensInText: specialTokensInText)
    }

    static func identity(_ files: [[UInt8]]) -> String {
        var checksum: UInt32 = 0
        for file in files {
            let value = file.withUnsafeBytes { Checksum.crc32($0) }
            checksum = checksum &* 31 &+ value
        }
        return "huggingface-\(files.reduce(0) { $0 + $1.count })-\(Checksum.hexadecimal(checksum))"
    }
}

/// A reader of the sections of a tokenizer's files.
struct TokenizerReader {
    var names: SpecialTokenNames
    /// The `add_bos_token` of other files.
    var addsBeginToken: Bool?
    /// Tokens that other files add.
    var extraTokens: [AddedTokens.Token] = []

    init(names: SpecialTokenNames) { self.names = names }

    /// Reads a whole `tokenizer.json`; throws ``TokenizerFault``.
    func core(_ tape: JSONTape) throws -> TokenizerCore {
        guard tape.root.kind == .object else {
            throw TokenizerFault(place: "", reason: "it is not a JSON object")
        }
        let options: PartOptions
        do {
            options = try PartOptions(
                tape.root, "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                "post_processor", "decoder", "model")
        } catch var fault as TokenizerFault {
            if fault.isUnsupported { fault.place = "the file" }
            throw fault
        }
        if let version = options.optional("version"), try version.string() != "1.0" {
            throw version.unsupported("is '\(try version.string())', not '1.0'")
        }
        guard let model = options.optional("model") else {
            throw TokenizerFault(place: "", reason: "the section 'model' is missing")
        }
        let normalizer = try options.optional("normalizer").map { try TextNormalizer($0) } ?? TextNormalizer()
        var core = try self.core(model: model)
        core.normalizer = normalizer
        if let node = options.optional("pre_tokenizer") { core.preTokenizer = try PreTokenizer(node) }
        if let node = options.optional("decoder") { core.decoder = try TokenDecoder(node) }
        if let node = options.optional("post_processor") { core.frame = try TextFrame(node) }
        let tokens = try options.optional("added_tokens").map { try addedTokens($0, core.vocabulary) } ?? []
        core.added = AddedTokens(tokens + (try extra(tokens, core.vocabulary))) { normalizer.normalize($0) }
        for token in core.frame.before + core.frame.after where core.added.token(token) == nil {
            guard core.vocabulary.has(Int(token)) else {
                throw TokenizerFault(
                    place: "post_processor", reason: "names the token \(token), which does not exist")
            }
        }
        return core
    }

    /// Reads GPT-2's files; throws ``TokenizerFault``.
    func core(_ vocabulary: JSONTape, merges: [UInt8]) throws -> TokenizerCore {
        let words = try self.vocabulary(JSONNode(tape: vocabulary, index: 0, place: "the vocabulary"))
        let table = try MergeTable(merges, words)
        var core = TokenizerCore(
            vocabulary: words, model: .bytePairs(BytePairModel(words, merges: table, options: .init())),
            added: AddedTokens([]) { $0 })
        core.preTokenizer.steps = [.byteLevel(addsPrefixSpace: false, splits: true)]
        core.decoder.steps = [.byteLevel]
        var tokens = try extra([], words)
        for (_, path) in SpecialTokenNames.keys {
            guard let name = names[keyPath: path], let number = words.number(name),
                !tokens.contains(where: { $0.number == number })
            else { continue }
            tokens.append(.init(number: number, content: Array(name.utf8), isSpecial: true))
        }
        core.added = AddedTokens(tokens) { $0 }
        return core
    }

    // MARK: Added tokens

    /// Returns the tokens that only other files add.
    private func extra(
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

    private func addedTokens(_ node: JSONNode, _ vocabulary: TokenVocabulary) throws -> [AddedTokens.Token] {
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

    // MARK: Models

    private func core(model node: JSONNode) throws -> TokenizerCore {
        let members = try node.members()
        // Files of early releases have no type.
        let type =
            try members["type"]?.string()
            ?? (members["merges"] != nil
                ? "BPE"
                : members["unk_id"] != nil
                    ? "Unigram" : members["continuing_subword_prefix"] != nil ? "WordPiece" : "WordLevel")
        switch type {
        case "BPE": return try bytePairs(node)
        case "Unigram": return try unigram(node)
        case "WordPiece": return try wordPieces(node)
        case "WordLevel":
            let options = try PartOptions(node, "vocab", "unk_token")
            let vocabulary = try self.vocabulary(options.required("vocab"))
            let unknown = vocabulary.number(try options.string("unk_token", "<unk>"))
            return core(vocabulary, .words(unknown: unknown ?? -1), unknown)
        default: throw node.unsupported("has the type '\(type)', which is not supported")
        }
    }

    private func core(_ vocabulary: TokenVocabulary, _ model: WordModel, _ unknown: Int32?) -> TokenizerCore {
        TokenizerCore(
            vocabulary: vocabulary, model: model, added: AddedTokens([]) { $0 }, unknown: unknown)
    }

    private func vocabulary(_ node: JSONNode) throws -> TokenVocabulary {
        var vocabulary = TokenVocabulary(capacity: node.count)
        let tape = node.tape
        try tape.texts.withUnsafeBufferPointer { texts in
            try node.forEachMember { name, value in
                let text = JSONNode(tape: tape, index: name, place: node.place).textRange ?? 0..<0
                let token = UnsafeBufferPointer(rebasing: texts[text])
                let number = JSONNode(tape: tape, index: value, place: node.place)
                guard number.kind == .integer else {
                    throw node.fault(
                        "gives '\(String(decoding: token, as: UTF8.self))' a value that is no integer")
                }
                if let reason = vocabulary.insert(token, number: try number.integer()) {
                    throw node.fault("contains '\(String(decoding: token, as: UTF8.self))', which \(reason)")
                }
            }
        }
        return vocabulary
    }

    private func bytePairs(_ node: JSONNode) throws -> TokenizerCore {
        let options = try PartOptions(
            node, "vocab", "merges", "dropout", "unk_token", "continuing_subword_prefix",
            "end_of_word_suffix",
            "fuse_unk", "byte_fallback", "ignore_merges")
        // Dropout makes encoding random; it belongs to training of the model that used it.
        if let dropout = options.optional("dropout"), try dropout.number() != 0 {
            throw dropout.unsupported(
                "is \(try dropout.number()), but encoding at random is not supported; set it to null")
        }
        let vocabulary = try self.vocabulary(options.required("vocab"))
        var settings = BytePairModel.Options()
        let unknown = try options.optional("unk_token").map { node in
            guard let number = vocabulary.number(try node.string()) else {
                throw node.fault("is '\(try node.string())', which is not in the vocabulary")
            }
            return number
        }
        settings.unknown = unknown ?? -1
        settings.prefix = Array(try options.string("continuing_subword_prefix", "").utf8)
        settings.suffix = Array(try options.string("end_of_word_suffix", "").utf8)
        settings.fusesUnknown = try options.bool("fuse_unk", false)
        settings.spellsBytes = try options.bool("byte_fallback", false)
        settings.ignoresMerges = try options.bool("ignore_merges", false)
        let merges = try MergeTable(options.required("merges"), vocabulary, prefix: settings.prefix)
        return core(
            vocabulary, .bytePairs(BytePairModel(vocabulary, merges: merges, options: settings)), unknown)
    }

    private func unigram(_ node: JSONNode) throws -> TokenizerCore {
        let options = try PartOptions(node, "vocab", "unk_id", "byte_fallback")
        let list = try options.required("vocab")
        guard list.kind == .array, list.count > 0 else { throw list.fault("is not a list of tokens") }
        var vocabulary = TokenVocabulary(capacity: list.count)
        var scores: [Double] = []
        scores.reserveCapacity(list.count)
        let tape = node.tape
        try tape.texts.withUnsafeBufferPointer { texts in
            var next = list.index + 1
            for number in 0..<list.count {
                let pair = JSONNode(tape: tape, index: next, place: list.place)
                let name = JSONNode(tape: tape, index: next + 1, place: list.place)
                guard pair.kind == .array, pair.count == 2, let text = name.textRange else {
                    throw list.fault("has an element \(number) that is not a text with its score")
                }
                let score = JSONNode(tape: tape, index: next + 2, place: "\(list.place)[\(number)]")
                scores.append(try score.number())
                let token = UnsafeBufferPointer(rebasing: texts[text])
                if let reason = vocabulary.insert(token, number: number) {
                    throw list.fault("contains '\(String(decoding: token, as: UTF8.self))', which \(reason)")
                }
                next = Int(tape.items[next].end)
            }
        }
        let unknown = try options.optional("unk_id")?.integer()
        if let unknown, !vocabulary.has(unknown) {
            throw node.fault("has the 'unk_id' \(unknown) outside the vocabulary of \(scores.count) tokens")
        }
        let token = unknown.map { Int32($0) }
        let words = UnigramWords(
            vocabulary, scores: scores, unknown: token ?? -1,
            spellsBytes: try options.bool("byte_fallback", false))
        return core(vocabulary, .unigram(words), token)
    }

    private func wordPieces(_ node: JSONNode) throws -> TokenizerCore {
        let options = try PartOptions(
            node, "vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word")
        let vocabulary = try self.vocabulary(options.required("vocab"))
        let unknown = vocabulary.number(try options.string("unk_token", "[UNK]"))
        let words = WordPieces(
            unknown: unknown ?? -1, prefix: Array(try options.string("continuing_subword_prefix", "##").utf8),
            maximumCharacterCount: try options.optional("max_input_chars_per_word")?.integer() ?? 100,
            longestByteCount: vocabulary.longestByteCount)
        return core(vocabulary, .wordPieces(words), unknown)
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

// MARK: Merges

extension MergeTable {
    /// Reads the merges of a `tokenizer.json`: texts of two tokens, or pairs.
    init(_ node: JSONNode, _ vocabulary: TokenVocabulary, prefix: [UInt8]) throws {
        guard node.kind == .array else { throw node.fault("is not a list") }
        self.init(capacity: node.count)
        let tape = node.tape
        var joined: [UInt8] = []
        try tape.texts.withUnsafeBufferPointer { texts in
            var next = node.index + 1
            for rank in 0..<node.count {
                let element = JSONNode(tape: tape, index: next, place: node.place)
                var (left, right): (Range<Int>, Range<Int>)
                if let text = element.textRange {
                    // Exactly one space, as in the reference.
                    guard let space = texts[text].firstIndex(of: 0x20),
                        !texts[(space + 1)..<text.upperBound].contains(0x20)
                    else {
                        throw node.fault(
                            "has an element \(rank) that is not two tokens with a space between them")
                    }
                    (left, right) = (text.lowerBound..<space, space + 1..<text.upperBound)
                } else {
                    let first = JSONNode(tape: tape, index: next + 1, place: node.place)
                    guard element.kind == .array, element.count == 2, let start = first.textRange,
                        let end = JSONNode(tape: tape, index: next + 2, place: node.place).textRange
                    else { throw node.fault("has an element \(rank) that is not a pair of tokens") }
                    (left, right) = (start, end)
                }
                try add(
                    UnsafeBufferPointer(rebasing: texts[left]), UnsafeBufferPointer(rebasing: texts[right]),
                    rank: rank, vocabulary, prefix: prefix, place: node.place, &joined)
                next = Int(tape.items[next].end)
            }
        }
    }

    /// Reads GPT-2's merges: two tokens a line, after lines that begin with `#version`.
    init(_ file: [UInt8], _ vocabulary: TokenVocabulary) throws {
        guard file.withUnsafeBytes({ UTF8Validator.firstInvalidOffset(in: $0) }) == nil else {
            throw TokenizerFault(place: "the merges", reason: "are not UTF-8 text")
        }
        self.init(capacity: file.count / 8)
        var (joined, rank, lineNumber): ([UInt8], Int, Int) = ([], 0, 0)
        try file.withUnsafeBufferPointer { file in
            var start = 0
            while start < file.count {
                var end = start
                while end < file.count, file[end] != 0x0A { end += 1 }
                var line = file[start..<end]
                start = end + 1
                lineNumber += 1
                if line.last == 0x0D { line = line.dropLast() }
                if line.isEmpty && start >= file.count || line.starts(with: "#version".utf8) { continue }
                guard let space = line.firstIndex(of: 0x20), !line[(space + 1)...].contains(0x20) else {
                    throw TokenizerFault(
                        place: "the merges", reason: "have a line \(lineNumber) without two tokens")
                }
                try add(
                    UnsafeBufferPointer(rebasing: line[..<space]),
                    UnsafeBufferPointer(rebasing: line[(space + 1)...]), rank: rank, vocabulary, prefix: [],
                    place: "the merges", &joined)
                rank += 1
            }
        }
    }

    private mutating func add(
        _ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>, rank: Int,
        _ vocabulary: TokenVocabulary, prefix: [UInt8], place: String, _ joined: inout [UInt8]
    ) throws {
        func missing(_ token: some Collection<UInt8>) -> TokenizerFault {
            TokenizerFault(
                place: place,
                reason:
                    "has the element \(rank) with the token '\(String(decoding: token, as: UTF8.self))', which is "
                    + "not in the vocabulary")
        }
        let (first, second) = (vocabulary.number(left), vocabulary.number(right))
        guard first >= 0 else { throw missing(left) }
        guard second >= 0 else { throw missing(right) }
        guard right.count >= prefix.count else { throw missing(right) }
        joined.removeAll(keepingCapacity: true)
        joined.append(contentsOf: left)
        joined.append(contentsOf: right.dropFirst(prefix.count))
        let token = joined.withUnsafeBufferPointer { vocabulary.number($0) }
        guard token >= 0 else { throw missing(joined) }
        insert(first, second, rank: UInt32(truncatingIfNeeded: rank), token: token)
    }
}
