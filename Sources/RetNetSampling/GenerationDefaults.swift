import Foundation
import RetNetArchitecture
import RetNetSettings
import RetNetStorage
import RetNetText

/// The settings of generation in a model folder's `generation_config.json`; nil where it has none.
///
/// The names in the file are those of Hugging Face Transformers. Other names are ignored when reading, because the field has many.
public struct GenerationDefaults: Sendable, Equatable {
    /// The name of the file.
    public static let fileName = "generation_config.json"
    private static let maximumByteCount = 1 << 20

    /// `max_new_tokens`: largest number of tokens to generate.
    public var maxTokens: Int?
    /// `do_sample`: true to draw tokens at random, false to take the most probable one.
    public var samples: Bool?
    /// `temperature`: divisor of the logits.
    public var temperature: Double?
    /// `top_k`: number of most probable tokens to keep; 0 keeps all.
    public var topK: Int?
    /// `top_p`: probability mass to keep.
    public var topP: Double?
    /// `min_p`: least probability to keep, relative to that of the most probable token.
    public var minP: Double?
    /// `repetition_penalty`: divisor of the positive logits of recent tokens.
    public var repetitionPenalty: Double?
    /// `eos_token_id`: the tokens that end a text; an integer or a list in the file.
    public var endTokens: [Int32]?
    /// `bos_token_id`: the token that begins a text.
    public var beginToken: Int32?
    /// `pad_token_id`: the token that fills unused places.
    public var paddingToken: Int32?
    /// `decoder_start_token_id`: the token that the decoder of an encoder-decoder starts with.
    public var decoderStartToken: Int32?
    /// `num_beams`: number of beams of a search; 1 takes the most probable token.
    public var beamCount: Int?
    /// `length_penalty`: exponent of the length by which the score of a beam is divided.
    public var lengthPenalty: Double?

    /// Creates empty defaults.
    public init() {}

    /// Reads the file of a model folder; a folder without one has empty defaults.
    ///
    /// Throws `StorageError` if the file cannot be read, and `SettingsError` with every wrong value.
    public init(folder: String) throws {
        self.init()
        let path = folder + "/" + Self.fileName
        guard FileManager.default.fileExists(atPath: path) else { return }
        let text = try JSONFile.text(path, maximumByteCount: Self.maximumByteCount)
        try self.init(json: text, sourceName: path)
    }

    /// Reads the text of such a file; throws `SettingsError` with every wrong value.
    public init(json text: String, sourceName: String? = nil) throws {
        self.init()
        var reader = FieldReader(try SettingsDocument(json: text, sourceName: sourceName).tree)
        maxTokens = reader.integer("max_new_tokens", "a whole number from 0", from: 0)
        samples = reader.bool("do_sample")
        temperature = reader.number("temperature", "a number from 0") { $0 >= 0 }
        topK = reader.integer("top_k", "a whole number from 0", from: 0)
        topP = reader.number("top_p", "a number above 0 and at most 1") { $0 > 0 && $0 <= 1 }
        minP = reader.number("min_p", "a number from 0 to 1") { $0 >= 0 && $0 <= 1 }
        repetitionPenalty = reader.number("repetition_penalty", "a number above 0") { $0 > 0 }
        endTokens = reader.tokens("eos_token_id")
        beginToken = reader.token("bos_token_id")
        paddingToken = reader.token("pad_token_id")
        decoderStartToken = reader.token("decoder_start_token_id")
        beamCount = reader.integer("num_beams", "a whole number from 1", from: 1)
        lengthPenalty = reader.number("length_penalty", "a number") { _ in true }
        guard reader.problems.isEmpty else { throw SettingsError(reader.problems, sourceName: sourceName) }
    }

    /// Returns the settings with the special tokens of a configuration in the place of those that are missing.
    package func filled(from tokens: SpecialTokens) -> GenerationDefaults {
        var result = self
        func number(_ token: Int?) -> Int32? { token.flatMap { Int32(exactly: $0) } }
        result.beginToken = beginToken ?? number(tokens.begin)
        result.endTokens = endTokens ?? number(tokens.end).map { [$0] }
        result.paddingToken = paddingToken ?? number(tokens.padding)
        return result
    }

