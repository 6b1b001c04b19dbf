import RetNetMixers
import RetNetTorch

/// Everything a language model remembers of the tokens it has seen.
///
/// One mixer state a layer, and where each batch row stands. A value: operations return new states.
public struct LanguageModelState {
    /// One state a layer, first layer first.
    public var layers: [any MixerState]
    /// Where each batch row stands; the next token of row r is at `positions[r].position`.
    public var positions: [SequencePosition]

    /// A state of given parts.
    public init(layers: [any MixerState], positions: [SequencePosition]) {
        self.layers = layers
        self.positions = positions
    }

    /// The number of batch rows.
    public var batchSize: Int { positions.count }
    /// Bytes of all tensors of all layers.
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    /// The same state with every tensor transformed.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> LanguageModelState {
        LanguageModelState(layers: try layers.map { try $0.mapTensors(transform) }, positions: positions)
    }

    /// A copy that shares no memory with this one.
    public func copy() throws -> LanguageModelState { try mapTensors { try $0.clone() } }

    /// The same values outside the graph: where truncated back-propagation cuts.
    public func detached() throws -> LanguageModelState { try mapTensors { try $0.detached() } }

    /// The given rows, in that order; rows may repeat (to fork a conversation) or be left out.
    public func selecting(rows: [Int]) throws -> LanguageModelState {
        guard let bad = rows.first(where: { $0 < 0 || $0 >= batchSize }) else {
            let indices = try Tensor.from(rows.map(Int64.init))
            var result = try mapTensors { try $0.indexSelected(0, indices.to(on: $0.device)) }
            result.positions = rows.map { positions[$0] }
            return result
        }
        throw TorchError(kind: .index, message: "row \(bad) does not exist: the state has \(batchSize) rows")
    }

    /// The state with some rows back at the start of a sequence.
    public func resetting(rows: [Int]) throws -> LanguageModelState {
        guard !rows.isEmpty else { return self }
        let reset = Set(rows)
        let keep = (0..<batchSize).map { reset.contains($0) ? UInt8(0) : UInt8(1) }
        let flags = try Tensor.from(keep)
        var result = try mapTensors { tensor in
            let shape = [batchSize] + [Int](repeating: 1, count: tensor.rank - 1)
            // A select, not a product: a row that went to infinity must still come back as zero.
            let gone = try flags.to(on: tensor.device).isEqual(to: 0).reshaped(shape)
            return try tensor.maskFilled(gone, 0)
        }
        for row in rows where row >= 0 && row < batchSize { result.positions[row] = SequencePosition() }
        return result
    }

    /// The same state as large as after so many tokens: tensors that grow with them repeat what they hold.
    ///
    /// For measuring the cost of far positions; the rows' counts stay as they are.
    public func grown(to count: Int) throws -> LanguageModelState {
        LanguageModelState(
            layers: try layers.map { layer in
                let axes = layer.growingAxes
                guard !axes.isEmpty else { return layer }
                var names = layer.tensors.map(\.name)[...]
                return try layer.mapTensors { tensor in
                    guard let name = names.popFirst(), let axis = axes[name], tensor.size(axis) > 0,
                        tensor.size(axis) < count
                    else { return tensor }
                    let times = (count + tensor.size(axis) - 1) / tensor.size(axis)
                    let all = try Tensor.concatenated([Tensor](repeating: tensor, count: times), axis: axis)
                    return try all.sliced(axis, 0..<count).contiguous()
                }
            }, positions: positions)
    }
}
