import RetNetLayers
import RetNetTorch

extension T5Model {
    /// Returns the state before the first token of the decoder, with `groupSize` rows per source.
    ///
    /// Keys and values of the sources are computed here, once.
    public func startDecoding(_ encoderOutput: T5EncoderOutput, groupSize: Int = 1) throws -> T5DecodingState
    {
        guard groupSize > 0, encoderOutput.hidden.elementCount > 0 else { throw T5Error.emptyBatch }
        return try withoutGradients {
            let source = T5EncoderOutput(
                hidden: try encoderOutput.hidden.to(computeType), segments: encoderOutput.segments)
            let rowCount = source.hidden.size(0) * groupSize
            return T5DecodingState(
                rowCount: rowCount, position: 0,
                layers: try decoderLayers.map { try $0.cache(rowCount: rowCount, source: source) },
                sourceSegments: try source.segments.map { try $0.values.isEqual(to: 0).not().to(.int32) },
                output: try outputMatrix(computeType))
        }
    }

    /// Returns the logits [B, V] after one int64 token per row, [B], and the state after these tokens.
    ///
    /// Computed without gradients, and equal to the last position of a whole pass over all tokens so far. The first
    /// token of every row is the configuration's start token.
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
            let pass = pass(decoderBias(), segments: nil, encoderOutput: nil, .inference)
            let bias = try pass.bias.last(count: state.position + 1)
            let y = try decoderStack(x, layerCount: decoderLayers.count) { index, x, _ in
                try decoderLayers[index].step(
                    x, bias: bias, cache: &next.layers[index], sourceSegments: state.sourceSegments, pass)
            }
            next.position += 1
            let hidden = try finished(y, pass)
            return (try hidden.linear(state.output).reshaped([state.rowCount, -1]), next)
        }
    }
}

/// A decoder layer's weights in the compute type, ready for single steps.
struct T5StepWeights {
    let own: Tensor
    let ownOutput: Tensor
    let query: Tensor
    let crossOutput: Tensor
    let feedForward: T5FeedForwardPart
}

/// The part of a decoding state that belongs to one layer.
struct T5LayerCache {
    var own: T5KeyValueCache
    /// [N, H, T, A] for N sources.
    var crossKeys: Tensor
    var crossValues: Tensor
    let weights: T5StepWeights
}

/// The state of a T5 decoder between steps.
///
/// Keys and values of the decoder's own tokens, which grow by one per step, and those of the sources, which are
/// computed once. Rows come in groups of equal size, one group per source: the beams of a search share the source's
/// keys and values. A state is a value: a step returns a new one and leaves the old one unchanged.
public struct T5DecodingState {
    /// Number of rows: sources times group size.
    public internal(set) var rowCount: Int
    /// Number of tokens decoded so far.
    public internal(set) var position: Int
    var layers: [T5LayerCache]
    /// Int32 [N, T], 1 where a source has a token; nil where sources have no padding.
    var sourceSegments: Tensor?
    /// The output matrix in the compute type.
    let output: Tensor

    /// Number of sources.
    public var sourceCount: Int { layers.first?.crossKeys.size(0) ?? 0 }
    /// Rows per source.
    public var groupSize: Int { sourceCount > 0 ? rowCount / sourceCount : 0 }
    /// Bytes of all keys and values, weights excluded.
    public var byteCount: Int {
        layers.reduce(0) { $0 + $1.own.byteCount + $1.crossKeys.byteCount + $1.crossValues.byteCount }
    }

