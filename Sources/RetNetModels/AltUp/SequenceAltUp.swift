import RetNetLayers
import RetNetSettings
import RetNetTorch

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

/// The reduction of a layer to every k-th token, the anchors; the others take over the update of the last anchor.
///
///     ŷᵢ = a₁ xᵢ + a₂ x_c        outᵢ = ŷᵢ + b (L(anchors)_c - ŷ_c)        c the anchor at or before token i
///
/// With the mode `skip`, tokens that are no anchors pass unchanged. Source: arXiv 2301.13310, section 4.
public struct SequenceAltUp {
    /// Distance k between anchors.
    public let stride: Int
    /// The coefficients a₁, a₂ and b, [3]; nil with `skip`.
    public let coefficients: Tensor?

    /// The part of the state that a piece of a sequence leaves for the next one.
    public struct Carry {
        /// The last anchor, [B, D] in the accumulator type.
        public var anchor: Tensor
        /// The layer's output for it minus its prediction, [B, D].
        public var innovation: Tensor
    }

    /// Declares `coefficients`, initially 1, 0 and 1: tokens receive what the layer adds to their anchor.
    public init(_ scope: ParameterScope, _ configuration: SequenceReductionConfiguration) throws {
        stride = configuration.stride
        coefficients =
            configuration.mode == .altup
            ? try scope.parameter("coefficients", [3], .values([1, 0, 1]), decays: false) : nil
    }

    /// Applies a layer that maps the anchors [B, ⌈T/k⌉, D] to x [B, T, D] from the start of a sequence.
    public func callAsFunction(_ x: Tensor, _ layer: (Tensor) throws -> Tensor) throws -> Tensor {
        let anchors = try x.sliced(1, 0..<x.size(1), by: stride).contiguous()
        return try mix(x, layerOutput: layer(anchors), carry: nil, first: 0).output
    }

    /// Returns the tokens that the layer sees, every k-th of x [B, T, D] from `first` on; nil if there is none.
    func anchors(_ x: Tensor, first: Int) throws -> Tensor? {
        guard first < x.size(1) else { return nil }
        return try x.sliced(1, first..<x.size(1), by: stride).contiguous()
    }

    /// Returns all tokens, given the layer's output for the anchors from `first` on and the carry of the piece before.
    func mix(_ x: Tensor, layerOutput: Tensor?, carry: Carry?, first: Int) throws
        -> (output: Tensor, carry: Carry?)
    {
        guard let coefficients else {
            guard let layerOutput else { return (x, nil) }
            return (try x.replacing(1, first..<x.size(1), by: stride, with: layerOutput), nil)
        }
        let mixed = try FusedOperators.sequenceAltUp(
            x, layerOutput: layerOutput, anchor: carry?.anchor, innovation: carry?.innovation,
            coefficients: coefficients, first: first, stride: stride)
        return (mixed.output, Carry(anchor: mixed.anchor, innovation: mixed.innovation))
    }

    /// Returns means over groups of `stride` tokens: x [B, T, D] → [B, ⌈T/k⌉, D]; the last group may be shorter.
    ///
    /// `mask` [B, T] is 1 for tokens and 0 for padding; a group of padding alone gives zeros.
    public static func pooled(_ x: Tensor, stride: Int, mask: Tensor? = nil) throws -> Tensor {
        let (batch, time, width) = (x.size(0), x.size(1), x.size(2))
        let wide = x.elementType.accumulator
        let groups = (time + stride - 1) / stride
        let weights = try mask?.to(wide) ?? Tensor.ones([batch, time], wide, on: x.device)
        func grouped(_ t: Tensor) throws -> Tensor {
            var padding = t.shape
            padding[1] = groups * stride - time
            let full =
                padding[1] == 0
                ? t : try Tensor.concatenated([t, Tensor.zeros(padding, wide, on: x.device)], axis: 1)
            return try full.reshaped([batch, groups, stride, t.size(2)]).sum([2])
        }
        let counts = try grouped(weights.unsqueezed(-1))
        let sums = try grouped(x.to(wide) * weights.unsqueezed(-1))
        return try (sums / counts.maximum(1)).to(x.elementType).reshaped([batch, groups, width])
    }
}
