import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetSettings
import RetNetText

/// `retnet tokenizer`: encoding, decoding, training and description of tokenizers.
struct TokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer",
        abstract: "Encode and decode text, train tokenizers, and show what is in one.",
        subcommands: [
            TokenizerEncodeCommand.self, TokenizerDecodeCommand.self, TokenizerTrainCommand.self,
            TokenizerInfoCommand.self,
        ])

    /// Returns the tokenizer of a name, file or folder; that of a run is the one of its newest checkpoint.
    static func load(_ name: String) throws -> any Tokenizer {
        if try TokenizerRecipe(named: name) != nil {
            throw CommandError(
                "'\(name)' is the recipe of a tokenizer that a training run makes: give a file or folder of a tokenizer"
            )
        }
        let name = try HubModels.folder(name, for: .tokenizer)
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder)
        guard exists, isFolder.boolValue, !TokenizerLoader.hasFiles(in: name) else {
            return try TokenizerLoader.load(named: name)
        }
        guard let path = try? ModelOptions.modelPath(name), TokenizerLoader.hasFiles(in: path) else {
            throw CommandError(
                "'\(name)' holds no tokenizer: give a folder with tokenizer.json, with vocab.json and merges.txt, with vocab.txt "
                    + "or with a SentencePiece model, or the folder of a run")
        }
        return try TokenizerLoader.load(folder: path)
    }

    /// Returns a tokenizer that takes special tokens from text; throws for one that never does, naming the option.
    static func recognizing(_ tokenizer: any Tokenizer, named name: String, option: String) throws
        -> any Tokenizer
    {
        let recognizing = tokenizer.with(.recognized)
        guard recognizing.specialTokensInText == .recognized else {
            throw CommandError(
                "\(option) does nothing here: the tokenizer '\(name)' takes no special tokens from text"
                    + (tokenizer is SentencePieceTokenizer
                        ? ", as SentencePiece does not (user-defined pieces it always takes)" : "")
                    + "; leave it out, or give a tokenizer.json")
        }
        return recognizing
    }
}

/// The tokenizer of a subcommand of `retnet tokenizer`.
struct TokenizerChoice: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Tokenizer: byte, byte-sentinel, a tokenizer.json, a SentencePiece model (.model), a folder, or OWNER/NAME of the hub.",
            valueName: "name|path"))
    var tokenizer: String

    func load() throws -> any Tokenizer { try TokenizerCommand.load(tokenizer) }
}

// MARK: Encoding

/// `retnet tokenizer encode`: text to token ids.
struct TokenizerEncodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encode",
        abstract: "Write the token ids of a text.",
        discussion: """
            Standard input is one text, whose ids are written separated by spaces, or as JSON with the offsets of each \
            token. With --jsonl, each line {"text": …} gives a line {"ids": […], "offsets": […]}. Offsets are \
            the first character of each token and the one behind its last, counted in Unicode code points; tokens \
            that are only added have [0, 0].
            """)

    @OptionGroup var choice: TokenizerChoice

    @Option(
        help: ArgumentHelp("Objects with a text, one on each line; - is standard input.", valueName: "file"))
    var jsonl: String?

    @Flag(
        help: ArgumentHelp(
            "Special tokens that are written out in the text, such as </s>, become those tokens.",
            discussion:
                "Of SentencePiece models and bytes these are T5's sentinels, <extra_id_0> and so on, if they have them."
        ))
    var parseSpecial = false

    @Flag(help: "Add the tokens that the tokenizer's files put around a text.")
    var addSpecialTokens = false

    @Flag(help: "Add the tokenizer's begin token in front.")
    var addBegin = false

    @Flag(help: "Add the tokenizer's end token behind.")
    var addEnd = false

    @Flag(help: "Print one JSON object with ids and offsets instead of ids.")
    var json = false

    func validate() throws {
        if addSpecialTokens, addBegin || addEnd {
            throw ValidationError("give --add-special-tokens, or --add-begin and --add-end, not both")
        }
        if json, jsonl != nil { throw ValidationError("--json is for one text; lines are always JSON") }
    }

    func run() throws {
        let encoder = try encoder()
        guard let jsonl else {
            let text = try TextInput.text("-")
            let line = json ? encoder.line(text) : encoder.ids(text).map(String.init).joined(separator: " ")
            return Console.result(line)
        }
        try LineFilter(jsonl).run { try encoder.line($0.text("text")) }
    }

    private func encoder() throws -> Encoder {
        let tokenizer = try choice.load()
        let around = try around(tokenizer)
        guard parseSpecial else { return Encoder(tokenizer: tokenizer.with(.text), around: around) }
        if tokenizer.with(.recognized).specialTokensInText == .text,
            let sentinels = tokenizer as? any SentinelTokenizer, !sentinels.sentinels.isEmpty
        {
            return Encoder(tokenizer: tokenizer, around: around, sentinels: sentinels)
        }
        return Encoder(
            tokenizer: try TokenizerCommand.recognizing(
                tokenizer, named: choice.tokenizer, option: "--parse-special"), around: around)
    }

    private func around(_ tokenizer: any Tokenizer) throws -> (before: [Int32], after: [Int32]) {
        if addSpecialTokens { return tokenizer.tokensAround }
        func token(_ token: Int32?, _ name: String, isWanted: Bool) throws -> [Int32] {
            guard isWanted else { return [] }
            guard let token else {
                throw CommandError(
                    "the tokenizer '\(choice.tokenizer)' has no \(name) token: leave --add-\(name) out")
            }
            return [token]
        }
        return (
            try token(tokenizer.beginToken, "begin", isWanted: addBegin),
            try token(tokenizer.endToken, "end", isWanted: addEnd)
        )
    }

    private struct Encoder {
        let tokenizer: any Tokenizer
        let around: (before: [Int32], after: [Int32])
        /// The tokenizer, if it takes T5's sentinels from text.
        var sentinels: (any SentinelTokenizer)?

        func ids(_ text: String) -> [Int32] {
            around.before + (sentinels?.encodeWithSentinels(text) ?? tokenizer.encode(text)) + around.after
        }

        /// Returns the ids and the offsets of a text as one line of JSON.
        func line(_ text: String) -> String {
            let located =
                sentinels?.encodeWithSentinelOffsets(text) ?? tokenizer.encodeWithOffsets(text)
            let ids = around.before + located.tokens + around.after
            var offsets = around.before.map { _ in "[0,0]" }
            offsets += CodePointRanges(text).ranges(located.ranges).map {
                "[\($0.lowerBound),\($0.upperBound)]"
            }
            offsets += around.after.map { _ in "[0,0]" }
            return "{\"ids\":[\(ids.map(String.init).joined(separator: ","))],"
                + "\"offsets\":[\(offsets.joined(separator: ","))]}"
        }
    }
}

