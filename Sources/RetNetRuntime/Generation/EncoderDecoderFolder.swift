import RetNetArchitecture
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText

/// A folder with an encoder-decoder as this engine opens it: weights mapped, the tokenizer read, the settings of generation.
public struct EncoderDecoderFolder {
    /// The model.
    public let model: EncoderDecoderModel
    /// The settings of generation; empty if the folder has none.
    public let defaults: GenerationDefaults
    private let tokenizerResult: Result<any Tokenizer, any Error>

    /// Returns true if a folder has a T5 by its `config.json`, false if that cannot be read.
    public static func recognizes(_ path: String) -> Bool {
        guard
            let text = try? JSONFile.text(
                path + "/config.json", maximumByteCount: RuntimeModel.maximumConfigurationByteCount),
            let document = try? SettingsDocument(json: text)
        else { return false }
        return T5Configuration.recognizes(document.tree)
    }

    /// Opens a folder; `stateType` is the element type of keys and values in the decoder.
    ///
    /// Where it has `checksums.json`, its files must have the sizes in it. Model, tokenizer and settings of generation must agree on
    /// special tokens. Throws ``RuntimeError``, `SettingsError` for the configuration and `StorageError`.
    public init(path: String, stateType: StateElementType = .float32) throws {
        try RuntimeFolder.checkSizes(path)
        model = try EncoderDecoderModel(path: path, stateType: stateType)
        let configuration = model.configuration
        defaults = try GenerationDefaults(folder: path)
        // Sentinels are written by name in prompts and in outputs.
        tokenizerResult = Result {
            let tokenizer = try TokenizerLoader.load(folder: path)
            guard let sentinels = tokenizer as? any SentinelTokenizer, !sentinels.sentinels.isEmpty else {
                return tokenizer
            }
            return NamedSentinelTokenizer(sentinels)
        }
        var problems = configuration.specialTokenProblems(with: defaults)
        if let tokenizer = try? tokenizerResult.get() {
            if tokenizer.vocabularySize > configuration.vocabularySize {
                throw RuntimeError.weights(
                    path: path,
                    problem: "the tokenizer has \(tokenizer.vocabularySize) tokens, but the model only"
                        + " \(configuration.vocabularySize)")
            }
            problems = configuration.specialTokenProblems(with: tokenizer) + problems
        }
        guard problems.isEmpty else {
            throw RuntimeError.weights(
                path: path, problem: problems.map(\.description).joined(separator: "; "))
        }
    }

    /// The tokenizer of the folder; throws `TextError` or `StorageError` if it has none that can be used.
    public var tokenizer: any Tokenizer {
        get throws { try tokenizerResult.get() }
    }

    /// The sampling parameters that the folder proposes: greedy unless it says otherwise.
    public var parameters: SamplingParameters {
        var result = SamplingParameters(defaults: defaults)
        result.maxTokens = defaults.maxTokens ?? Self.defaultMaxTokens
        if defaults.samples != true { result.temperature = 0 }
        result.endTokens = defaults.endTokens ?? [model.endToken]
        return result
    }

    /// The largest number of tokens of an output unless the folder says otherwise, as in LibTorch's search.
    private static let defaultMaxTokens = 128
}
