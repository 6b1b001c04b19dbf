import RetNetArchitecture
import RetNetLayers

/// Sizes and costs of a T5, computed from its configuration; a multiply-add counts as two FLOPs.
public struct T5Accounting: Sendable, Equatable {
    /// The configuration of the model.
    public let configuration: T5Configuration
    /// Widths outside the layers.
    public let widths: T5Widths
    /// Number of all parameters.
    public let parameterCount: Int
    /// Number of parameters of the embedding and of a separate output matrix.
    public let embeddingParameterCount: Int
    /// Number of parameters of AltUp's mixes, wider matrices excluded.
    public let altUpParameterCount: Int

    /// Counts the parameters that the model declares; throws as ``T5Model`` does for such a configuration.
    ///
    /// `stacks` are those of the configuration by default.
    public init(_ configuration: T5Configuration, stacks: T5Stacks? = nil) throws {
        let store = ParameterStore(source: .shapes)
        let model = try T5Model(configuration, parameters: store, computeType: .float32, stacks: stacks)
        self.configuration = configuration
        widths = model.widths
        func count(_ isCounted: (String) -> Bool) -> Int {
            store.entries.reduce(0) { $0 + (isCounted($1.name) ? $1.tensor.elementCount : 0) }
        }
        parameterCount = store.parameterCount
        embeddingParameterCount = count {
            $0 == T5Configuration.embeddingName || $0 == T5Configuration.outputName
        }
        altUpParameterCount = count { $0.contains("altup.") }
    }

    /// Number of parameters outside the embedding and the output matrix.
    public var otherParameterCount: Int { parameterCount - embeddingParameterCount }

    /// Returns the FLOPs of one forward pass: the encoder over the source, decoder and output over the target.
    public func forwardFLOPs(sourceLength: Int, targetLength: Int) -> Int {
        let c = configuration
        let (s, t) = (max(0, min(sourceLength, 1 << 20)), max(0, min(targetLength, 1 << 20)))
        let (d, inner) = (c.hiddenSize, c.attentionSize)
        // Positions per layer: fewer in a reduced one, and in all of them after pooling.
        let pooling = c.altUp?.sequence.flatMap { $0.mode == .pool ? $0.stride : nil } ?? 1
        let encoded = (s + pooling - 1) / max(1, pooling)
        var encoder = 0
        for layer in 0..<c.encoderLayerCount {
            let stride = c.altUp?.sequence?.stride(layer: layer, layerCount: c.encoderLayerCount) ?? 1
            let seen = (encoded + stride - 1) / max(1, stride)
            let fed = feedForwardProducts(layer: layer, isDecoder: false)
            encoder += seen * (4 * d * inner + fed) + 2 * seen * seen * inner
        }
        let own = 4 * t * d * inner + t * t * inner
        let fed = (0..<c.decoderLayerCount).reduce(0) {
            $0 + t * feedForwardProducts(layer: $1, isDecoder: true)
        }
        let cross = 2 * t * d * inner + 2 * encoded * widths.encoderOutput * inner + 2 * t * encoded * inner
        let output = t * widths.decoderOutput * c.vocabularySize
        let mixes =
            (c.altUp?.mixFLOPs(hiddenSize: d) ?? 0)
            * (encoded * c.encoderLayerCount + t * c.decoderLayerCount)
        return 2 * (encoder + c.decoderLayerCount * (own + cross) + fed + output) + mixes
    }

    /// Returns the multiply-adds per token in the feed-forward of a layer, of experts those that a token reaches.
    private func feedForwardProducts(layer: Int, isDecoder: Bool) -> Int {
        let c = configuration
        let matrices = c.feedForward.isGated ? 3 : 2
        let whole = matrices * c.hiddenSize * c.innerSize
        guard let experts = c.experts?.experts(layer: layer, isDecoder: isDecoder) else { return whole }
        let keeps = experts.keepsFeedForward
        let expert = (keeps ? 2 : matrices) * c.hiddenSize * experts.expertInnerSize(c.innerSize)
        let passed = Double(experts.count) * experts.activeShare * Double(expert)
        return (keeps ? whole : 0) + experts.count * c.hiddenSize + Int(passed.rounded())
    }

    /// Returns the FLOPs of one example in training: three times ``forwardFLOPs(sourceLength:targetLength:)``.
    public func trainingFLOPs(sourceLength: Int, targetLength: Int) -> Int {
        3 * forwardFLOPs(sourceLength: sourceLength, targetLength: targetLength)
    }

    /// Returns the number of values in the decoder's cache of one sequence: its own keys and values, and the source's.
    public func cacheElementCount(sourceLength: Int, targetLength: Int) -> Int {
        let (s, t) = (max(0, min(sourceLength, 1 << 30)), max(0, min(targetLength, 1 << 30)))
        let stride = configuration.altUp?.sequence.flatMap { $0.mode == .pool ? $0.stride : nil } ?? 1
        let encoded = (s + stride - 1) / max(1, stride)
        return configuration.decoderLayerCount * 2 * configuration.attentionSize * (encoded + t)
    }

    /// Bytes of float32 weights, gradients and both moments of Adam, activations excluded.
    public var trainingByteCount: Int { parameterCount * 16 }
}

extension T5Configuration {
    /// Returns every parameter of the model with its name in files and its shape, in order of declaration.
    ///
    /// Matrices are [out, in]. `stacks` are those of the configuration by default.
    public func parameterShapes(_ stacks: T5Stacks? = nil) throws -> [(name: String, shape: [Int])] {
        let store = ParameterStore(source: .shapes)
        _ = try T5Model(self, parameters: store, computeType: .float32, stacks: stacks)
        return store.entries.map { ($0.name, $0.tensor.shape) }
    }

    /// Widths outside the layers: those of all streams where AltUp keeps them separate.
    public var widths: T5Widths {
        altUp?.t5Widths(hiddenSize: hiddenSize) ?? T5Widths(hiddenSize)
    }
}
