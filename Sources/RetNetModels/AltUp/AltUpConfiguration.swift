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
    /// Largest magnitude of coefficient weights with `gemma`; nil for no limit.
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

extension AltUpConfiguration: SettingsRepresentable {
    /// Reads `kind`, `blocks` (the number of streams) and the rest, each with the default of the initializer.
    ///
    /// Settings without meaning for the kind are refused.
    public init(reading reader: SettingsReader) {
        let standard = AltUpConfiguration()
        let kind = reader.enumeration("kind", default: standard.kind)
        func only(_ key: String, _ kinds: [Kind]) -> Bool {
            if kinds.contains(kind) { return true }
            if reader.has(key) {
                reader.reportContradiction(key, "the kind '\(kind.rawValue)' has no such choice")
            }
            return false
        }
        let mixes = [Kind.standard, .recycled]
        let hasStreams = only("blocks", [.standard, .recycled, .sum, .gemma])
        let clip = only("coefficient_clip", [.gemma])
        self.init(
            kind: kind,
            streamCount: hasStreams
                ? reader.int("blocks", in: 1...64, default: kind == .gemma ? 4 : standard.streamCount) : 1,
            selection: only("selection", mixes)
                ? reader.enumeration("selection", default: standard.selection) : standard.selection,
            layerInput: only("layer_input", mixes)
                ? reader.enumeration("layer_input", default: standard.layerInput) : standard.layerInput,
            initialization: only("initialization", mixes)
                ? reader.enumeration("initialization", default: standard.initialization)
                : standard.initialization,
            reduction: only("reduction", [.recycled])
                ? reader.enumeration("reduction", default: standard.reduction) : standard.reduction,
            coefficientClip: clip ? Self.clip(reader) : standard.coefficientClip,
            sequence: reader.optionalObject("sequence").map { SequenceReductionConfiguration(reading: $0) })
        if kind == .none, sequence == nil {
            reader.reportContradiction("kind", "'none' is for a 'sequence' reduction, which is not there")
        }
    }

    /// 0 stands for no limit.
    private static func clip(_ reader: SettingsReader) -> Double? {
        let limit = reader.double("coefficient_clip", in: 0...1e6, default: 120)
        return limit > 0 ? limit : nil
    }

    /// The settings of the kind, under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["kind": .string(kind.rawValue)]
        if kind != .none { object["blocks"] = .int(streamCount) }
        if kind == .standard || kind == .recycled {
            object["selection"] = .string(selection.rawValue)
            object["layer_input"] = .string(layerInput.rawValue)
            object["initialization"] = .string(initialization.rawValue)
        }
        if kind == .recycled { object["reduction"] = .string(reduction.rawValue) }
        if kind == .gemma { object["coefficient_clip"] = .double(coefficientClip ?? 0) }
        if let sequence { object["sequence"] = sequence.settings }
        return .object(object)
    }
}

extension AltUpConfiguration {
    /// Returns the parameters that AltUp adds to a layer, with names within it: K² + K values for a plain mix.
    public func parameterShapes(layer: Int, layerCount: Int, hiddenSize: Int) -> [(
        name: String, shape: [Int]
    )] {
        var shapes: [(name: String, shape: [Int])] = []
        let k = streamCount
        switch kind {
        case .standard, .recycled:
            shapes = [("altup.prediction", [k, k]), ("altup.correction", [k])]
        case .gemma:
            shapes = [
                ("altup.router_norm.weight", [hiddenSize]), ("altup.router.weight", [k, hiddenSize]),
                ("altup.prediction_coefficients.weight", [k * k, k]),
                ("altup.correction_coefficients.weight", [k, k]),
            ]
        case .sum, .none:
            break
        }
        if let sequence, sequence.mode == .altup, sequence.layers(of: layerCount)?.contains(layer) == true {
            shapes.append(("sequence_altup.coefficients", [3]))
        }
        return shapes
    }

    /// Returns the parameters that AltUp adds to the stack: Gemma's projections, 2 (K - 1) matrices [d, d].
    public func parameterShapes(hiddenSize: Int) -> [(name: String, shape: [Int])] {
        guard kind == .gemma else { return [] }
        return ["expand", "collapse"].flatMap { side in
            (1..<max(1, streamCount)).map { ("altup.\(side).\($0).weight", [hiddenSize, hiddenSize]) }
        }
    }

    /// Returns the FLOPs per token of the mix of one layer: K² d + d + K d multiply-adds, and those of a router.
    public func mixFLOPs(hiddenSize: Int) -> Int {
        guard mixesStreams else { return 0 }
        let k = streamCount
        let mix = (k * k + k + 1) * hiddenSize
        return 2 * (kind == .gemma ? mix + 2 * k * hiddenSize + k * k * k + k * k : mix)
    }

    /// Returns the number of state values that a layer adds to the dense layer's: its last anchor and its update.
    func extraStateElementCount(layer: Int, layerCount: Int, hiddenSize: Int) -> Int {
        guard let sequence, sequence.mode == .altup,
            sequence.layers(of: layerCount)?.contains(layer) == true
        else { return 0 }
        return 2 * hiddenSize
    }
}
