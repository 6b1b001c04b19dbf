import RetNetArchitecture
import RetNetText

/// A special token on which a model and its tokenizer disagree.
public enum SpecialTokenProblem: Error, Sendable, Equatable {
    /// The purpose of a special token of a model.
    public enum Role: String, Sendable {
        /// Ends a text.
        case end = "eos_token_id"
        /// Fills unused positions.
        case padding = "pad_token_id"
        /// Begins a text.
        case begin = "bos_token_id"
        /// The first input of a decoder.
        case start = "decoder_start_token_id"
    }

    /// The tokenizer has no end token, with which every source and target of a T5 ends.
    case noEndToken
    /// The model has another token than the tokenizer.
    case differs(Role, model: Int, tokenizer: Int)
    /// The model's token is the tokenizer's unknown token, a sentinel or text.
    case taken(Role, model: Int, by: String)
    /// `generation_config.json` has another token than the model or its tokenizer.
    case otherDefault(Role, found: [Int], expected: Int)
    /// `generation_config.json` has a token outside the vocabulary.
    case outside(Role, found: Int, vocabularySize: Int)
}

extension SpecialTokenProblem: CustomStringConvertible {
    /// The problem and the remedy, as part of a sentence.
    public var description: String {
        switch self {
        case .noEndToken:
            return
                "the tokenizer has no end token, with which all texts of a T5 end: use a SentencePiece model with one"
                + " ('</s>', --eos_id when it is made), or byte-sentinel"
        case .differs(let role, let model, let tokenizer):
            return
                "the \(role.name) of the model is \(model), but that of the tokenizer is \(tokenizer): set \(role.places)"
                + " to \(tokenizer)"
        case .taken(let role, let model, let meaning):
            return
                "the \(role.name) of the model is \(model), which is \(meaning) of the tokenizer: set \(role.places) to a"
                + " token without text, or to one above the tokenizer's"
        case .otherDefault(let role, let found, let expected):
            let list = found.map(String.init).joined(separator: ", ")
            return
                "\(role.rawValue) in generation_config.json is \(list), but the \(role.name) is \(expected): "
                + (role == .end ? "add \(expected) to it" : "set it to \(expected)") + ", or remove it"
        case .outside(let role, let found, let size):
            return
                "\(role.rawValue) in generation_config.json is \(found), but the model has \(size) tokens: remove it"
        }
    }
}

extension SpecialTokenProblem.Role {
    fileprivate var name: String {
        switch self {
        case .end: "end token"
        case .padding: "padding token"
        case .begin: "begin token"
        case .start: "start token"
        }
    }

    /// The name in settings and the name in `config.json`.
    fileprivate var places: String {
        let setting = name.replacing(" ", with: "_")
        return "\(setting) (\(rawValue) in config.json)"
    }
}

// MARK: Encoder-decoders

extension T5Configuration {
    /// Returns everything in which the special tokens of a tokenizer differ from the model's; empty if they agree.
    ///
    /// The end and padding tokens are the tokenizer's, and none of the model's special tokens stands for unknown text, a
    /// sentinel or text. A T5 has no use for a begin token.
    public func specialTokenProblems(with tokenizer: any Tokenizer) -> [SpecialTokenProblem] {
        var problems: [SpecialTokenProblem] = []
        if let end = tokenizer.endToken {
            if Int(end) != endToken { problems.append(.differs(.end, model: endToken, tokenizer: Int(end))) }
        } else {
            problems.append(.noEndToken)
        }
        if let padding = tokenizer.paddingToken {
            if Int(padding) != paddingToken {
                problems.append(.differs(.padding, model: paddingToken, tokenizer: Int(padding)))
            }
        } else if let meaning = Self.meaning(of: paddingToken, in: tokenizer) {
            problems.append(.taken(.padding, model: paddingToken, by: meaning))
        }
        if startToken != paddingToken, let meaning = Self.meaning(of: startToken, in: tokenizer) {
            problems.append(.taken(.start, model: startToken, by: meaning))
        }
        return problems
    }

    /// Returns the architecture with the special tokens of a tokenizer and with rows for all its tokens.
    ///
    /// For architectures that were made for no tokenizer in particular: presets. A tokenizer without a padding token lends
    /// its begin token, and where it has neither, a row above its tokens is the padding.
    public func fitted(to tokenizer: any Tokenizer) -> T5Configuration {
        var result = self
        result.vocabularySize = max(vocabularySize, tokenizer.vocabularySize)
        if let end = tokenizer.endToken { result.endToken = Int(end) }
        if let padding = tokenizer.paddingToken {
            result.paddingToken = Int(padding)
        } else if Self.meaning(of: paddingToken, in: tokenizer) != nil || paddingToken == result.endToken {
            result.paddingToken = tokenizer.beginToken.map { Int($0) } ?? tokenizer.vocabularySize
            result.vocabularySize = max(result.vocabularySize, result.paddingToken + 1)
        }
        if startToken == paddingToken || Self.meaning(of: startToken, in: tokenizer) != nil {
            result.startToken = result.paddingToken
        }
        return result
    }

    /// Returns what a token stands for in the text of a tokenizer; nil for control tokens and unused numbers.
    private static func meaning(of token: Int, in tokenizer: any Tokenizer) -> String? {
        guard let token = Int32(exactly: token) else { return nil }
        if token == tokenizer.unknownToken { return "the unknown token" }
        if (tokenizer as? any SentinelTokenizer)?.sentinels.contains(token) == true { return "a sentinel" }
        let bytes = tokenizer.bytes(of: token)
        // A zero byte is no text; models over bytes begin with it.
        return bytes.isEmpty || bytes == [0] ? nil : "the text '\(String(decoding: bytes, as: UTF8.self))'"
    }

    /// Returns everything in which a folder's sampling settings differ from the model's special tokens.
    package func specialTokenProblems(with defaults: GenerationDefaults) -> [SpecialTokenProblem] {
        defaults.specialTokenProblems(
            end: endToken, begin: nil, padding: paddingToken, start: startToken,
            vocabularySize: vocabularySize)
    }
}

// MARK: Folders

extension GenerationDefaults {
    /// Returns the tokens that are outside the vocabulary or other than those given, where both are there.
    func specialTokenProblems(
        end: Int?, begin: Int?, padding: Int?, start: Int?, vocabularySize: Int
    ) -> [SpecialTokenProblem] {
        var problems: [SpecialTokenProblem] = []
        func check(_ role: SpecialTokenProblem.Role, _ found: [Int32]?, _ expected: Int?) {
            guard let found = found?.map({ Int($0) }), !found.isEmpty else { return }
            if let outside = found.first(where: { $0 >= vocabularySize }) {
                problems.append(.outside(role, found: outside, vocabularySize: vocabularySize))
            } else if let expected, !found.contains(expected) {
                problems.append(.otherDefault(role, found: found, expected: expected))
            }
        }
        check(.end, endTokens, end)
        check(.begin, beginToken.map { [$0] }, begin)
        check(.padding, paddingToken.map { [$0] }, padding)
        check(.start, decoderStartToken.map { [$0] }, start)
        return problems
    }

    /// Returns the end tokens that a decoder-only model cannot choose.
    ///
    /// Other tokens than the tokenizer's are the folder's choice, as in Transformers; see `remarks(on:sourceName:)`.
    package func specialTokenProblems(vocabularySize: Int) -> [SpecialTokenProblem] {
        (endTokens ?? []).filter { Int($0) >= vocabularySize }.prefix(1).map {
            .outside(.end, found: Int($0), vocabularySize: vocabularySize)
        }
    }
}
