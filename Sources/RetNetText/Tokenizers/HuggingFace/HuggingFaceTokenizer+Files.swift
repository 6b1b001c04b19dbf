import Foundation
import RetNetStorage

extension HuggingFaceTokenizer {
    /// The file with the whole tokenizer.
    static let fileName = "tokenizer.json"
    /// The names of GPT-2's files, of which a folder has one of each.
    static let vocabularyNames = ["vocab.json", "encoder.json"]
    static let mergesNames = ["merges.txt", "vocab.bpe"]
    /// BERT's list of word pieces.
    static let piecesName = "vocab.txt"
    private static let namesFiles = ["tokenizer_config.json", "special_tokens_map.json"]

    /// Returns the paths of the files of a folder from which a tokenizer can be made; `nil` without them.
    static func paths(in folder: String) -> [String]? {
        func path(_ names: [String]) -> String? {
            names.map { folder + "/" + $0 }.first { FileManager.default.fileExists(atPath: $0) }
        }
        if let file = path([fileName]) { return [file] }
        if let vocabulary = path(vocabularyNames), let merges = path(mergesNames) {
            return [vocabulary, merges]
        }
        // Beside a SentencePiece model, a list is one of its pieces for other programs.
        guard SentencePieceTokenizer.modelPath(in: folder) == nil else { return nil }
        return path([piecesName]).map { [$0] }
    }

    /// Returns the paths of the files that belong to a named one: `tokenizer.json`, a vocabulary and its merges, or a list of
    /// word pieces.
    static func paths(of file: String) throws -> [String]? {
        let name = (file as NSString).lastPathComponent
        let folder = (file as NSString).deletingLastPathComponent
        func other(_ names: [String]) throws -> String {
            let paths = names.map { (folder.isEmpty ? "" : folder + "/") + $0 }
            guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
                throw TextError.invalidTokenizer(
                    path: file, reason: "its other file, \(names.joined(separator: " or ")), is not beside it"
                )
            }
            return path
        }
        if vocabularyNames.contains(name) { return [file, try other(mergesNames)] }
        if mergesNames.contains(name) { return [try other(vocabularyNames), file] }
        return name.hasSuffix(".json") || name == piecesName ? [file] : nil
    }

    /// Reads the tokenizer of files, with the special tokens that the files beside them name.
    convenience init(
        paths: [String], specialTokensInText: SpecialTokensInText = .recognized
    ) throws {
        let folder = (paths[0] as NSString).deletingLastPathComponent
        let companions = try TokenizerCompanions(folder: folder)
        var reader = TokenizerReader(names: SpecialTokenNames())
        for name in Self.namesFiles {
            guard let bytes = companions.file(name) else { continue }
            do {
                try reader.add(bytes.withUnsafeBytes { try JSONTape($0) }.root)
            } catch let fault as TokenizerFault {
                throw fault.error(path: (folder.isEmpty ? "" : folder + "/") + name)
            }
        }
        if let bytes = companions.file("added_tokens.json") {
            do {
                try reader.add(numbers: bytes.withUnsafeBytes { try JSONTape($0) }.root)
            } catch let fault as TokenizerFault {
                throw fault.error(path: (folder.isEmpty ? "" : folder + "/") + "added_tokens.json")
            }
        }
        let files = try paths.map { path in
            (name: (path as NSString).lastPathComponent, bytes: try Self.bytes(path))
        }
        let core: TokenizerCore
        do {
            if files[0].name == Self.piecesName {
                core = try reader.core(wordPieces: files[0].bytes)
            } else {
                let tape = try files[0].bytes.withUnsafeBytes { try JSONTape($0) }
                core = try files.count == 1 ? reader.core(tape) : reader.core(tape, merges: files[1].bytes)
            }
        } catch let fault as TokenizerFault {
            throw fault.error(path: fault.place == "the merges" ? paths[paths.count - 1] : paths[0])
        }
        self.init(
            core, roles: try reader.roles(core, path: paths[0]), files: files, companions: companions,
            beginsTexts: companions.configurationIsOurs
                ? reader.addsBeginToken ?? true
                    // As in Transformers, the option counts where the files do not say what is put around texts.
                : files[0].name != Self.fileName && reader.addsBeginToken == true,
            identity: Self.identity(files.map(\.bytes)), specialTokensInText: specialTokensInText)
    }

    private static func bytes(_ path: String) throws -> [UInt8] {
        let file = try MappedFile(path: path)
        guard file.byteCount <= maximumByteCount else {
            throw TextError.invalidTokenizer(
                path: path, reason: "it is larger than \(maximumByteCount) bytes")
        }
        return file.withUnsafeBytes { Array($0) }
    }

    /// Writes the files of the tokenizer unchanged, and `tokenizer_config.json`, into a folder; throws `StorageError`.
    public func save(to folder: String) throws {
        for (name, bytes) in files {
            try AtomicFile.write(Data(bytes), to: folder + "/" + name)
        }
        func text(_ token: Int32?) -> String? {
            token.map {
                String(
                    decoding: core.added.token($0)?.content ?? Array(core.vocabulary.text(Int($0))),
                    as: UTF8.self)
            }
        }
        var configuration = TokenizerConfiguration(
            kind: Self.kind, identity: identity, vocabularySize: vocabularySize, beginTokenID: beginToken,
            endTokenID: endToken, paddingTokenID: paddingToken, beginToken: text(beginToken),
            endToken: text(endToken), paddingToken: text(paddingToken))
        configuration.unknownToken = text(unknownToken)
        configuration.className =
            switch files[0].name {
            case Self.fileName: "PreTrainedTokenizerFast"
            case Self.piecesName: "BertTokenizer"
            default: "GPT2Tokenizer"
            }
        configuration.beginsTexts = beginsTexts
        try companions.save(configuration, to: folder)
    }
}
