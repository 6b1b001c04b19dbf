/// How a stack of layers carries K blocks of hidden states while every layer computes on one (AltUp).
///
/// Source: Baykal et al., arXiv 2301.13310. Choices that the paper leaves open say so.
public struct AltUpConfiguration: Sendable, Equatable {
    /// Where the blocks come from and where they go.
    public enum Kind: String, Sendable, CaseIterable {
        /// An embedding of width K·d, and all blocks to the output matrix: the paper's AltUp.
        case standard
        /// The embedding of width d K times over, and the sum of the blocks to the output: Recycled-AltUp.
        case recycled
        /// An embedding of width K·d whose parts are summed before the first layer: a baseline without mixing.
        case sum
        /// Gemma 3n's: projected inputs of equal magnitude, and coefficients that depend on the token.
        case gemma
        /// One block without mixing, for a sequence reduction alone.
        case none
    }

    /// Which block a layer computes on.
    public enum Selection: String, Sendable, CaseIterable {
        /// The layer's index modulo K.
        case alternating
        /// Always the first.
        case same
    }

    /// What a layer reads.
    public enum LayerInput: String, Sendable, CaseIterable {
        /// The block as the layer before left it.
        case old
        /// The prediction of it.
        case predicted
    }

    /// The first values of p and g, which the paper does not state.
    public enum Initialization: String, Sendable, CaseIterable {
        /// p = I, g = 1: every block receives what the layer adds to the active one.
        case identity
        /// p = 1/K everywhere, g = 1.
        case averaging
        /// p = I, g = 1 for the active block and 0 for all others.
        case active
    }

    /// How blocks become one.
    public enum Reduction: String, Sendable, CaseIterable {
        /// Their sum, as in the paper; a norm after it removes the difference to the mean.
        case sum
        /// Their mean, for models without a final norm.
        case mean
    }

    /// Where the blocks come from and where they go.
    public var kind: Kind
    /// K.
    public var blockCount: Int
    /// Which block a layer computes on; `gemma` always takes the first.
    public var selection: Selection
    /// What a layer reads; `gemma` always takes the prediction.
    public var layerInput: LayerInput
    /// The first values of p and g.
    public var initialization: Initialization
    /// How the blocks become one with `recycled`.
    public var reduction: Reduction
    /// The largest magnitude of coefficient weights with `gemma`; nil for no limit.
    public var coefficientClip: Double?
    /// Layers that see only some of the tokens; nil for none.
    public var sequence: SequenceReductionConfiguration?

    /// Two alternating blocks from the identity, unless told otherwise.
    public init(
        kind: Kind = .standard, blockCount: Int = 2, selection: Selection = .alternating,
        layerInput: LayerInput = .old, initialization: Initialization = .identity,
        reduction: Reduction = .sum, coefficientClip: Double? = 120,
        sequence: SequenceReductionConfiguration? = nil
    ) {
        self.kind = kind
        self.blockCount = kind == .none ? 1 : blockCount
        self.selection = selection
        self.layerInput = layerInput
        self.initialization = initialization
        self.reduction = reduction
        self.coefficientClip = coefficientClip
        self.sequence = sequence
    }

    /// A sequence reduction without several blocks.
    public static func sequence(_ sequence: SequenceReductionConfiguration) -> AltUpConfiguration {
        AltUpConfiguration(kind: .none, blockCount: 1, sequence: sequence)
    }

    /// The width of embeddings: K·d for `standard` and `sum`, otherwise d.
    public func embeddingWidth(hiddenSize: Int) -> Int {
        kind == .standard || kind == .sum ? blockCount * hiddenSize : hiddenSize
    }

    /// The width of what the stack hands to the final norm: K·d for `standard`, otherwise d.
    public func outputWidth(hiddenSize: Int) -> Int {
        kind == .standard ? blockCount * hiddenSize : hiddenSize
    }

    /// Whether layers mix blocks: not with `sum` and `none`.
    public var mixesBlocks: Bool { kind != .sum && kind != .none }

    /// The block that a layer computes on.
    public func activeBlock(layer: Int) -> Int {
        mixesBlocks && kind != .gemma && selection == .alternating ? layer % max(1, blockCount) : 0
    }
}
