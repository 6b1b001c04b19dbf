import Foundation
import RetNetStorage

/// What this package writes into `tokenizer_config.json`, beside the fields of other projects.
struct TokenizerConfiguration: Equatable {
    var kind: String
    var identity: String?
    var vocabularySize: Int?
    var beginTokenID: Int32?
    var endTokenID: Int32?
    var paddingTokenID: Int32?
    /// True if the model's texts begin with the begin token; nil in files of early versions, whose models all do.
    var beginsTexts: Bool?
    // Names for Hugging Face Transformers.
    var beginToken: String? = "<bos>"
    var endToken: String? = "<eos>"
    var paddingToken: String? = "<pad>"
    var unknownToken: String?
    var className: String?
    /// The number of sentinels added to a SentencePiece model.
    var sentinelCount: Int?

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case beginsTexts = "add_bos_token"
        case beginToken = "bos_token"
        case beginTokenID = "bos_token_id"
        case endToken = "eos_token"
        case endTokenID = "eos_token_id"
        case sentinelCount = "extra_ids"
        case identity
        case kind
        case paddingToken = "pad_token"
        case paddingTokenID = "pad_token_id"
        case className = "tokenizer_class"
        case unknownToken = "unk_token"
        case vocabularySize = "vocab_size"

        /// True for names that another project's file may give in its own form, which is then kept.
        var isTheirs: Bool {
            switch self {
            case .beginToken, .endToken, .paddingToken, .unknownToken, .className: true
            default: false
            }
        }
    }
}

extension TokenizerConfiguration: Codable {
    /// Reads what describes the tokenizer; the names, which may be objects in files of other projects, are not needed.
    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        self.init(kind: try fields.decode(String.self, forKey: .kind))
        identity = try fields.decodeIfPresent(String.self, forKey: .identity)
        vocabularySize = try fields.decodeIfPresent(Int.self, forKey: .vocabularySize)
        beginTokenID = try fields.decodeIfPresent(Int32.self, forKey: .beginTokenID)
        endTokenID = try fields.decodeIfPresent(Int32.self, forKey: .endTokenID)
        paddingTokenID = try fields.decodeIfPresent(Int32.self, forKey: .paddingTokenID)
        beginsTexts = try fields.decodeIfPresent(Bool.self, forKey: .beginsTexts)
        sentinelCount = try fields.decodeIfPresent(Int.self, forKey: .sentinelCount)
    }

    /// The fields that have a value, as JSON, by name.
    private var members: [(key: CodingKeys, value: String)] {
        get throws {
            func text(_ value: (any Encodable)?) throws -> String? {
                try value.map { value in
                    let encoder = JSONEncoder()
                    encoder.outputFormatting = .withoutEscapingSlashes
                    return String(decoding: try encoder.encode(value), as: UTF8.self)
                }
            }
            let values: [CodingKeys: (any Encodable)?] = [
                .kind: kind, .identity: identity, .vocabularySize: vocabularySize,
                .beginTokenID: beginTokenID, .endTokenID: endTokenID, .paddingTokenID: paddingTokenID,
                .beginsTexts: beginsTexts, .beginToken: beginToken, .endToken: endToken,
                .paddingToken: paddingToken, .unknownToken: unknownToken, .className: className,
                .sentinelCount: sentinelCount,
            ]
            return try CodingKeys.allCases.compactMap { key in
                try text(values[key] ?? nil).map { (key, $0) }
            }
        }
    }

    /// Returns the text of the file: the fields of another project's as they are, and those of this package.
    ///
    /// Throws `TextError.invalidTokenizer` if the other file is not JSON.
    func text(over other: [UInt8]?) throws -> String {
        var entries: [(name: String, value: String)] = []
        if let other {
            do {
                entries = try other.withUnsafeBytes { try Self.members(of: $0) }
            } catch {
                throw TextError.invalidTokenizer(path: TokenizerLoader.fileName, reason: "it is not JSON")
            }
        }
        for (key, value) in try members {
            guard let index = entries.firstIndex(where: { $0.name == key.stringValue }) else {
                entries.append((key.stringValue, value))
                continue
            }
            if !key.isTheirs || entries[index].value == "null" { entries[index].value = value }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        let lines = try entries.map { name, value in
            "  \(String(decoding: try encoder.encode(name), as: UTF8.self)) : \(value)"
        }
        return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
    }

    /// Returns the members of an object with their values as they are written.
    private static func members(of file: UnsafeRawBufferPointer) throws -> [(name: String, value: String)] {
        var entries: [(name: String, value: String)] = []
        var scanner = try JSONScanner(file)
        scanner.skipByteOrderMark()
        try scanner.readObject { scanner, name in
            _ = scanner.peek()
            let start = scanner.offset
            try scanner.skipValue()
            entries.append((name, String(decoding: file[start..<scanner.offset], as: UTF8.self)))
        }
        try scanner.finish()
        return entries
    }
}

/// Files beside a tokenizer's that other programs read, such as a template for chats.
///
/// They are written again as they were, also `tokenizer_config.json` of another project: a folder with that file is read by
/// the rules of that project.
struct TokenizerCompanions: Sendable {
    private static let names = ["special_tokens_map.json", "added_tokens.json", "chat_template.jinja"]
    private static let maximumByteCount = 1 << 24

    /// The files by name.
    private(set) var files: [(name: String, bytes: [UInt8])] = []
    /// The bytes of `tokenizer_config.json`.
    private(set) var configuration: [UInt8]?
    /// True if `tokenizer_config.json` was written by this package.
    private(set) var configurationIsOurs = false
    /// True if `tokenizer_config.json` is another project's and says all about the tokenizer.
    var configurationIsTheirs = false

    /// No files.
    init() {}

    /// Reads the files of a folder, the working directory for an empty path.
    init(folder: String) throws {
        for name in Self.names {
            if let bytes = try Self.bytes(name, in: folder) { files.append((name, bytes)) }
        }
        configuration = try Self.bytes(TokenizerLoader.fileName, in: folder)
        guard let configuration else { return }
        do {
            let root = try configuration.withUnsafeBytes { try JSONTape($0) }.root
            configurationIsOurs = try root.member("kind") != nil
            configurationIsTheirs = !configurationIsOurs
        } catch let fault as TokenizerFault {
            throw fault.error(path: (folder.isEmpty ? "" : folder + "/") + TokenizerLoader.fileName)
        }
    }

    /// Returns a file, or nil if it is not there.
    private static func bytes(_ name: String, in folder: String) throws -> [UInt8]? {
        let path = (folder.isEmpty ? "" : folder + "/") + name
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let file = try MappedFile(path: path)
        guard file.byteCount <= maximumByteCount else {
            throw TextError.invalidTokenizer(
                path: path, reason: "it is larger than \(maximumByteCount) bytes")
        }
        return file.withUnsafeBytes { Array($0) }
    }

    /// Returns a file by its name.
    func file(_ name: String) -> [UInt8]? {
        name == TokenizerLoader.fileName ? configuration : files.first { $0.name == name }?.bytes
    }

    /// Writes the files into a folder, and a configuration into `tokenizer_config.json` unless that is another project's.
    func save(_ own: TokenizerConfiguration, to folder: String) throws {
        for (name, bytes) in files { try AtomicFile.write(Data(bytes), to: folder + "/" + name) }
        let text =
            configurationIsTheirs
            ? Data(configuration ?? []) : Data(try own.text(over: configuration).utf8)
        try AtomicFile.write(text, to: folder + "/" + TokenizerLoader.fileName)
    }
}