    /// Returns a sentence for each special token that differs from the tokenizer's, saying which one counts.
    ///
    /// `sourceName` is the name of the file with the settings.
    package func remarks(on tokenizer: any Tokenizer, sourceName: String) -> [String] {
        func name(_ token: Int32) -> String {
            let text =
                tokenizer.specialName(of: token)
                ?? String(decoding: tokenizer.bytes(of: token), as: UTF8.self)
            return text.isEmpty ? "\(token)" : "\(token) ('\(text)')"
        }
        var remarks: [String] = []
        if let ends = endTokens, !ends.isEmpty, let end = tokenizer.endToken, !ends.contains(end) {
            let list = ends.map(name).joined(separator: " or ")
            remarks.append(
                "texts end at token \(list), as \(sourceName) says; the tokenizer's end token \(name(end)) does not end"
                    + " them")
        }
        if let begin = beginToken, let own = tokenizer.beginToken, begin != own, !tokenizer.textStart.isEmpty
        {
            remarks.append(
                "prompts begin with the tokenizer's begin token \(name(own)), not with \(name(begin)) of \(sourceName)"
            )
        }
        return remarks
    }

    /// Returns the text of the file; throws `SettingsError` for numbers that JSON cannot express.
    public func jsonText() throws -> String {
        var object = SettingsObject()
        func set(_ key: String, _ value: SettingsTree?) { object[key] = value }
        set("bos_token_id", beginToken.map { .int(Int($0)) })
        set(
            "eos_token_id",
            endTokens.map { $0.count == 1 ? .int(Int($0[0])) : .array($0.map { .int(Int($0)) }) })
        set("pad_token_id", paddingToken.map { .int(Int($0)) })
        set("decoder_start_token_id", decoderStartToken.map { .int(Int($0)) })
        set("num_beams", beamCount.map { .int($0) })
        set("length_penalty", lengthPenalty.map { .double($0) })
        set("max_new_tokens", maxTokens.map { .int($0) })
        set("do_sample", samples.map { .bool($0) })
        set("temperature", temperature.map { .double($0) })
        set("top_k", topK.map { .int($0) })
        set("top_p", topP.map { .double($0) })
        set("min_p", minP.map { .double($0) })
        set("repetition_penalty", repetitionPenalty.map { .double($0) })
        return try SettingsTree.object(object).jsonText()
    }

    /// Writes the file into a folder, in one step.
    public func save(to folder: String) throws {
        try AtomicFile.write(Data(try jsonText().utf8), to: folder + "/" + Self.fileName)
    }
}

/// A reader of known names of an object that collects all problems; null counts as absent.
private struct FieldReader {
    private(set) var problems: [SettingsProblem] = []
    private var object = SettingsObject()

    init(_ tree: SettingsTree) {
        if let found = tree.object {
            object = found
        } else {
            refuse("", tree, "an object")
        }
    }

    private mutating func refuse(_ key: String, _ value: SettingsTree, _ allowed: String) {
        problems.append(
            SettingsProblem(kind: .wrongValue, path: key, found: value.summary, allowed: allowed))
    }

    private func value(_ key: String) -> SettingsTree? {
        object[key].flatMap { $0 == .null ? nil : $0 }
    }

    mutating func bool(_ key: String) -> Bool? {
        guard let value = value(key) else { return nil }
        if case .bool(let result) = value { return result }
        refuse(key, value, "true or false")
        return nil
    }

    mutating func integer(_ key: String, _ allowed: String, from least: Int) -> Int? {
        guard let value = value(key) else { return nil }
        if let result = value.int, result >= least { return result }
        refuse(key, value, allowed)
        return nil
    }

    mutating func number(_ key: String, _ allowed: String, _ isAllowed: (Double) -> Bool) -> Double? {
        guard let value = value(key) else { return nil }
        if let result = value.double, result.isFinite, isAllowed(result) { return result }
        refuse(key, value, allowed)
        return nil
    }

    mutating func token(_ key: String) -> Int32? {
        // Early folders of Llama have -1 for a token that is not there.
        guard let value = value(key), value.int != -1 else { return nil }
        if let result = value.int.flatMap(Int32.init(exactly:)), result >= 0 { return result }
        refuse(key, value, "a token number")
        return nil
    }

    mutating func tokens(_ key: String) -> [Int32]? {
        guard let value = value(key) else { return nil }
        guard let elements = value.array else { return token(key).map { [$0] } }
        let tokens = elements.compactMap { $0.int.flatMap(Int32.init(exactly:)) }.filter { $0 >= 0 }
        guard tokens.count == elements.count, !tokens.isEmpty else {
            refuse(key, value, "a token number or a list of them")
            return nil
        }
        return tokens
    }
}
