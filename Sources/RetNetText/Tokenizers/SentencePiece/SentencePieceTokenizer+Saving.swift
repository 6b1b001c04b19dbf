import Foundation
import RetNetStorage

extension SentencePieceTokenizer {
    /// The file of a model with sentinels, as T5's folders name it.
    static let sentinelFileName = "spiece.model"
    /// The file of other models, as most folders name it.
    static let plainFileName = "tokenizer.model"

    /// Writes the model file and `tokenizer_config.json` into a folder; throws `StorageError`.
    ///
    /// The file is `spiece.model` for a model with sentinels, as in T5's folders, and else `tokenizer.model`.
    public func save(to folder: String) throws {
        let hasSentinels = !sentinels.isEmpty
        let name = hasSentinels ? Self.sentinelFileName : Self.plainFileName
        try AtomicFile.write(Data(file), to: folder + "/" + name)
        func text(_ token: Int32?) -> String? {
            token.map { String(decoding: file[model.pieces[Int($0)].text], as: UTF8.self) }
        }
        var configuration = TokenizerConfiguration(
            kind: Self.kind, identity: identity, vocabularySize: vocabularySize, beginTokenID: beginToken,
            endTokenID: endToken, paddingTokenID: paddingToken, beginToken: text(beginToken),
            endToken: text(endToken), paddingToken: text(paddingToken))
        configuration.unknownToken = text(unknownToken)
        configuration.sentinelCount = hasSentinels ? addedSentinelCount : nil
        // What Transformers needs to make the same of the file.
        configuration.className = hasSentinels ? "T5Tokenizer" : nil
        try TokenizerLoader.write(configuration, to: folder)
    }

    /// The model file of a folder, if it has one.
    static func modelPath(in folder: String) -> String? {
        [sentinelFileName, plainFileName].map { folder + "/" + $0 }
            .first { FileManager.default.fileExists(atPath: $0) }
    }
}
