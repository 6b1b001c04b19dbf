import RetNetLayers
import RetNetTorch

extension T5Model {
    /// The state before the first token of the decoder, with `groupSize` rows for every source of the memory.
    ///
    /// Keys and values of the sources are computed here, once.
    public func startDecoding(_ memory: T5Memory, groupSize: Int = 1) throws -> T5DecodingState {
        guard groupSize > 0, memory.hidden.elementCount > 0 else { throw T5Error.emptyBatch }
        return try withoutGradients {
            let memory = T5Memory(hidden: try memory.hidden.to(computeType), segments: memory.segments)
            let rowCount = memory.hidden.size(0) * groupSize
            return T5DecodingState(
                rowCount: rowCount, position: 0,
                layers: try decoderLayers.map { try $0.cache(rowCount: rowCount, memory: memory) },
                memorySegments: try memory.segments.map { try $0.values.isEqual(to: 0).not().to(.int32) },
                head: try outputMatrix(computeType))
        }
    }

    /// One step: the logits [B, V] after the int64 tokens [B], and the state after them.
    ///
    /// Without gradients. Equal to the last position of a whole pass over all tokens so far. The first token of every row is the
    /// configuration's start token.
    public func cachedStep(_ tokens: Tensor, state: T5DecodingState) throws -> (
        logits: Tensor, state: T5DecodingState
    ) {
        guard tokens.shape == [state.rowCount] else {
            throw T5Error.wrongShape(
                what: "tokens of a step", expected: "[\(state.rowCount)]", found: tokens.shape)
        }
        return try withoutGradients {
            var next = state
            let x = try embedded(tokens.reshaped([-1, 1]), nil, "tokens", .inference)
            let pass = self.pass(decoderBias(), segments: nil, memory: nil, .inference)
            let bias = try pass.bias.last(count: state.position + 1)
            let y = try decoderStack(x, layerCount: decoderLayers.count) { index, x, _ in
                try decoderLayers[index].step(
                    x, bias: bias, cache: &next.layers[index], memorySegments: state.memorySegments, pass)
            }
            next.position += 1
            let hidden = try finished(y, pass)
            return (try hidden.linear(state.head).reshaped([state.rowCount, -1]), next)
        }
    }
}
