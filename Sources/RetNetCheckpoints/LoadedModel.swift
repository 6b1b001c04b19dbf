import RetNetModels
import RetNetText

/// What a model folder holds.
public struct LoadedModel {
    /// The model with its weights, ready to run.
    public let model: LanguageModel
    /// The sampling settings of the folder; empty if it has none.
    public let generationDefaults: GenerationDefaults
    let tokenizerResult: Result<any Tokenizer, any Error>

    /// The architecture.
    public var configuration: LanguageModelConfiguration { model.configuration }

    /// The tokenizer of the folder.
    ///
    /// Throws `TextError` or `StorageError` if the folder has none or one that cannot be used; a model alone
    /// is enough for what works on token numbers.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }
}
