import Foundation
import RetNetStorage

/// A loader of the tokenizer of a model folder or of a name.
public enum TokenizerLoader {
    /// The name of the tokenizer configuration in a folder.
    public static let fileName = "tokenizer_config.json"
    private static let maximumByteCount = 1 << 24
    /// Classes of Hugging Face Transformers that use a SentencePiece model without changes.
    private static let knownClasses = [
        "T5Tokenizer", "MT5Tokenizer", "LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer",
    ]

    /// Classes of Transformers that take a SentencePiece model as it is and add what the file says.
    private static let plainClasses = ["TokenizersBackend", "SentencePieceBackend", "PreTrainedTokenizer"]

    /// Classes of Hugging Face Transformers that read a list of word pieces in the same way.
    private static let pieceClasses = [
        "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer",
        "SqueezeBertTokenizer",
        "ConvBertTokenizer", "LayoutLMTokenizer", "LxmertTokenizer",
    ]

    /// Files of tokenizers of other kinds, the most telling first.
    private static let foreignFileNames =
        [HuggingFaceTokenizer.fileName] + HuggingFaceTokenizer.vocabularyNames
        + HuggingFaceTokenizer.mergesNames
        + [HuggingFaceTokenizer.piecesName]

    /// Names of all files that describe a tokenizer in model folders, of this package and of other projects.
    public static let fileNames: [String] =
        [fileName, SentencePieceTokenizer.sentinelFileName, SentencePieceTokenizer.plainFileName]
        + foreignFileNames + ["special_tokens_map.json", "added_tokens.json", "chat_template.jinja"]

    /// Returns true if a folder has files of a tokenizer, of whatever kind.
    public static func hasFiles(in folder: String) -> Bool {
        ([fileName, SentencePieceTokenizer.sentinelFileName, SentencePieceTokenizer.plainFileName]
            + foreignFileNames)
            .contains { FileManager.default.fileExists(atPath: folder + "/" + $0) }
    }

    /// Returns the tokenizer of a model folder; throws `TextError` or `StorageError`.
    ///
    /// The folder may be one of this package or of other projects. There `tokenizer.json` comes first, as in Transformers:
    /// tokens added to a model are only in it. Then come GPT-2's vocabulary with its merges, a SentencePiece model
    /// (`spiece.model` or `tokenizer.model`), and BERT's list of word pieces (`vocab.txt`). Of T5 the SentencePiece model comes first, which is what these models were
    /// trained with, and sentinels are added if it has none. A folder whose tokenizer has another form is refused with
    /// ``TextError/unsupportedTokenizer(folder:found:)``.
    public static func load(folder: String) throws -> any Tokenizer {
        let path = folder + "/" + fileName
        guard hasFiles(in: folder) else {
            guard FileManager.default.fileExists(atPath: folder) else {
                throw StorageError.notFound(path: folder)
            }
            throw TextError.noTokenizer(folder: folder)
        }
        let model = SentencePieceTokenizer.modelPath(in: folder)
        let hasConfiguration = FileManager.default.fileExists(atPath: path)
        var files = HuggingFaceTokenizer.paths(in: folder)
        // No T5 was trained with word pieces.
        if files == [folder + "/" + HuggingFaceTokenizer.piecesName], isT5(folder) { files = nil }
        let isOurs = try hasConfiguration && object(path).fields["kind"] != nil
        if let files, !isOurs, model == nil || !isT5(folder) {
            try checkClass(folder, hasConfiguration: hasConfiguration, files: files)
            return try HuggingFaceTokenizer(paths: files)
        }
        if let model, !hasConfiguration {
            return try SentencePieceTokenizer(
                path: model, sentinelCount: isT5(folder) ? SentencePieceTokenizer.usualSentinelCount : 0,
                beginsTexts: !isT5(folder), companions: TokenizerCompanions(folder: folder))
        }
        let configuration = try hasConfiguration ? read(path, hasModel: model != nil) : nil
        if let configuration, configuration.kind == HuggingFaceTokenizer.kind {
            guard let files else {
                throw TextError.invalidTokenizer(
                    path: path,
                    reason:
                        "its files, \(HuggingFaceTokenizer.fileName), vocab.json and merges.txt, or vocab.txt, are missing"
                )
            }
            let tokenizer = try HuggingFaceTokenizer(paths: files)
            try check(configuration, describes: tokenizer, path: path)
            return tokenizer
        }
        guard let configuration else {
            throw TextError.unsupportedTokenizer(folder: folder, found: foreignFile(in: folder) ?? "no file")
        }
        let tokenizer: any Tokenizer
        switch configuration.kind {
        case ByteTokenizer.kind: tokenizer = ByteTokenizer()
        case SentinelByteTokenizer.kind: tokenizer = SentinelByteTokenizer()
        case SentencePieceTokenizer.kind:
            guard let model else {
                throw TextError.invalidTokenizer(
                    path: path,
                    reason: "its model file, \(SentencePieceTokenizer.sentinelFileName) or "
                        + "\(SentencePieceTokenizer.plainFileName), is missing")
            }
            tokenizer = try SentencePieceTokenizer(
                path: model, sentinelCount: configuration.sentinelCount ?? 0,
                beginsTexts: configuration.beginsTexts ?? true,
                companions: TokenizerCompanions(folder: folder))
        default:
            throw TextError.unknownTokenizerKind(
                path: path, kind: configuration.kind,
                known: [
                    ByteTokenizer.kind, SentinelByteTokenizer.kind, SentencePieceTokenizer.kind,
                    HuggingFaceTokenizer.kind,
                ])
        }
        try check(configuration, describes: tokenizer, path: path)
        return tokenizer
    }

