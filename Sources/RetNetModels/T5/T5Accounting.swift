/// What a T5 of some configuration weighs and costs, by arithmetic alone; a multiply-add counts as two FLOPs.
public struct T5Accounting: Sendable, Equatable {
    /// The configuration that is counted.
    public let configuration: T5Configuration
    /// Widths outside the layers.
    public let widths: T5Widths
    /// All parameters.
    public let parameterCount: Int
    /// Parameters of the embedding and of a separate output matrix.
    public let embeddingParameterCount: Int
    /// Parameters of AltUp's mixes; wider matrices are not counted here.
    public let altUpParameterCount: Int

    /// Counts; throws `SettingsError` if the configuration is not sound.
    public init(_ configuration: T5Configuration, widths: T5Widths? = nil) throws {
        try configuration.validate()
        self.configuration = configuration
        self.widths = widths ?? configuration.widths
        var total = 0
        var tables = 0
        for (name, shape) in configuration.parameterShapes(self.widths) {
            let count = shape.reduce(1, *)
            total += count
            if name == T5Names.embedding || name == T5Names.output { tables += count }
        }
        parameterCount = total
        altUpParameterCount = (configuration.altUp?.t5ParameterShapes(configuration) ?? []).reduce(0) {
            $0 + $1.shape.reduce(1, *)
        }
        embeddingParameterCount = tables
    }

    /// Parameters outside the embedding and the output matrix.
    public var otherParameterCount: Int { parameterCount - embeddingParameterCount }

    /// FLOPs of one example forward: the encoder over the source, the decoder and the output over the target.
    public func forwardFLOPs(sourceLength: Int, targetLength: Int) -> Int {
        let c = configuration
        let (s, t) = (max(0, min(sourceLength, 1 << 20)), max(0, min(targetLength, 1 << 20)))
        let (d, inner) = (c.hiddenSize, c.attentionSize)
        // What a layer sees: fewer tokens in a reduced one, and in all of them after pooling.
        let pooling = c.altUp?.sequence.flatMap { $0.mode == .pool ? $0.stride : nil } ?? 1
        let memory = (s + pooling - 1) / max(1, pooling)
        var encoder = 0
        for layer in 0..<c.encoderLayerCount {
            let stride = c.altUp?.sequence?.stride(layer: layer, layerCount: c.encoderLayerCount) ?? 1
            let seen = (memory + stride - 1) / max(1, stride)
            let fed = feedForwardProducts(layer: layer, isDecoder: false)
            encoder += seen * (4 * d * inner + fed) + 2 * seen * seen * inner
        }
        let own = 4 * t * d * inner + t * t * inner
        let fed = (0..<c.decoderLayerCount).reduce(0) {
            $0 + t * feedForwardProducts(layer: $1, isDecoder: true)
        }
        let cross = 2 * t * d * inner + 2 * memory * widths.encoderOutput * inner + 2 * t * memory * inner
        let output = t * widths.decoderOutput * c.vocabularySize
        let mixes =
            (c.altUp?.mixFLOPs(hiddenSize: d) ?? 0) * (memory * c.encoderLayerCount + t * c.decoderLayerCount)
        return 2 * (encoder + c.decoderLayerCount * (own + cross) + fed + output) + mixes
    }

    /// Multiply-adds of one token in what follows the attention of a layer, with the experts that it passes.
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

    /// FLOPs of one example in training: three times ``forwardFLOPs(sourceLength:targetLength:)``.
    public func trainingFLOPs(sourceLength: Int, targetLength: Int) -> Int {
        3 * forwardFLOPs(sourceLength: sourceLength, targetLength: targetLength)
    }

    /// Numbers in the decoder's cache of one sequence: own keys and values so far, and those of the source.
    public func cacheElementCount(sourceLength: Int, targetLength: Int) -> Int {
        let (s, t) = (max(0, min(sourceLength, 1 << 30)), max(0, min(targetLength, 1 << 30)))
        let stride = configuration.altUp?.sequence.flatMap { $0.mode == .pool ? $0.stride : nil } ?? 1
        let memory = (s + stride - 1) / max(1, stride)
        return configuration.decoderLayerCount * 2 * configuration.attentionSize * (memory + t)
    }

    /// Bytes of float32 weights, gradients and both moments of Adam; activations come on top.
    public var trainingByteCount: Int { parameterCount * 16 }
}
