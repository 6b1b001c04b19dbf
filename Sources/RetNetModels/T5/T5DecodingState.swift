import RetNetTorch

/// A decoder layer's weights in the compute type, ready for single steps.
struct T5StepWeights {
    let own: Tensor
    let ownOutput: Tensor
    let query: Tensor
    let crossOutput: Tensor
    let feedForward: T5FeedForwardPart
}

/// What one decoder layer keeps while decoding.
struct T5LayerCache {
    var own: T5KeyValueCache
    /// [N, H, T, A] for N sources.
    var crossKeys: Tensor
    var crossValues: Tensor
    let weights: T5StepWeights
}

/// Everything a T5 decoder keeps between steps.
///
/// Keys and values of its own tokens, which grow by one a step, and those of the sources, which are computed once.
/// Rows come in groups of the same size, one group a source: the beams of a search share the source's keys and
/// values. A value: a step returns a new state and leaves the old one as it is.
public struct T5DecodingState {
    /// Rows: sources times group size.
    public internal(set) var rowCount: Int
    /// Tokens decoded so far.
    public internal(set) var position: Int
    var layers: [T5LayerCache]
    /// Int32 [N, T], 1 where a source has a token; nil where sources have no padding.
    var memorySegments: Tensor?
    /// The output matrix in the compute type.
    let head: Tensor

    /// Sources.
    public var sourceCount: Int { layers.first?.crossKeys.size(0) ?? 0 }
    /// Rows of each source.
    public var groupSize: Int { sourceCount > 0 ? rowCount / sourceCount : 0 }
    /// Bytes of all keys and values held; weights are not counted.
    public var byteCount: Int {
        layers.reduce(0) { $0 + $1.own.byteCount + $1.crossKeys.byteCount + $1.crossValues.byteCount }
    }

    /// The given rows, in that order; rows may repeat or be left out.
    ///
    /// Cheap where every row stays in the group of its source, as in beam search: then only the decoder's own keys
    /// and values move. Otherwise every row gets a source of its own.
    public func selecting(rows: [Int]) throws -> T5DecodingState {
        if let bad = rows.first(where: { $0 < 0 || $0 >= rowCount }) {
            throw TorchError(
                kind: .index, message: "row \(bad) does not exist: the state has \(rowCount) rows")
        }
        guard rows != Array(0..<rowCount) else { return self }
        let group = max(1, groupSize)
        var result = self
        result.rowCount = rows.count
        let indices = try Tensor.from(rows.map(Int64.init), on: head.device)
        let staysInGroups =
            rows.count == rowCount && rows.enumerated().allSatisfy { $0.offset / group == $0.element / group }
        let sources =
            staysInGroups ? nil : try Tensor.from(rows.map { Int64($0 / group) }, on: head.device)
        for index in layers.indices {
            result.layers[index].own = try layers[index].own.selecting(rows: indices)
            guard let sources else { continue }
            result.layers[index].crossKeys = try layers[index].crossKeys.indexSelected(0, sources)
            result.layers[index].crossValues = try layers[index].crossValues.indexSelected(0, sources)
        }
        if let sources {
            result.memorySegments = try memorySegments.map { try $0.indexSelected(0, sources) }
        }
        return result
    }
}
