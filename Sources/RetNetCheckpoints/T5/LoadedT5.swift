import RetNetModels
import RetNetText

/// What a folder with a T5 model holds.
public struct LoadedT5 {
    /// The model with its weights, ready to run.
    public let model: T5Model
    /// What the folder says about generation; empty if it says nothing.
    public let generationDefaults: GenerationDefaults
    /// Tensors of the files that were not read, because no T5 uses them or they repeat the embedding.
    public let ignoredTensors: [String]
    let tokenizerResult: Result<any Tokenizer, any Error>

    /// The architecture.
    public var configuration: T5Configuration { model.configuration }

    /// The tokenizer of the folder; throws `TextError` or `StorageError` if it has none that can be used.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }
}
