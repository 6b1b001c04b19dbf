import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStories
import RetNetText
import RetNetTorch

/// Small things that the tests of this target share.
enum Tiny {
    static func configuration(normalization: ScoreNormalization = .decay) -> LanguageModelConfiguration {
        LanguageModelConfiguration(
            vocabularySize: 256, hiddenSize: 16, layerCount: 2,
            mixer: .retention(
                RetentionConfiguration(
                    headCount: 2, keySize: 8, valueSize: 16, normalization: normalization)),
            feedForward: FeedForwardConfiguration(innerSize: 32))
    }

    static func model(normalization: ScoreNormalization = .decay, type: ElementType = .float64) throws
        -> LanguageModel
    {
        let store = ParameterStore(source: .random(seed: 3), elementType: type)
        return try LanguageModel(
            configuration(normalization: normalization), parameters: store, computeType: type)
    }

    static func stream(byteCount: Int = 700, seed: UInt64 = 5) throws -> TokenStream {
        var generator = StoryGenerator(seed: seed)
        return try generator.corpus(byteCount: byteCount).tokenStream(tokenizer: ByteTokenizer())
    }
}
