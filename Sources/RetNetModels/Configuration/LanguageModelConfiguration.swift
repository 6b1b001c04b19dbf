import Foundation
import RetNetMixers

/// Everything that a language model's shape and behaviour depend on; the content of `config.json`.
public struct LanguageModelConfiguration: Sendable, Equatable {
    /// The number of token ids.
    public var vocabularySize: Int
    /// d, the width of the residual stream.
    public var hiddenSize: Int
    /// L, the number of blocks.
    public var layerCount: Int
    /// The kinds of blocks, first block first; with fewer kinds than blocks the list starts again.
    ///
    /// One for most models; a hybrid is three blocks with retention and one with attention, for example.
    public var pattern: [LayerConfiguration]
    /// All norms of the residual stream.
    public var norm: NormConfiguration
    /// Whether norms stand before mixers and feed-forwards; otherwise they stand after the residual sums.
    public var preNorm: Bool
    /// Whether there is a norm before the output matrix.
    public var finalNorm: Bool
    /// By what embeddings are multiplied.
    public var embeddingScale: EmbeddingScale
    /// Whether there is a norm after the embedding.
    public var embeddingNorm: Bool
    /// What is added to embeddings by position.
    public var positionEmbedding: PositionEmbedding
    /// Whether the output matrix is the embedding.
    public var tiedOutput: Bool
    /// What is dropped while training.
    public var dropout: DropoutConfiguration
    /// Whether residuals are multiplied by (2L)^(1/4) and the initial values of some matrices by (8L)^(-1/4).
    public var deepNorm: Bool
    /// The first values of parameters.
    public var initialization: InitializationScheme
    /// The length of training sequences in tokens; information only, for nothing here depends on it.
    public var trainingLength: Int?
    /// Tokens that are not text.
    public var tokens: SpecialTokens
    /// Several blocks of hidden states, or layers that see some of the tokens; nil for neither.
    public var altUp: AltUpConfiguration?

    /// A model of equal blocks with pre-norms, a final norm and a separate output matrix, unless told otherwise.
    public init(
        vocabularySize: Int, hiddenSize: Int, layerCount: Int, mixer: MixerConfiguration,
        feedForward: FeedForwardConfiguration, shortConvolution: Int? = nil,
        norm: NormConfiguration = .init(), preNorm: Bool = true,
        finalNorm: Bool = true, embeddingScale: EmbeddingScale = .none, embeddingNorm: Bool = false,
        positionEmbedding: PositionEmbedding = .none,
        tiedOutput: Bool = false, dropout: DropoutConfiguration = .init(), deepNorm: Bool = false,
        initialization: InitializationScheme = .torchscale, trainingLength: Int? = nil,
        tokens: SpecialTokens = .init(), altUp: AltUpConfiguration? = nil
    ) {
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        pattern = [
            LayerConfiguration(mixer: mixer, feedForward: feedForward, shortConvolution: shortConvolution)
        ]
        self.norm = norm
        self.preNorm = preNorm
        self.finalNorm = finalNorm
        self.embeddingScale = embeddingScale
        self.embeddingNorm = embeddingNorm
        self.positionEmbedding = positionEmbedding
        self.tiedOutput = tiedOutput
        self.dropout = dropout
        self.deepNorm = deepNorm
        self.initialization = initialization
        self.trainingLength = trainingLength
        self.tokens = tokens
        self.altUp = altUp
    }

    /// The kind of one block.
    public func layer(_ index: Int) -> LayerConfiguration { pattern[index % pattern.count] }

    /// The mixer of the first block; setting it sets that of all blocks.
    public var mixer: MixerConfiguration {
        get { pattern[0].mixer }
        set { for index in pattern.indices { pattern[index].mixer = newValue } }
    }

    /// The feed-forward of the first block; setting it sets that of all blocks.
    public var feedForward: FeedForwardConfiguration {
        get { pattern[0].feedForward }
        set { for index in pattern.indices { pattern[index].feedForward = newValue } }
    }

    /// Why the model cannot run in a form, or nil when all its mixers can.
    public func unsupportedReason(for form: MixerForm) -> String? {
        pattern.lazy.compactMap { $0.mixer.architecture.unsupportedReason(for: form) }.first
    }

    /// Whether the state grows with the tokens seen.
    public var stateGrows: Bool { pattern.contains { $0.mixer.architecture.stateGrows } }

    /// The form in which training is fastest: that of the first mixer, if all can run in it, else parallel.
    public var trainingForm: MixerForm {
        let form = pattern[0].mixer.architecture.trainingForm
        return unsupportedReason(for: form) == nil ? form : .parallel
    }

    /// By what residuals are multiplied before a branch is added: (2L)^(1/4) with DeepNorm, otherwise 1.
    public var residualScale: Double { deepNorm ? pow(2 * Double(layerCount), 0.25) : 1 }
}