/// The places of bytes of a text in code points.
struct CodePointRanges {
    private let text: [UInt8]

    init(_ text: String) { self.text = Array(text.utf8) }

    /// Returns ranges of bytes, whose starts hardly ever fall, as ranges of code points.
    func ranges(_ ranges: [Range<Int>]) -> [Range<Int>] {
        // The byte up to which code points have been counted, and their number.
        var (byte, count) = (0, 0)
        func place(_ wanted: Int) -> Int {
            let wanted = min(max(wanted, 0), text.count)
            while byte < wanted {
                if text[byte] & 0xC0 != 0x80 { count += 1 }
                byte += 1
            }
            while byte > wanted {
                byte -= 1
                if text[byte] & 0xC0 != 0x80 { count -= 1 }
            }
            return count
        }
        return ranges.map { range in
            let start = place(range.lowerBound)
            return start..<max(start, place(range.upperBound))
        }
    }
}

// MARK: Decoding

/// `retnet tokenizer decode`: token ids to text.
struct TokenizerDecodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Write the text of token ids.",
        discussion: """
            Ids are given as arguments or on standard input, separated by spaces, commas or line ends. The text is written \
            as it is, without a line end of its own. With --jsonl, each line {"ids": […]} gives a line \
            {"text": …}. Special tokens have no text.
            """)

    @OptionGroup var choice: TokenizerChoice

    @Argument(help: "Token ids (default: standard input).")
    var ids: [String] = []

    @Option(help: ArgumentHelp("Objects with ids, one on each line; - is standard input.", valueName: "file"))
    var jsonl: String?

    func validate() throws {
        if jsonl != nil, !ids.isEmpty { throw ValidationError("give ids or --jsonl, not both") }
    }

    func run() throws {
        let tokenizer = try choice.load()
        guard let jsonl else {
            let words = ids.isEmpty ? [try TextInput.text("-")] : ids
            let names = words.flatMap { $0.split { $0.isWhitespace || $0 == "," || $0 == "[" || $0 == "]" } }
            let tokens = try names.enumerated().map { index, name in
                guard let id = Int(name), let token = Self.token(id, of: tokenizer) else {
                    throw CommandError(
                        "id \(index) is '\(name)', not a number from 0 to \(tokenizer.vocabularySize - 1)")
                }
                return token
            }
            return Console.stream(tokenizer.decode(tokens))
        }
        try LineFilter(jsonl).run { line in
            let tokens = try line.integers("ids").enumerated().map { index, id in
                guard let token = Self.token(id, of: tokenizer) else {
                    throw line.error(
                        "id \(index) is \(id), outside the vocabulary of \(tokenizer.vocabularySize) tokens")
                }
                return token
            }
            return "{\"text\":\(try SettingsTree.string(tokenizer.decode(tokens)).jsonText().dropLast())}"
        }
    }

    private static func token(_ id: Int, of tokenizer: any Tokenizer) -> Int32? {
        id >= 0 && id < tokenizer.vocabularySize ? Int32(exactly: id) : nil
    }
}