    /// Returns the tokenizer of a name: `byte`, `byte-sentinel`, a `tokenizer.json`, one of GPT-2's files beside the other
    /// (`vocab.json` or `encoder.json` and `merges.txt` or `vocab.bpe`), BERT's `vocab.txt`, a SentencePiece model file, or a model folder.
    ///
    /// `sentinelCount` sentinels are added to a model file that has none. Throws `TextError` or `StorageError`.
    public static func load(named name: String, sentinelCount: Int = 0) throws -> any Tokenizer {
        switch name {
        case ByteTokenizer.kind: return ByteTokenizer()
        case SentinelByteTokenizer.kind: return SentinelByteTokenizer()
        default: break
        }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: name, isDirectory: &isFolder) else {
            throw TextError.invalidArgument(
                name: "tokenizer",
                reason:
                    "'\(name)' does not exist; use '\(ByteTokenizer.kind)', '\(SentinelByteTokenizer.kind)', a "
                    + "tokenizer.json, a SentencePiece model file or a model folder")
        }
        if isFolder.boolValue { return try load(folder: name) }
        if let files = try HuggingFaceTokenizer.paths(of: name) {
            return try HuggingFaceTokenizer(paths: files)
        }
        do {
            return try SentencePieceTokenizer(path: name, sentinelCount: sentinelCount)
        } catch let error as TextError {
            guard case .invalidTokenizer = error, isText(name) else { throw error }
            throw TextError.invalidTokenizer(
                path: name,
                reason:
                    "it is text without the name of a tokenizer's file (tokenizer.json, vocab.json with merges.txt, vocab.txt), and "
                    + "SentencePiece models are binary")
        }
    }

    /// Returns true for a file of UTF-8 text without zero bytes.
    private static func isText(_ path: String) -> Bool {
        guard let file = try? MappedFile(path: path), file.byteCount <= maximumByteCount else { return false }
        return file.withUnsafeBytes { !$0.contains(0) && UTF8Validator.firstInvalidOffset(in: $0) == nil }
    }

    private static func read(_ path: String, hasModel: Bool) throws -> TokenizerConfiguration {
        let (data, fields) = try object(path)
        guard fields["kind"] != nil else { return try foreign(fields, path: path, hasModel: hasModel) }
        do {
            return try JSONDecoder().decode(TokenizerConfiguration.self, from: data)
        } catch {
            throw TextError.invalidTokenizer(path: path, reason: "a value has the wrong type")
        }
    }

    /// Returns the configuration of another project, which names a class instead of a kind.
    private static func foreign(
        _ fields: [String: Any], path: String, hasModel: Bool
    ) throws -> TokenizerConfiguration {
        let className = fields["tokenizer_class"] as? String
        let name = className.map { $0.hasSuffix("Fast") ? String($0.dropLast(4)) : $0 }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let isPlain = name.map(plainClasses.contains) ?? false
        guard hasModel, isPlain || name.map(knownClasses.contains) ?? true else {
            let found = [className.map { "class \($0)" }, foreignFile(in: folder)].compactMap { $0 }
            guard found.isEmpty else {
                throw TextError.unsupportedTokenizer(folder: folder, found: found.joined(separator: ", "))
            }
            throw TextError.invalidTokenizer(path: path, reason: "the key 'kind' is missing")
        }
        var configuration = TokenizerConfiguration(kind: SentencePieceTokenizer.kind)
        let usual = name == "T5Tokenizer" || ((name == nil || isPlain) && isT5(folder))
        // Llama's tokenizers add it unless specified otherwise, T5's and those without a class of their own never.
        configuration.beginsTexts =
            fields["add_bos_token"] as? Bool ?? !(isPlain || usual || name == "MT5Tokenizer")
        configuration.sentinelCount =
            fields["extra_ids"] as? Int ?? (usual ? SentencePieceTokenizer.usualSentinelCount : 0)
        return configuration
    }

    /// Refuses lists of word pieces of classes that read them in their own way, by name.
    private static func checkClass(_ folder: String, hasConfiguration: Bool, files: [String]) throws {
        guard hasConfiguration, files == [folder + "/" + HuggingFaceTokenizer.piecesName] else { return }
        let fields = try object(folder + "/" + fileName).fields
        guard let name = fields["tokenizer_class"] as? String else { return }
        let plain = name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
        guard pieceClasses.contains(plain) else {
            throw TextError.unsupportedTokenizer(
                folder: folder, found: "class \(name), \(HuggingFaceTokenizer.piecesName)")
        }
    }

    /// Returns the name of a file with a tokenizer of another kind.
    private static func foreignFile(in folder: String) -> String? {
        foreignFileNames.first { FileManager.default.fileExists(atPath: folder + "/" + $0) }
    }

    /// Returns true if the model of a folder is a T5, by its `config.json`.
    private static func isT5(_ folder: String) -> Bool {
        (try? object(folder + "/config.json"))?.fields["model_type"] as? String == "t5"
    }

    private static func object(_ path: String) throws -> (data: Data, fields: [String: Any]) {
        let file = try MappedFile(path: path)
        guard file.byteCount <= maximumByteCount else {
            throw TextError.invalidTokenizer(
                path: path, reason: "it is larger than \(maximumByteCount) bytes")
        }
        let data = file.withUnsafeBytes { Data($0) }
        let object: Any
        do {
            object = try JSONSerialization.jsonObject(with: data)
        } catch {
            throw TextError.invalidTokenizer(path: path, reason: "it is not JSON")
        }
        guard let fields = object as? [String: Any] else {
            throw TextError.invalidTokenizer(path: path, reason: "it is not a JSON object")
        }
        return (data, fields)
    }

    private static func check(
        _ configuration: TokenizerConfiguration, describes tokenizer: any Tokenizer, path: String
    ) throws {
        var faults: [String] = []
        func compare<T: Equatable>(_ key: String, _ found: T?, _ expected: T?) {
            guard let found, found != expected else { return }
            faults.append("\(key) is \(found), not \(expected.map { "\($0)" } ?? "absent")")
        }
        compare("identity", configuration.identity, tokenizer.identity)
        compare("vocab_size", configuration.vocabularySize, tokenizer.vocabularySize)
        compare("bos_token_id", configuration.beginTokenID, tokenizer.beginToken)
        compare("eos_token_id", configuration.endTokenID, tokenizer.endToken)
        compare("pad_token_id", configuration.paddingTokenID, tokenizer.paddingToken)
        guard faults.isEmpty else {
            throw TextError.invalidTokenizer(path: path, reason: faults.joined(separator: ", "))
        }
    }
}
