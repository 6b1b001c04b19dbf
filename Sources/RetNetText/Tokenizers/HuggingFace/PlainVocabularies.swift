/// The reading of tokenizers without a `tokenizer.json`: GPT-2's vocabulary with its merges, and BERT's list of word pieces.
extension TokenizerReader {
    // MARK: Byte pairs

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
        if isGPT2, let number = words.number("<|endoftext|>"),
            !tokens.contains(where: { $0.number == number })
        {
            tokens.append(.init(number: number, content: Array("<|endoftext|>".utf8), isSpecial: true))
        }
        core.added = AddedTokens(tokens + named(in: words, without: tokens)) { $0 }
        return core
    }

    // MARK: Word pieces

    /// Reads BERT's word pieces, one a line and numbered by line; throws ``TokenizerFault``.
    ///
    /// Source: `BertTokenizer` of Hugging Face Transformers 5.24, and `models/wordpiece` of tokenizers 0.23: white space at
    /// the ends of lines is no part of a piece, and of equal lines the last counts.
    func core(wordPieces file: [UInt8]) throws -> TokenizerCore {
        guard pieces.isBasic else {
            throw TokenizerFault(
                place: "", reason: "has 'do_basic_tokenize' false beside it, which is not supported",
                isUnsupported: true)
        }
        let vocabulary = try Self.pieces(file)
        let tokens = try extra([], vocabulary)
        func number(_ key: String, _ usual: String) throws -> (name: String, number: Int32) {
            let given = special.first { $0.key == key }?.token.content
            let name = given.map { String(decoding: $0, as: UTF8.self) } ?? usual
            let added = tokens.first { $0.content.elementsEqual(name.utf8) }?.number
            guard let number = added ?? vocabulary.number(name) else {
                throw TokenizerFault(
                    place: "",
                    reason: "it lacks the token '\(name)' (\(key)), which every list of word pieces has")
            }
            return (name, number)
        }
        let unknown = try number("unk_token", "[UNK]")
        var core = TokenizerCore(
            vocabulary: vocabulary,
            model: .wordPieces(
                WordPieces(
                    unknown: unknown.number, prefix: Array("##".utf8), maximumCharacterCount: 100,
                    longestByteCount: vocabulary.longestByteCount)),
            added: AddedTokens([]) { $0 }, unknown: unknown.number)
        core.normalizer = .bert(
            lowercases: pieces.lowercases, splitsChinese: pieces.splitsChinese,
            stripsAccents: pieces.stripsAccents ?? pieces.lowercases)
        core.preTokenizer.steps = PreTokenizer.bert
        core.decoder.steps = [.wordPieces(prefix: Array("##".utf8), cleansUp: true)]
        let (start, end) = (try number("cls_token", "[CLS]"), try number("sep_token", "[SEP]"))
        core.frame.before = [start.number]
        core.frame.after = [end.number]
        var found = named(in: vocabulary, without: tokens)
        for name in ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"] {
            guard let number = vocabulary.number(name),
                !(tokens + found).contains(where: { $0.number == number })
            else { continue }
            found.append(.init(number: number, content: Array(name.utf8), isSpecial: true))
        }
        let normalizer = core.normalizer
        core.added = AddedTokens(tokens + found) { normalizer.normalize($0) }
        return core
    }

    private static func pieces(_ file: [UInt8]) throws -> TokenVocabulary {
        if let offset = file.withUnsafeBytes({ UTF8Validator.firstInvalidOffset(in: $0) }) {
            throw TokenizerFault(place: "", reason: "it is not UTF-8 text (at byte \(offset))")
        }
        return try file.withUnsafeBufferPointer { file in
            var lines: [Range<Int>] = []
            var start = 0
            while start < file.count {
                var end = start
                while end < file.count, file[end] != 0x0A { end += 1 }
                let next = end + 1
                while end > start {
                    let before = UTF8Reader.characterStart(file, before: end)
                    guard ScalarTable.isWhitespace(UTF8Reader.scalar(file, before).value) else { break }
                    end = before
                }
                lines.append(start..<end)
                start = next
            }
            var vocabulary = TokenVocabulary(capacity: lines.count)
            for (number, line) in lines.enumerated().reversed() where !line.isEmpty {
                let text = UnsafeBufferPointer(rebasing: file[line])
                guard vocabulary.number(text) < 0 else { continue }
                if let reason = vocabulary.insert(text, number: number) {
                    throw TokenizerFault(place: "line \(number + 1)", reason: reason)
                }
            }
            return vocabulary
        }
    }
}

/// What `tokenizer_config.json` says of a list of word pieces.
struct WordPieceOptions: Sendable {
    var lowercases = true
    var splitsChinese = true
    /// Nil for the same as `lowercases`.
    var stripsAccents: Bool?

    /// False where text is not cut into words first, an option of BERT's tokenizers in Python.
    var isBasic = true

    /// Takes the options of an object.
    mutating func add(_ object: JSONNode) throws {
        func flag(_ name: String) throws -> Bool? { try object.member(name)?.bool() }
        lowercases = try flag("do_lower_case") ?? lowercases
        splitsChinese = try flag("tokenize_chinese_chars") ?? splitsChinese
        stripsAccents = try flag("strip_accents") ?? stripsAccents
        isBasic = try flag("do_basic_tokenize") ?? isBasic
    }
}
