import Foundation
import RetNetSettings

/// The complete description of a language model, which is the content of `config.json`.
public struct LanguageModelConfiguration: Sendable, Equatable {
    /// Number of token ids.
    public var vocabularySize: Int
    /// Width d of the residual stream.
    public var hiddenSize: Int
    /// Number L of blocks.
    public var layerCount: Int
    /// Kinds of blocks, first block first; the list repeats if it is shorter than the model.
    ///
    /// Most models have one; a hybrid has three blocks with retention and one with attention, for example.
    public var pattern: [LayerConfiguration]
    /// Norms of the residual stream.
    public var norm: NormConfiguration
    /// True for norms before mixers and feed-forwards, false for norms after the residual sums.
    public var preNorm: Bool
    /// True for feed-forwards that read what their mixers read: X' = X + Mixer(LN(X)) + FFN(LN'(X)), as in GPT-NeoX.
    public var parallelResidual: Bool
    /// The number of blocks after each of which the residual stream, and what later blocks add to it, is halved.
    ///
    /// Norms do not see the factor but by their epsilons. RWKV-4 halves so, to stay in the range of half precision.
    /// Nil for never.
    public var halvingPeriod: Int?
    /// True for a norm before the output matrix.
    public var finalNorm: Bool
    /// Factor of the embeddings.
    public var embeddingScale: EmbeddingScale
    /// True for a norm after the embedding.
    public var embeddingNorm: Bool
    /// Position embeddings, which are added to those of tokens.
    public var positionEmbedding: PositionEmbedding
    /// Number of positions with learned embeddings, beyond which the model cannot read; 0 without learned ones.
    public var positionCount: Int
    /// True if the output matrix is the embedding.
    public var tiedOutput: Bool
    /// True if the output matrix has biases, which are added to the logits.
    public var outputBias: Bool
    /// Dropout in training.
    public var dropout: DropoutConfiguration
    /// DeepNorm: residuals times (2L)^(1/4), and the initial values of some matrices times (8L)^(-1/4).
    public var deepNorm: Bool
    /// Initial values of parameters.
    public var initialization: InitializationScheme
    /// Length of training sequences in tokens, for information: the model does not depend on it.
    public var trainingLength: Int?
    /// Special tokens.
    public var tokens: SpecialTokens
    /// Several streams of hidden states, or layers that see some of the tokens; nil for neither.
    public var altUp: AltUpConfiguration?

    /// By default equal blocks with pre-norms, a final norm and a separate output matrix.
    public init(
        vocabularySize: Int, hiddenSize: Int, layerCount: Int, mixer: MixerConfiguration,
        feedForward: FeedForwardConfiguration, shortConvolution: Int? = nil,
        norm: NormConfiguration = .init(), preNorm: Bool = true, parallelResidual: Bool = false,
        halvingPeriod: Int? = nil, finalNorm: Bool = true, embeddingScale: EmbeddingScale = .none,
        embeddingNorm: Bool = false,
        positionEmbedding: PositionEmbedding = .none, positionCount: Int = 0,
        tiedOutput: Bool = false, outputBias: Bool = false, dropout: DropoutConfiguration = .init(),
        deepNorm: Bool = false,
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
        self.parallelResidual = parallelResidual
        self.halvingPeriod = halvingPeriod
        self.finalNorm = finalNorm
        self.embeddingScale = embeddingScale
        self.embeddingNorm = embeddingNorm
        self.positionEmbedding = positionEmbedding
        self.positionCount = positionCount
        self.tiedOutput = tiedOutput
        self.outputBias = outputBias
        self.dropout = dropout
        self.deepNorm = deepNorm
        self.initialization = initialization
        self.trainingLength = trainingLength
        self.tokens = tokens
        self.altUp = altUp
    }

    /// Returns the kind of one block.
    public func layer(_ index: Int) -> LayerConfiguration { pattern[index % pattern.count] }

    /// The mixer of the first block; a new value is set for all blocks.
    public var mixer: MixerConfiguration {
        get { pattern[0].mixer }
        set { for index in pattern.indices { pattern[index].mixer = newValue } }
    }

    /// The feed-forward of the first block; a new value is set for all blocks.
    public var feedForward: FeedForwardConfiguration {
        get { pattern[0].feedForward }
        set { for index in pattern.indices { pattern[index].feedForward = newValue } }
    }

    /// Returns the reason why the model cannot run in a form; nil if all its mixers can.
    public func unsupportedReason(for form: MixerForm) -> String? {
        pattern.lazy.compactMap { $0.mixer.architecture.unsupportedReason(for: form) }.first
    }

    /// True if the state grows with the number of tokens.
    public var stateGrows: Bool { pattern.contains { $0.mixer.architecture.stateGrows } }

    /// The tokens of one window of an evaluation unless specified; nil where the state is carried through the whole text.
    package var evaluationWindowLength: Int? { stateGrows ? trainingLength ?? 2048 : nil }

    /// The fastest form for training: that of the first mixer if all mixers can run in it, otherwise parallel.
    public var trainingForm: MixerForm {
        let form = pattern[0].mixer.architecture.trainingForm
        return unsupportedReason(for: form) == nil ? form : .parallel
    }

    /// Factor of residuals before a branch is added: (2L)^(1/4) with DeepNorm, otherwise 1.
    public var residualScale: Double { deepNorm ? pow(2 * Double(layerCount), 0.25) : 1 }
}

