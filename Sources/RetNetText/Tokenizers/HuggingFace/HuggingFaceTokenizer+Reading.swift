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
    /// The special tokens of other files by their keys, without numbers.
    var special: [(key: String, token: AddedTokens.Token)] = []
    /// True if `tokenizer_config.json` names the class of GPT-2, whose `<|endoftext|>` is found in text.
    var isGPT2 = false
    /// The options of lists of word pieces.
    var pieces = WordPieceOptions()
    /// True if `tokenizer_config.json` lists the tokens that are added.
    var hasAddedTokens = false
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

    func vocabulary(_ node: JSONNode) throws -> TokenVocabulary {
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
}
