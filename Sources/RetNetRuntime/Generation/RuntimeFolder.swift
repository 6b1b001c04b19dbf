import RetNetSampling
import RetNetText

/// A model folder as this engine opens it: weights mapped, the tokenizer read, the settings of generation.
public struct RuntimeFolder {
    /// The model.
    public let model: RuntimeModel
    /// The settings of generation; empty if the folder has none.
    public let defaults: GenerationDefaults
    private let tokenizerResult: Result<any Tokenizer, any Error>

    /// Opens a folder; `stateType` is the element type of the large parts of states.
    ///
    /// Throws ``RuntimeError``, `SettingsError` for the configuration and `StorageError`.
    public init(path: String, stateType: StateElementType = .float32) throws {
        model = try RuntimeModel(path: path, stateType: stateType)
        defaults = try GenerationDefaults(folder: path).filled(from: model.configuration.tokens)
        tokenizerResult = Result { try TokenizerLoader.load(folder: path) }
        guard let tokenizer = try? tokenizerResult.get(),
            tokenizer.vocabularySize > model.configuration.vocabularySize
        else { return }
        throw RuntimeError.weights(
            path: path,
            problem: "the tokenizer has \(tokenizer.vocabularySize) tokens, but the model only"
                + " \(model.configuration.vocabularySize)")
    }

    /// The tokenizer of the folder; throws `TextError` or `StorageError` if it has none that can be used.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }
}
