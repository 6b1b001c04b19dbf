import RetNetArchitecture
import RetNetMixers
import RetNetTorch

/// The state of a language model after the tokens of a sequence: all that later tokens depend on.
///
/// One mixer state per layer, and the position of each batch row. A value: operations return new states.
public struct LanguageModelState {
    /// One state per layer, first layer first.
    public var layers: [any MixerState]
    /// Position of each batch row; the next token of row r is at `positions[r].position`.
    public var positions: [SequencePosition]

    /// A state of given parts.
    public init(layers: [any MixerState], positions: [SequencePosition]) {
        self.layers = layers
        self.positions = positions
    }

    /// Number of batch rows.
    public var batchSize: Int { positions.count }
    /// Bytes of all tensors of all layers.
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }

    /// Returns the state with every tensor transformed.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> LanguageModelState {
        LanguageModelState(layers: try layers.map { try $0.mapTensors(transform) }, positions: positions)
    }

    /// Returns a copy that shares no tensors with this state.
    public func copy() throws -> LanguageModelState { try mapTensors { try $0.clone() } }

    /// Returns the same values outside the graph of gradients, for truncated back-propagation.
    public func detached() throws -> LanguageModelState { try mapTensors { try $0.detached() } }

    /// Returns the given rows, in that order; rows may repeat (to fork a conversation) or be left out.
    ///
    /// Throws `TorchError` for rows that do not exist.
    public func selecting(rows: [Int]) throws -> LanguageModelState {
        guard let bad = rows.first(where: { $0 < 0 || $0 >= batchSize }) else {
            let indices = try Tensor.from(rows.map(Int64.init))
            var result = try mapTensors { try $0.indexSelected(0, indices.to(on: $0.device)) }
            result.positions = rows.map { positions[$0] }
            return result
        }
        throw TorchError(kind: .index, message: "row \(bad) does not exist: the state has \(batchSize) rows")
    }

    /// Returns the state with some rows reset to the start of a sequence.
    public func resetting(rows: [Int]) throws -> LanguageModelState {
        guard !rows.isEmpty else { return self }
        let reset = Set(rows)
        let keep = (0..<batchSize).map { reset.contains($0) ? UInt8(0) : UInt8(1) }
        let flags = try Tensor.from(keep)
        var result = try mapTensors { tensor in
            let shape = [batchSize] + [Int](repeating: 1, count: tensor.rank - 1)
            // A selection, not a product, which would keep infinities and NaN.
            let gone = try flags.to(on: tensor.device).isEqual(to: 0).reshaped(shape)
            return try tensor.maskFilled(gone, 0)
        }
        for row in rows where row >= 0 && row < batchSize { result.positions[row] = SequencePosition() }
        return result
    }

    /// Returns the state with the size after `count` tokens: tensors that grow with tokens repeat their contents.
    ///
    /// For measuring the cost of far positions; the rows' counts stay unchanged.
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

extension LanguageModel {
    /// Returns the state before the first token, for a batch.
    public func initialState(batch: Int) throws -> LanguageModelState {
        LanguageModelState(
            layers: try blocks.map {
                try $0.initialState(batch: batch, elementType: computeType, device: device)
            },
            positions: [SequencePosition](repeating: SequencePosition(), count: batch))
    }

    /// Returns the state with every row's position moved to 0 and the same outputs afterwards.
    ///
    /// Keeps angles of rotation small in long conversations, and aligns states of different origin for batches.
    /// Token counts, on which normalizers depend, are kept. Throws `MixerError` if the model adds absolute positions
    /// to its embeddings.
    public func rebased(_ state: LanguageModelState) throws -> LanguageModelState {
        let offsets = state.positions.map(\.position)
        guard configuration.positionEmbedding == .none || offsets.allSatisfy({ $0 == 0 }) else {
            throw MixerError.cannotRebase(reason: "the model adds absolute positions to its embeddings")
        }
        guard state.layers.count == blocks.count else {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(state.layers.count)")
        }
        return LanguageModelState(
            layers: try zip(blocks, state.layers).map { try $0.rebased($1, from: state.positions) },
            positions: state.positions.map { SequencePosition(position: 0, count: $0.count) })
    }

    /// Returns one state with the rows of several, in the given order; at least one state is required.
    ///
    /// Tensors that grow with the number of tokens are padded with zeros to the longest.
    public func joined(_ states: [LanguageModelState]) throws -> LanguageModelState {
        guard let first = states.first else { throw MixerError.emptySequence }
        guard states.count > 1 else { return first }
        for state in states where state.layers.count != blocks.count {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(state.layers.count)")
        }
        let layers = try blocks.indices.map { layer in
            try StateRows.joined(states.map { $0.layers[layer] })
        }
        return try state(from: layers, positions: states.flatMap(\.positions))
    }

    /// Returns a state of saved tensors, one dictionary per layer; throws `MixerError` if they do not fit.
    public func state(from layers: [[String: Tensor]], positions: [SequencePosition]) throws
        -> LanguageModelState
    {
        guard layers.count == blocks.count else {
            throw MixerError.wrongState(expected: "\(blocks.count) layers", found: "\(layers.count)")
        }
        let states = try zip(blocks, layers).map { try $0.state(from: $1) }
        for state in states {
            for (_, tensor) in state.tensors where tensor.size(0) != positions.count {
                throw MixerError.wrongBatch(expected: positions.count, found: tensor.size(0))
            }
        }
        return LanguageModelState(layers: states, positions: positions)
    }
}

/// Concatenation of states along the batch.
enum StateRows {
    /// Returns the tensors of one state with the rows of several; growing ones are padded with zeros to the longest.
    static func joined(_ states: [any MixerState]) throws -> [String: Tensor] {
        var named: [String: [Tensor]] = [:]
        for state in states {
            for (name, tensor) in state.tensors { named[name, default: []].append(tensor) }
        }
        let axes = states.first?.growingAxes ?? [:]
        return try Dictionary(
            uniqueKeysWithValues: named.map { name, parts in
                (name, try Tensor.concatenated(padded(parts, axis: axes[name]), axis: 0))
            })
    }

    private static func padded(_ tensors: [Tensor], axis: Int?) throws -> [Tensor] {
        guard let axis else { return tensors }
        let length = tensors.reduce(0) { max($0, $1.size(axis)) }
        return try tensors.map { tensor in
            guard tensor.size(axis) < length else { return tensor }
            var shape = tensor.shape
            shape[axis] = length - tensor.size(axis)
            let zeros = try Tensor.zeros(shape, tensor.elementType, on: tensor.device)
            return try Tensor.concatenated([tensor, zeros], axis: axis)
        }
    }
}