    /// Returns the given rows, in that order; rows may repeat or be left out.
    ///
    /// Where every row stays in the group of its source, as in beam search, only the decoder's own keys and values
    /// are copied. Otherwise every row gets a source of its own. Throws `TorchError` for rows that do not exist.
    public func selecting(rows: [Int]) throws -> T5DecodingState {
        if let bad = rows.first(where: { $0 < 0 || $0 >= rowCount }) {
            throw TorchError(
                kind: .index, message: "row \(bad) does not exist: the state has \(rowCount) rows")
        }
        guard rows != Array(0..<rowCount) else { return self }
        let group = max(1, groupSize)
        var result = self
        result.rowCount = rows.count
        let indices = try Tensor.from(rows.map(Int64.init), on: output.device)
        let staysInGroups =
            rows.count == rowCount && rows.enumerated().allSatisfy { $0.offset / group == $0.element / group }
        let sources =
            staysInGroups ? nil : try Tensor.from(rows.map { Int64($0 / group) }, on: output.device)
        for index in layers.indices {
            result.layers[index].own = try layers[index].own.selecting(rows: indices)
            guard let sources else { continue }
            result.layers[index].crossKeys = try layers[index].crossKeys.indexSelected(0, sources)
            result.layers[index].crossValues = try layers[index].crossValues.indexSelected(0, sources)
        }
        if let sources {
            result.sourceSegments = try sourceSegments.map { try $0.indexSelected(0, sources) }
        }
        return result
    }
}

/// Keys and values of the tokens decoded so far, as a value that grows by one token at a time.
///
/// Storage is reserved ahead. A token is written in place only by the value that holds the newest tokens of its
/// storage; an older copy that grows gets storage of its own, so that no value changes through another.
public struct T5KeyValueCache {
    private final class Storage {
        let keys: Tensor
        let values: Tensor
        /// Number of tokens written.
        var count: Int

        init(keys: Tensor, values: Tensor, count: Int) {
            self.keys = keys
            self.values = values
            self.count = count
        }
    }

    private static let firstCapacity = 16
    private var storage: Storage
    /// Number of tokens in this value.
    public private(set) var count = 0

    /// An empty cache.
    init(rowCount: Int, headCount: Int, keySize: Int, elementType: ElementType, device: Device) throws {
        let shape = [rowCount, headCount, Self.firstCapacity, keySize]
        storage = Storage(
            keys: try Tensor.zeros(shape, elementType, on: device),
            values: try Tensor.zeros(shape, elementType, on: device), count: 0)
    }

    /// Keys [B, H, capacity, A], of which the first ``count`` positions are in use.
    var keys: Tensor { storage.keys }
    /// Values [B, H, capacity, A], of which the first ``count`` positions are in use.
    var values: Tensor { storage.values }
    /// Bytes of keys and values in use.
    public var byteCount: Int {
        let capacity = storage.keys.size(2)
        return capacity > 0 ? 2 * storage.keys.byteCount / capacity * count : 0
    }

    /// Returns the keys and values in use, each [B, H, count, A].
    public func tensors() throws -> (keys: Tensor, values: Tensor) {
        (try storage.keys.sliced(2, 0..<count), try storage.values.sliced(2, 0..<count))
    }

    /// Appends the keys and values [B, H, 1, A] of the next token.
    mutating func append(keys: Tensor, values: Tensor) throws {
        if storage.count != count || count == storage.keys.size(2) { try moveToOwnStorage() }
        try storage.keys.sliced(2, count..<count + 1).copy(from: keys)
        try storage.values.sliced(2, count..<count + 1).copy(from: values)
        count += 1
        storage.count = count
    }

    /// Returns the given rows, in that order; rows may repeat or be left out.
    func selecting(rows: Tensor) throws -> T5KeyValueCache {
        var result = self
        result.storage = Storage(
            keys: try storage.keys.indexSelected(0, rows), values: try storage.values.indexSelected(0, rows),
            count: count)
        return result
    }

    private mutating func moveToOwnStorage() throws {
        var shape = storage.keys.shape
        shape[2] = max(Self.firstCapacity, 2 * count)
        func moved(_ old: Tensor) throws -> Tensor {
            let new = try Tensor.zeros(shape, old.elementType, on: old.device)
            if count > 0 { try new.sliced(2, 0..<count).copy(from: old.sliced(2, 0..<count)) }
            return new
        }
        storage = Storage(keys: try moved(storage.keys), values: try moved(storage.values), count: count)
    }
}
