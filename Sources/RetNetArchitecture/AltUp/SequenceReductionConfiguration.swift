import RetNetSettings

/// Configuration of layers that see only every k-th token.
public struct SequenceReductionConfiguration: Sendable, Equatable {
    /// The treatment of the other tokens.
    public enum Mode: String, Sendable, CaseIterable {
        /// They take over the layer's update of the last token before them that it saw: Sequence-AltUp.
        case altup
        /// They pass unchanged: stride-and-skip.
        case skip
        /// All tokens are averaged in groups before the first layer, for all layers; encoders only.
        case pool
    }

    /// The unit in which a layer measures distances between tokens.
    public enum Positions: String, Sendable, CaseIterable {
        /// Tokens of the sequence.
        case tokens
        /// Tokens that the layer sees.
        case anchors
    }

    /// Treatment of the other tokens.
    public var mode: Mode
    /// Distance k between tokens that a layer sees.
    public var stride: Int
    /// First layer that sees fewer tokens.
    public var firstLayer: Int
    /// Last layer that sees fewer tokens; nil for the last but one.
    public var lastLayer: Int?
    /// Unit of distances.
    public var positions: Positions

    /// By default all layers but the first and the last see every fourth token.
    public init(
        mode: Mode = .altup, stride: Int = 4, firstLayer: Int = 1, lastLayer: Int? = nil,
        positions: Positions = .tokens
    ) {
        self.mode = mode
        self.stride = stride
        self.firstLayer = firstLayer
        self.lastLayer = lastLayer
        self.positions = positions
    }

    /// Returns the layers that see fewer tokens, in a stack of `layerCount`.
    public func layers(of layerCount: Int) -> ClosedRange<Int>? {
        let last = min(lastLayer ?? layerCount - 2, layerCount - 1)
        return mode != .pool && firstLayer <= last ? firstLayer...last : nil
    }

    /// Returns the distance between two tokens that a layer sees: 1 for layers that see all.
    public func stride(layer: Int, layerCount: Int) -> Int {
        layers(of: layerCount)?.contains(layer) == true ? stride : 1
    }

    /// The reason why a causal model cannot have the mode; nil if it can.
    public var unsupportedReasonInCausalModels: String? {
        guard mode == .pool else { return nil }
        return
            "an average over a group of tokens makes tokens depend on later ones, which a causal model"
            + " excludes: use altup or skip"
    }
}

extension SequenceReductionConfiguration: DeclaredSettings {
    /// Every fourth token in all layers but the first and the last.
    public static let standard = SequenceReductionConfiguration()

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .choice("mode", \.mode, "Treatment of the tokens that a layer does not see."),
            .int("stride", \.stride, in: 1...1 << 20, "Distance between tokens that a layer sees."),
            .int("first_layer", \.firstLayer, in: 0...10_000, "First layer that sees fewer tokens."),
            .choice("positions", \.positions, "Unit of distances: tokens of the sequence, or those seen."),
            .int(
                "last_layer", \.lastLayer, in: 0...10_000,
                "Last layer that sees fewer tokens; by default the last but one."),
        ]
    }

    /// Reports a last layer before the first.
    public func reportContradictions(to reader: SettingsReader) {
        guard let lastLayer, lastLayer < firstLayer else { return }
        reader.reportContradiction("last_layer", "it must not be before first_layer, \(firstLayer)")
    }
}
