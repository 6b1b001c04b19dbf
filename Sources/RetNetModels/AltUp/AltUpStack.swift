import RetNetLayers
import RetNetTorch

/// AltUp around the layers of any stack: the way in, the mix around each layer, the way out.
///
///     var blocks = try altUp.expand(embedded)
///     for layer in layers.indices {
///         blocks = try altUp.layer(layer, blocks) { x, stride in try layers[layer](x) }
///     }
///     let hidden = try altUp.collapse(blocks)
///
/// Blocks are separate contiguous tensors [B, T, d], so that a layer reads its block without a copy. Layers map
/// [B, T, d] → [B, T, d] with their own residual sums inside.
public struct AltUpStack {
    /// The choices.
    public let configuration: AltUpConfiguration
    /// d.
    public let hiddenSize: Int
    private let mixes: [any BlockMix]
    private let reductions: [SequenceAltUp?]
    private let ends: GemmaEnds?

    /// Declares `altup` and `sequence_altup` in the scope of each layer and, with `gemma`, `altup` in the stack's.
    public init(
        _ configuration: AltUpConfiguration, hiddenSize: Int, layerCount: Int, scope: ParameterScope,
        layerScope: (Int) -> ParameterScope
    ) throws {
        self.configuration = configuration
        self.hiddenSize = hiddenSize
        switch configuration.kind {
        case .standard, .recycled:
            mixes = try (0..<layerCount).map {
                try AltUpMix(layerScope($0).scope("altup"), configuration, layer: $0)
            }
        case .gemma:
            mixes = try (0..<layerCount).map {
                try GemmaMix(layerScope($0).scope("altup"), configuration, hiddenSize: hiddenSize)
            }
        case .sum, .none:
            mixes = []
        }
        let sequence = configuration.sequence
        let reduced = sequence?.layers(of: layerCount)
        reductions = try (0..<layerCount).map { layer in
            guard let sequence, reduced?.contains(layer) == true else { return nil }
            return try SequenceAltUp(layerScope(layer).scope("sequence_altup"), sequence)
        }
        ends =
            configuration.kind == .gemma
            ? try GemmaEnds(scope.scope("altup"), configuration, hiddenSize: hiddenSize) : nil
    }

    /// The reduction of a layer that sees only some of the tokens; nil for those that see all.
    public func reduction(layer: Int) -> SequenceAltUp? {
        reductions.indices.contains(layer) ? reductions[layer] : nil
    }

    /// The blocks of embedded tokens [B, T, embeddingWidth]: one with the kinds that do not mix, otherwise K.
    public func expand(_ x: Tensor) throws -> [Tensor] {
        let k = configuration.blockCount
        switch configuration.kind {
        case .standard, .sum:
            let parts = try (0..<k).map {
                try x.sliced(-1, $0 * hiddenSize..<($0 + 1) * hiddenSize).contiguous()
            }
            guard configuration.kind == .sum, k > 1 else { return parts }
            return try FusedOperators.combine(parts, weights: [[Double](repeating: 1, count: k)])
        case .recycled:
            return [Tensor](repeating: x, count: k)
        case .gemma:
            return try ends?.blocks(of: x) ?? [x]
        case .none:
            return [x]
        }
    }

    /// What the stack hands on, [B, T, outputWidth].
    public func collapse(_ blocks: [Tensor]) throws -> Tensor {
        guard blocks.count > 1 else { return blocks[0] }
        switch configuration.kind {
        case .standard:
            return try Tensor.concatenated(blocks, axis: -1)
        case .gemma:
            return try ends?.one(of: blocks) ?? blocks[0]
        case .recycled, .sum, .none:
            let factor = configuration.reduction == .sum ? 1 : 1 / Double(blocks.count)
            return try FusedOperators.combine(
                blocks, weights: [[Double](repeating: factor, count: blocks.count)])[0]
        }
    }

    /// The blocks after a layer that maps the active block; what else it returns is passed on.
    ///
    /// Sequence reductions are the caller's here: for layers with a state.
    public func mix<Rest>(
        _ layer: Int, _ blocks: [Tensor], _ body: (Tensor) throws -> (Tensor, Rest)
    ) throws -> ([Tensor], Rest) {
        guard mixes.indices.contains(layer) else {
            let (output, rest) = try body(blocks[0])
            return ([output], rest)
        }
        return try mixes[layer](blocks, body)
    }

    /// The blocks after a layer without a state, which may see only every `stride`-th token.
    ///
    /// The body gets [B, ⌈T/stride⌉, d] and the stride, 1 for layers that see all tokens.
    public func layer(_ layer: Int, _ blocks: [Tensor], _ body: (Tensor, Int) throws -> Tensor) throws
        -> [Tensor]
    {
        try mix(layer, blocks) { x in
            guard let reduction = reduction(layer: layer) else { return (try body(x, 1), ()) }
            return (try reduction(x) { try body($0, reduction.stride) }, ())
        }.0
    }
}
