import RetNetArchitecture
import RetNetKernels

/// One layer of T5's encoder, in two steps, because every row attends to the keys of all.
///
///     K = Norm(X) W_K     V = Norm(X) W_V                 of all rows first
///     Y = X + Attention(Norm(X), K, V)     X' = Y + FFN(Norm(Y))
struct T5EncoderLayer {
    private let attention: T5Attention
    private let attentionNorm: Norm
    private let feedForward: any RuntimeFeedForward
    private let feedForwardNorm: Norm

    init(_ builder: inout ModelBuilder, _ c: T5Configuration, layer: Int) throws {
        (attention, attentionNorm) = try builder.scope("layer.0") { builder in
            (
                try T5Attention(&builder, "SelfAttention", c, sourceWidth: c.hiddenSize),
                try Norm(&builder, c, "layer_norm", size: c.hiddenSize)
            )
        }
        (feedForward, feedForwardNorm) = try builder.scope("layer.1") { builder in
            (
                try c.makeFeedForward(&builder, layer: layer, isDecoder: false),
                try Norm(&builder, c, "layer_norm", size: c.hiddenSize)
            )
        }
    }

    /// Adds the keys and values of the rows x to the only cache of their sequences.
    func read(_ x: Rows, _ pass: Pass) {
        let (keys, values) = attention.keysAndValues(attentionNorm(x, pass), pass)
        _ = pass.append(keys, values, cache: 0)
    }

    /// Returns the rows behind the layer, once all keys and values of their sequences are there; those of x are written.
    func callAsFunction(_ x: Rows, _ bias: BiasTable, _ pass: Pass) throws -> Rows {
        let caches = pass.caches { index in
            let own = pass.storages[index].caches[0]
            return (own, past: pass.places[index].count, seen: own.count)
        }
        pass.add(attention(attentionNorm(x, pass), over: caches, .float32, bias, pass), to: x)
        pass.add(try feedForward(feedForwardNorm(x, pass), pass), to: x)
        return x
    }
}

/// One layer of T5's decoder.
///
///     Y = X + Attention(Norm(X))     Z = Y + Attention(Norm(Y), encoder's output)     X' = Z + FFN(Norm(Z))
struct T5DecoderLayer {
    private let attention: T5Attention
    private let attentionNorm: Norm
    private let cross: T5Attention
    private let crossNorm: Norm
    private let feedForward: any RuntimeFeedForward
    private let feedForwardNorm: Norm
    private let cache: Int
    private let layer: Int

    /// `sourceWidth` is the width of the encoder's output.
    init(_ builder: inout ModelBuilder, _ c: T5Configuration, layer: Int, sourceWidth: Int) throws {
        (attention, attentionNorm) = try builder.scope("layer.0") { builder in
            (
                try T5Attention(&builder, "SelfAttention", c, sourceWidth: c.hiddenSize),
                try Norm(&builder, c, "layer_norm", size: c.hiddenSize)
            )
        }
        (cross, crossNorm) = try builder.scope("layer.1") { builder in
            (
                try T5Attention(&builder, "EncDecAttention", c, sourceWidth: sourceWidth),
                try Norm(&builder, c, "layer_norm", size: c.hiddenSize)
            )
        }
        (feedForward, feedForwardNorm) = try builder.scope("layer.2") { builder in
            (
                try c.makeFeedForward(&builder, layer: layer, isDecoder: true),
                try Norm(&builder, c, "layer_norm", size: c.hiddenSize)
            )
        }
        cache = try builder.state.cache()
        self.layer = layer
    }

    /// Adds the keys and values of the encoder's output [rows, source width] to the memories of their sources.
    func read(_ encoded: Rows, _ memories: [SourceMemory], _ pass: Pass) {
        let (keys, values) = cross.keysAndValues(encoded, pass)
        for (memory, rows) in zip(memories, pass.segments) {
            memory.append(layer: layer, keys, values, rows: rows, pass.pool)
        }
    }

    /// Returns the rows behind the layer; those of x are written.
    func callAsFunction(_ x: Rows, _ bias: BiasTable, _ memories: [SourceMemory], _ pass: Pass) throws -> Rows
    {
        pass.add(attention(attentionNorm(x, pass), cache: cache, bias, pass), to: x)
        let caches = pass.caches { index in
            (memories[index].caches[layer], past: 0, seen: memories[index].tokenCount)
        }
        let type = pass.storages[0].layout.type
        pass.add(cross(crossNorm(x, pass), over: caches, type, nil, pass), to: x)
        pass.add(try feedForward(feedForwardNorm(x, pass), pass), to: x)
        return x
    }
}

extension Norm {
    /// T5's norm: by the root mean square, with weights.
    init(_ builder: inout ModelBuilder, _ c: T5Configuration, _ name: String, size: Int) throws {
        try self.init(
            &builder, name, size: size, NormConfiguration(kind: .rms, epsilon: c.epsilon, affine: true))
    }
}

extension T5Configuration {
    /// Returns the feed-forward of a layer, its experts, or both, under `DenseReluDense`.
    func makeFeedForward(_ builder: inout ModelBuilder, layer: Int, isDecoder: Bool) throws
        -> any RuntimeFeedForward
    {
        try builder.scope("DenseReluDense") { builder in
            guard let experts = experts?.experts(layer: layer, isDecoder: isDecoder) else {
                return try makeFeedForward(&builder)
            }
            return try experts.makeLayer(
                &builder, hiddenSize: hiddenSize, innerSize: innerSize, isGated: feedForward.isGated,
                biases: false, activation: feedForward.kernel,
                whole: experts.keepsFeedForward ? try makeFeedForward(&builder) : nil)
        }
    }

    private func makeFeedForward(_ builder: inout ModelBuilder) throws -> FeedForward {
        let isGated = feedForward.isGated
        return FeedForward(
            up: try builder.linear(isGated ? "wi_0" : "wi", from: hiddenSize, to: innerSize),
            gate: isGated ? try builder.linear("wi_1", from: hiddenSize, to: innerSize) : nil, subNorm: nil,
            down: try builder.linear("wo", from: innerSize, to: hiddenSize), activation: feedForward.kernel)
    }
}

extension T5Configuration.FeedForwardKind {
    fileprivate var kernel: rn_function {
        switch self {
        case .relu, .gatedRelu: RN_RELU
        case .gelu: RN_GELU
        case .gatedGelu: RN_GELU_TANH
        case .silu, .gatedSilu: RN_SWISH
        }
    }
}
