import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// AltUp around the layers of any stack: expansion into streams, the mix around each layer, collapse into one.
///
///     var streams = try altUp.expand(embedded)
///     for layer in layers.indices {
///         streams = try altUp.layer(layer, streams) { x, stride in try layers[layer](x) }
///     }
///     let hidden = try altUp.collapse(streams)
///
/// Streams are separate contiguous tensors [B, T, d], so that a layer reads its stream without a copy. Layers map
/// [B, T, d] → [B, T, d] with their residual sums inside.
public struct AltUpStack {
    /// The kind of AltUp and its parameters.
    public let configuration: AltUpConfiguration
    /// Width d of one stream.
    public let hiddenSize: Int
    private let mixes: [any StreamMix]
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

    /// Returns the reduction of a layer that sees only some of the tokens; nil for layers that see all.
    public func reduction(layer: Int) -> SequenceAltUp? {
        reductions.indices.contains(layer) ? reductions[layer] : nil
    }

    /// Returns the streams of embedded tokens [B, T, embeddingWidth]: one for kinds without mixing, otherwise K.
    public func expand(_ x: Tensor) throws -> [Tensor] {
        let k = configuration.streamCount
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
            return try ends?.streams(of: x) ?? [x]
        case .none:
            return [x]
        }
    }

    /// Returns the output of the stack, [B, T, outputWidth].
    public func collapse(_ streams: [Tensor]) throws -> Tensor {
        guard streams.count > 1 else { return streams[0] }
        switch configuration.kind {
        case .standard:
            return try Tensor.concatenated(streams, axis: -1)
        case .gemma:
            return try ends?.one(of: streams) ?? streams[0]
        case .recycled, .sum, .none:
            let factor = configuration.reduction == .sum ? 1 : 1 / Double(streams.count)
            return try FusedOperators.combine(
                streams, weights: [[Double](repeating: factor, count: streams.count)])[0]
        }
    }

    /// Returns the streams after a layer that maps the active stream, and the layer's second result.
    ///
    /// Sequence reductions are left to the caller, as layers with a state require.
    public func mix<Rest>(
        _ layer: Int, _ streams: [Tensor], _ context: ForwardContext = .inference,
        _ body: (Tensor) throws -> (Tensor, Rest)
    ) throws -> ([Tensor], Rest) {
        guard mixes.indices.contains(layer) else {
            let (output, rest) = try body(streams[0])
            return ([output], rest)
        }
        return try mixes[layer](streams, context, body)
    }

    /// Returns the streams after a layer without a state, which may see only every `stride`-th token.
    ///
    /// The body maps [B, ⌈T/stride⌉, d], given the stride: 1 for layers that see all tokens.
    public func layer(
        _ layer: Int, _ streams: [Tensor], _ context: ForwardContext = .inference,
        _ body: (Tensor, Int) throws -> Tensor
    ) throws -> [Tensor] {
        try mix(layer, streams, context) { x in
            guard let reduction = reduction(layer: layer) else { return (try body(x, 1), ()) }
            return (try reduction(x) { try body($0, reduction.stride) }, ())
        }.0
    }
}
