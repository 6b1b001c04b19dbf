import RetNetSettings

/// Configuration of AltUp: K streams of hidden states, of which every layer computes on one.
///
/// Source: Baykal et al., arXiv 2301.13310. Choices that the paper leaves open are marked as such.
public struct AltUpConfiguration: Sendable, Equatable {
    /// The origin of the streams and their use at the output.
    public enum Kind: String, Sendable, CaseIterable {
        /// An embedding of width K·d, and all streams to the output matrix: the paper's AltUp.
        case standard
        /// K copies of the embedding of width d, and the sum of the streams to the output: Recycled-AltUp.
        case recycled
        /// An embedding of width K·d whose parts are summed before the first layer: a baseline without mixing.
        case sum
        /// Gemma 3n's AltUp: projected inputs of equal magnitude, and coefficients that depend on the token.
        case gemma
        /// One stream without mixing, for a sequence reduction alone.
        case none
    }

    /// The choice of the stream on which a layer computes.
    public enum Selection: String, Sendable, CaseIterable {
        /// The layer's index modulo K.
        case alternating
        /// Always the first.
        case same
    }

    /// The input of a layer.
    public enum LayerInput: String, Sendable, CaseIterable {
        /// The active stream after the layer before.
        case old
        /// The prediction of the active stream.
        case predicted
    }

    /// The initial values of p and g, which the paper does not state.
    public enum Initialization: String, Sendable, CaseIterable {
        /// p = I, g = 1: every stream receives the layer's update of the active one.
        case identity
        /// p = 1/K everywhere, g = 1.
        case averaging
        /// p = I, g = 1 for the active stream and 0 for all others.
        case active
    }

    /// The reduction of all streams to one.
    public enum Reduction: String, Sendable, CaseIterable {
        /// Their sum, as in the paper; a norm after it removes the difference to the mean.
        case sum
        /// Their mean, for models without a final norm.
        case mean
    }

    /// Origin of the streams and their use at the output.
    public var kind: Kind
    /// Number K of streams.
    public var streamCount: Int
    /// Choice of the stream on which a layer computes; always the first with `gemma`.
    public var selection: Selection
    /// Input of a layer; always the prediction with `gemma`.
    public var layerInput: LayerInput
    /// Initial values of p and g.
    public var initialization: Initialization
    /// Reduction of the streams to one with `recycled`.
    public var reduction: Reduction
    /// Largest magnitude of coefficient weights in training with `gemma`; nil for no limit.
    public var coefficientClip: Double?
    /// Reduction of layers to some of the tokens; nil for none.
    public var sequence: SequenceReductionConfiguration?

    /// By default two alternating streams, with the identity as initial mix.
    public init(
        kind: Kind = .standard, streamCount: Int = 2, selection: Selection = .alternating,
        layerInput: LayerInput = .old, initialization: Initialization = .identity,
        reduction: Reduction = .sum, coefficientClip: Double? = 120,
        sequence: SequenceReductionConfiguration? = nil
    ) {
        self.kind = kind
        self.streamCount = kind == .none ? 1 : streamCount
        self.selection = selection
        self.layerInput = layerInput
        self.initialization = initialization
        self.reduction = reduction
        self.coefficientClip = coefficientClip
        self.sequence = sequence
    }

    /// A sequence reduction alone, with one stream.
    public static func sequence(_ sequence: SequenceReductionConfiguration) -> AltUpConfiguration {
        AltUpConfiguration(kind: .none, streamCount: 1, sequence: sequence)
    }

    /// Returns the width of embeddings: K·d for `standard` and `sum`, otherwise d.
    public func embeddingWidth(hiddenSize: Int) -> Int {
        kind == .standard || kind == .sum ? streamCount * hiddenSize : hiddenSize
    }

    /// Returns the width of the stack's output, which the final norm reads: K·d for `standard`, otherwise d.
    public func outputWidth(hiddenSize: Int) -> Int {
        kind == .standard ? streamCount * hiddenSize : hiddenSize
    }

    /// True if layers mix streams: for all kinds but `sum` and `none`.
    public var mixesStreams: Bool { kind != .sum && kind != .none }

    /// Returns the stream on which a layer computes.
    public func activeStream(layer: Int) -> Int {
        mixesStreams && kind != .gemma && selection == .alternating ? layer % max(1, streamCount) : 0
    }
}

extension AltUpConfiguration: DeclaredSettings {
    /// Two alternating streams.
    public static let standard = AltUpConfiguration()

    /// All settings; those without meaning for the kind are refused.
    public static var declarations: [Setting<Self>] {
        [
            .choice(
                "kind", \.kindWithDefaults,
                "Origin of the streams of hidden states and their use at the output."),
            .int("blocks", \.streamCount, in: 1...64, "Number of streams; 4 by default with gemma.")
                .only([.standard, .recycled, .sum, .gemma]),
            .choice("selection", \.selection, "Choice of the stream on which a layer computes.")
                .only([.standard, .recycled]),
            .choice("layer_input", \.layerInput, "Input of a layer.").only([.standard, .recycled]),
            .choice("initialization", \.initialization, "Initial values of p and g.")
                .only([.standard, .recycled]),
            .choice("reduction", \.reduction, "Reduction of the streams to one.").only([.recycled]),
            .double(
                "coefficient_clip", \.clipOrZero, in: 0...1e6,
                "Largest magnitude of coefficient weights in training; 0 for no limit."
            ).only([.gemma]),
            .object("sequence", \.sequence),
        ]
    }

    /// Reports a kind without streams and without a reduction of the sequence.
    public func reportContradictions(to reader: SettingsReader) {
        guard kind == .none, sequence == nil else { return }
        reader.reportContradiction("kind", "'none' is for a 'sequence' reduction, which is not given")
    }

    /// The kind, whose change resets all settings to its defaults.
    private var kindWithDefaults: Kind {
        get { kind }
        set { self = AltUpConfiguration(kind: newValue, streamCount: newValue == .gemma ? 4 : 2) }
    }

    /// The clip, with 0 for no limit as in configuration files.
    private var clipOrZero: Double {
        get { coefficientClip ?? 0 }
        set { coefficientClip = newValue > 0 ? newValue : nil }
    }
}

extension Setting<AltUpConfiguration> {
    /// The same setting for some kinds only.
    fileprivate func only(_ kinds: [AltUpConfiguration.Kind]) -> Setting {
        let names = kinds.map(\.rawValue).joined(separator: ", ")
        return when(
            "kind: \(names)", { kinds.contains($0.kind) },
            otherwise: "only the kinds \(names) have this setting")
    }
}

extension AltUpConfiguration {
    /// Returns the FLOPs per token of the mix of one layer: K² d + d + K d multiply-adds, and those of a router.
    public func mixFLOPs(hiddenSize: Int) -> Int {
        guard mixesStreams else { return 0 }
        let k = streamCount
        let mix = (k * k + k + 1) * hiddenSize
        return 2 * (kind == .gemma ? mix + 2 * k * hiddenSize + k * k * k + k * k : mix)
    }
}
