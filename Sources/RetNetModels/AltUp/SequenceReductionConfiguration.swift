import RetNetSettings

/// Layers of a stack that see every k-th token only.
public struct SequenceReductionConfiguration: Sendable, Equatable {
    /// What becomes of the other tokens.
    public enum Mode: String, Sendable, CaseIterable {
        /// They take over what the layer did to the token before them that it saw: Sequence-AltUp.
        case altup
        /// They pass unchanged: stride-and-skip.
        case skip
        /// All are averaged in groups before the first layer, for good; encoders only.
        case pool
    }

    /// In which unit a layer measures the distance of the tokens that it sees.
    public enum Positions: String, Sendable, CaseIterable {
        /// Tokens of the sequence.
        case tokens
        /// Tokens that the layer sees.
        case anchors
    }

    /// What becomes of the other tokens.
    public var mode: Mode
    /// k.
    public var stride: Int
    /// The first layer that sees fewer tokens.
    public var firstLayer: Int
    /// The last layer that sees fewer tokens; nil for the last but one.
    public var lastLayer: Int?
    /// In which unit distances are measured.
    public var positions: Positions

    /// Every fourth token in all layers but the first and the last, unless told otherwise.
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

    /// The layers that see fewer tokens, of a stack of so many.
    public func layers(of layerCount: Int) -> ClosedRange<Int>? {
        let last = min(lastLayer ?? layerCount - 2, layerCount - 1)
        return mode != .pool && firstLayer <= last ? firstLayer...last : nil
    }

    /// How many tokens lie between two that a layer sees: 1 for layers that see all.
    public func stride(layer: Int, layerCount: Int) -> Int {
        layers(of: layerCount)?.contains(layer) == true ? stride : 1
    }

    /// Why a causal model cannot have the mode, or nil when it can.
    public var causalObstacle: String? {
        guard mode == .pool else { return nil }
        return
            "an average over a group of tokens shows a token those that come after it, which a causal model"
            + " must not see: take altup or skip"
    }
}

extension SequenceReductionConfiguration: SettingsRepresentable {
    /// Reads `mode`, `stride`, `first_layer`, `last_layer` and `positions`, each with the initialiser's default.
    public init(reading reader: SettingsReader) {
        let standard = SequenceReductionConfiguration()
        self.init(
            mode: reader.enumeration("mode", default: standard.mode),
            stride: reader.int("stride", in: 1...1 << 20, default: standard.stride),
            firstLayer: reader.int("first_layer", in: 0...10_000, default: standard.firstLayer),
            lastLayer: reader.optionalInt("last_layer", in: 0...10_000),
            positions: reader.enumeration("positions", default: standard.positions))
        if let lastLayer, lastLayer < firstLayer {
            reader.reportContradiction("last_layer", "it must not be before first_layer, \(firstLayer)")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = [
            "mode": .string(mode.rawValue), "stride": .int(stride), "first_layer": .int(firstLayer),
            "positions": .string(positions.rawValue),
        ]
        if let lastLayer { object["last_layer"] = .int(lastLayer) }
        return .object(object)
    }
}
