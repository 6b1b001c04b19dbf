import RetNetArchitecture
import RetNetLayers
import RetNetTorch

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