extension LanguageModelConfiguration {
    /// Width of the embedding: that of the residual stream, or of all streams of AltUp.
    public var embeddingWidth: Int { altUp?.embeddingWidth(hiddenSize: hiddenSize) ?? hiddenSize }

    /// Width of the input of the final norm and of the output matrix.
    public var outputWidth: Int { altUp?.outputWidth(hiddenSize: hiddenSize) ?? hiddenSize }

    /// The whole layer to which each block belongs, and the number of whole layers.
    ///
    /// Channel mixing right after a block without a feed-forward takes the place of that feed-forward, so the two
    /// blocks are halves of one layer, as RWKV's initial values count them.
    package var wholeLayers: (index: [Int], count: Int) {
        var index: [Int] = []
        index.reserveCapacity(layerCount)
        var isOpen = false
        for block in 0..<layerCount {
            let kind = layer(block)
            let completes = isOpen && kind.mixer.kind == .rwkvChannelMix
            index.append(completes ? index[block - 1] : (index.last ?? -1) + 1)
            isOpen = !completes && kind.feedForward.kind == .none && kind.mixer.kind != .rwkvChannelMix
        }
        return (index, (index.last ?? -1) + 1)
    }

    /// Returns the distance between two tokens that a layer sees.
    package func sequenceStride(layer: Int) -> Int {
        altUp?.sequence?.stride(layer: layer, layerCount: layerCount) ?? 1
    }

    /// Returns the distance between two tokens that a layer sees in the layer's own unit of positions.
    package func positionStride(layer: Int) -> Int {
        altUp?.sequence?.positions == .tokens ? sequenceStride(layer: layer) : 1
    }

    /// The same model with one stream: without AltUp.
    public var withoutAltUp: LanguageModelConfiguration {
        var result = self
        result.altUp = nil
        return result
    }

    /// Returns the model with a wider residual stream, and unchanged widths within mixers and feed-forwards.
    ///
    /// With a factor of 2 this is AltUp's baseline Dense2X.
    public func widened(by factor: Int) -> LanguageModelConfiguration {
        var result = self
        result.hiddenSize = hiddenSize * max(1, factor)
        return result
    }
}

/// The factor of embeddings before the first block.
public enum EmbeddingScale: String, Sendable, CaseIterable {
    /// 1.
    case none
    /// The square root of the model width: fairseq's default, which scales embeddings of variance 1/d to variance 1.
    case squareRoot = "square_root"

    /// Returns the factor for a model width.
    public func factor(hiddenSize: Int) -> Double {
        switch self {
        case .none: 1
        case .squareRoot: Double(hiddenSize).squareRoot()
        }
    }
}

/// The absolute positions that are added to embeddings; mixers with rotation or decay need none.
public enum PositionEmbedding: String, Sendable, CaseIterable {
    /// Nothing is added.
    case none
    /// sin(p θⱼ) in the first half of the channels and cos(p θⱼ) in the second, θⱼ = 10000^(-2j/d).
    ///
    /// Source: Vaswani et al., arXiv 1706.03762, with the channels in halves.
    case sinusoidal
    /// A trained vector per position, up to a largest number of positions: GPT-2.
    case learned
}

/// Dropout probabilities in training.
public struct DropoutConfiguration: Sendable, Equatable {
    /// Dropout after the embedding.
    public var embedding: Double
    /// Dropout after each mixer and each feed-forward, before the residual sum.
    public var residual: Double
    /// Dropout after the activation within a feed-forward.
    public var activation: Double
    /// Probability of dropping whole branches in the last layer; grows linearly with depth from 0 in the first.
    public var dropPath: Double

    /// Probabilities, 0 by default.
    public init(embedding: Double = 0, residual: Double = 0, activation: Double = 0, dropPath: Double = 0) {
        self.embedding = embedding
        self.residual = residual
        self.activation = activation
        self.dropPath = dropPath
    }
}

extension DropoutConfiguration: DeclaredSettings {
    /// No dropout.
    public static let standard = DropoutConfiguration()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        let range = SettingsRange.belowOne
        return [
            .double("embedding", \.embedding, in: range, "Dropout after the embedding."),
            .double(
                "residual", \.residual, in: range,
                "Dropout after each mixer and each feed-forward, before the residual sum."),
            .double(
                "activation", \.activation, in: range,
                "Dropout after the activation within a feed-forward."),
            .double(
                "drop_path", \.dropPath, in: range,
                "Probability of dropping whole branches in the last layer; grows linearly with depth."),
        ]
    }
}

/// Ids of the special tokens of a vocabulary.
public struct SpecialTokens: Sendable, Equatable {
    /// Token before every sequence.
    public var begin: Int?
    /// Token after every text.
    public var end: Int?
    /// Padding token.
    public var padding: Int?

    /// Given ids, none by default.
    public init(begin: Int? = nil, end: Int? = nil, padding: Int? = nil) {
        self.begin = begin
        self.end = end
        self.padding = padding
    }
}

extension SpecialTokens: DeclaredSettings {
    /// No special tokens.
    public static let standard = SpecialTokens()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("begin", \.begin, in: 0...Int.max, "Id of the token before every sequence."),
            .int("end", \.end, in: 0...Int.max, "Id of the token after every text."),
            .int("padding", \.padding, in: 0...Int.max, "Id of the padding token."),
        ]
    }

    /// All ids with their names in configuration files.
    var named: [(name: String, id: Int?)] { [("begin", begin), ("end", end), ("padding", padding)] }
}
