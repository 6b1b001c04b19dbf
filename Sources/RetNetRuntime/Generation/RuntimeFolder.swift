import Foundation
import RetNetSampling
import RetNetStorage
import RetNetText

/// A model folder as this engine opens it: weights mapped, the tokenizer read, the settings of generation.
public struct RuntimeFolder {
    /// The model.
    public let model: RuntimeModel
    /// The settings of generation; empty if the folder has none.
    public let defaults: GenerationDefaults
    /// A sentence for each special token in which the folder and its tokenizer differ, saying which one counts.
    public let specialTokenRemarks: [String]
    private let tokenizerResult: Result<any Tokenizer, any Error>

    /// Opens a folder; `stateType` is the element type of the large parts of states.
    ///
    /// Where it has `checksums.json`, its files must have the sizes in it.
    ///
    /// Throws ``RuntimeError``, `SettingsError` for the configuration and `StorageError`.
    public init(path: String, stateType: StateElementType = .float32) throws {
        try Self.checkSizes(path)
        model = try RuntimeModel(path: path, stateType: stateType)
        let size = model.configuration.vocabularySize
        let saved = try GenerationDefaults(folder: path)
        defaults = saved.filled(from: model.configuration.tokens)
        tokenizerResult = Result { try TokenizerLoader.load(folder: path) }
        let tokenizer = try? tokenizerResult.get()
        let hasFile = FileManager.default.fileExists(atPath: path + "/" + GenerationDefaults.fileName)
        specialTokenRemarks =
            tokenizer.map { [defaults] in
                defaults.remarks(on: $0, sourceName: hasFile ? GenerationDefaults.fileName : "config.json")
            } ?? []
        if let tokenizer, tokenizer.vocabularySize > size {
            throw RuntimeError.weights(
                path: path,
                problem: "the tokenizer has \(tokenizer.vocabularySize) tokens, but the model only \(size)")
        }
        if let end = defaults.endTokens?.first(where: { Int($0) >= size }) {
            throw RuntimeError.weights(
                path: path,
                problem: "eos_token_id in \(GenerationDefaults.fileName) is \(end), but the model has \(size)"
                    + " tokens: remove it")
        }
    }

    /// The tokenizer of the folder; throws `TextError` or `StorageError` if it has none that can be used.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }

    /// Throws if files have other sizes than in `checksums.json`, where there is one.
    static func checkSizes(_ path: String) throws {
        let list = path + "/" + AtomicFolder.checksumsFileName
        guard FileManager.default.fileExists(atPath: list), !AtomicFolder.isComplete(path) else { return }
        try AtomicFolder.verify(path)
    }
}
