import Foundation

/// Everything that a language model's shape and behaviour depend on; the content of `config.json`.
public struct LanguageModelConfiguration: Sendable, Equatable {
    /// The number of token ids.
    public var vocabularySize: Int
    /// d, the width of the residual stream.
    public var hiddenSize: Int
    /// L, the number of blocks.
    public var layerCount: Int
    /// The mixer of every block.
    public var mixer: MixerConfiguration
    /// The feed-forward of every block.
    public var feedForward: FeedForwardConfiguration
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

    /// A model with pre-norms, a final norm and a separate output matrix, unless told otherwise.
    public init(
        vocabularySize: Int, hiddenSize: Int, layerCount: Int, mixer: MixerConfiguration,
        feedForward: FeedForwardConfiguration, norm: NormConfiguration = .init(), preNorm: Bool = true,
        finalNorm: Bool = true, embeddingScale: EmbeddingScale = .none, embeddingNorm: Bool = false,
        tiedOutput: Bool = false, dropout: DropoutConfiguration = .init(), deepNorm: Bool = false,
        initialization: InitializationScheme = .torchscale, trainingLength: Int? = nil,
        tokens: SpecialTokens = .init()
    ) {
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.mixer = mixer
        self.feedForward = feedForward
        self.norm = norm
        self.preNorm = preNorm
        self.finalNorm = finalNorm
        self.embeddingScale = embeddingScale
        self.embeddingNorm = embeddingNorm
        self.tiedOutput = tiedOutput
        self.dropout = dropout
        self.deepNorm = deepNorm
        self.initialization = initialization
        self.trainingLength = trainingLength
        self.tokens = tokens
    }

    /// The mixer of one block; the same for all of them.
    public func mixer(layer: Int) -> MixerConfiguration { mixer }

    /// By what residuals are multiplied before a branch is added: (2L)^(1/4) with DeepNorm, otherwise 1.
    public var residualScale: Double { deepNorm ? pow(2 * Double(layerCount), 0.25) : 1 }
}
