import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Causal multi-head self-attention with rotary positions: the Transformer decoder's mixer.
///
///     Q = X W_Q     K = X W_K     V = X W_V     rotate Q and K by absolute position
///     headⱼ = softmax(Qⱼ Kᵀ / √A, causal) V     one head of K and V for every H/G heads of Q
///     out = (head₁ … head_H) W_O
///
/// The forms: `parallel` holds all scores at once, `chunkwise:N` scores tiles of N keys in memory O(T · d), and
/// `recurrent` takes one query at a time over the cache. B batch, T time, D model width, A head size.
/// Sources: arXiv 1706.03762, 2104.09864 (rotation), 2305.13245 (grouped queries), 2205.14135 (tiles).
public struct SelfAttention: TokenMixer {
    /// Sizes and choices, with the heads of this rank where ranks have parts of the layers.
    public let configuration: AttentionConfiguration
    private let group: (any RankGroup)?
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear
    private let places: AttentionPositions
    /// The name of the tables of rotation among those that layers share.
    private let tableName: String

    /// `attention`.
    public var name: String { "attention" }

    /// Declares `query`, `key`, `value` and `output`.
    public init(_ scope: ParameterScope, _ configuration: AttentionConfiguration, _ context: LayerContext)
        throws
    {
        group = scope.group
        self.configuration = configuration.divided(between: scope.group?.count ?? 1)
        let c = configuration
        func linear(
            _ name: String, from: Int, to: Int, _ initializer: Initializer, biases: Bool? = nil,
            dividing: Linear.Division = .outputs
        ) throws -> Linear {
            try Linear(
                scope.scope(name), from: from, to: to, bias: biases ?? c.biases, initializer: initializer,
                dividing: dividing)
        }
        // fairseq and torchscale: gain 1/√2 because three matrices share the input, 1 for the output.
        let reading = Initializer.xavierUniform(gain: 0.5.squareRoot())
        let initial = context.initialization
        let (width, groupWidth) = (c.headCount * c.headSize, c.groupCount * c.headSize)
        query = try linear("query", from: context.hiddenSize, to: width, initial.matrix(reading))
        key = try linear("key", from: context.hiddenSize, to: groupWidth, initial.matrix(reading))
        value = try linear("value", from: context.hiddenSize, to: groupWidth, initial.deepMatrix(reading))
        output = try linear(
            "output", from: width, to: context.hiddenSize, initial.deepMatrix(.xavierUniform(gain: 1)),
            biases: c.outputBiases, dividing: .inputs)
        places = AttentionPositions(c, stride: context.positionStride)
        tableName =
            "attention \(c.rotation) \(c.headSize) \(c.rotaryBase) \(c.xPosScaleBase ?? 0) \(c.rotarySize ?? 0)"
            + (c.rotaryScaling.map { " \($0)" } ?? "")
    }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let c = configuration
        let (batch, time) = (x.size(0), x.size(1))
        guard time > 0 else { throw MixerError.emptySequence }
        guard pass.positions.count == batch else {
            throw MixerError.wrongBatch(expected: batch, found: pass.positions.count)
        }
        if let forest = pass.forest { return try inForest(forest, x, state, pass) }
        let x = try group?.entering(x) ?? x
        if let sequence = pass.context.sequence { return try inPart(of: sequence, x, state, pass) }
        var cache = try checked(state, batch: batch)
        var rows = pass.positions
        if let cache {
            guard rows.allSatisfy({ (0...cache.length).contains($0.count) }) else {
                throw MixerError.wrongState(
                    expected: "keys of \(rows.map(\.count)) tokens", found: "keys of \(cache.length) tokens")
            }
        } else {
            // Without a state there is no past, whatever the positions are.
            rows = rows.map { SequencePosition(position: $0.position, count: 0) }
        }
        let q = try query(x).reshaped([batch, time, c.headCount, c.headSize])
        let k = try key(x).reshaped([batch, time, c.groupCount, c.headSize])
        let v = try value(x).reshaped([batch, time, c.groupCount, c.headSize]).transposed(1, 2)
        var outputs: [Tensor] = []
        var start = 0
        while start < time {
            let length = Swift.min(time - start, places.step ?? time)
            let part = start..<start + length
            let table = try tables(rows, start: start, length: length, pass, x)
            let counts = rows.map(\.count)
            let keys = try places.rotate(k.sliced(1, part), by: table.suffix(2))
            let values = try v.sliced(2, part)
            var next =
                try cache?.appending(key: keys, value: values, counts: counts)
                ?? AttentionState(key: keys, value: values)
            let mixed = try Attention.attend(
                places.rotate(q.sliced(1, part), by: table.prefix(2)), next.key, next.value,
                past: Set(counts).count == 1 ? [counts[0]] : counts,
                scale: 1 / Double(c.headSize).squareRoot(), form: pass.form)
            outputs.append(try mixed.transposed(1, 2).reshaped([batch, length, c.headCount * c.headSize]))
            if let moved = try places.moved(next.key, from: counts, by: length) {
                next = AttentionState(key: moved, value: next.value)
            }
            cache = next
            rows = rows.map { $0.advanced(by: length) }
            start += length
        }
        guard let cache else { throw MixerError.emptySequence }
        let heads = outputs.count == 1 ? outputs[0] : try Tensor.concatenated(outputs, axis: 1)
        return (try output(heads), cache)
    }

    /// True, unless xPos moves the origin of keys along the sequence.
    public var supportsForests: Bool { places.step == nil }

    /// True, unless xPos moves the origin of keys along the sequence.
    public var dividesSequences: Bool { places.step == nil }

    /// Runs the layer over this rank's part of sequences, over the keys and values that all ranks gather.
    private func inPart(
        of sequence: SequencePart, _ x: Tensor, _ state: (any MixerState)?, _ pass: ForwardPass
    ) throws -> (output: Tensor, state: any MixerState) {
        let c = configuration
        let (batch, time) = (x.size(0), x.size(1))
        let cache = try checked(state, batch: batch)
        // Tokens before the whole sequence, and before this part.
        let carried = pass.positions.map { cache == nil ? 0 : $0.count - sequence.offset }
        let past = carried.map { $0 + sequence.offset }
        guard carried.allSatisfy({ (0...(cache?.length ?? 0)).contains($0) }) else {
            throw MixerError.wrongState(
                expected: "keys of \(carried) tokens", found: "keys of \(cache?.length ?? 0) tokens")
        }
        let table = try tables(pass.positions, start: 0, length: time, pass, x)
        let q = try query(x).reshaped([batch, time, c.headCount, c.headSize])
        let k = try key(x).reshaped([batch, time, c.groupCount, c.headSize])
        let v = try value(x).reshaped([batch, time, c.groupCount, c.headSize]).transposed(1, 2)
        let parts = try sequence.gatheredTokens(
            Tensor.concatenated([places.rotate(k, by: table.suffix(2)), v], axis: 3), axis: 2)
        func keys(ofRanks count: Int) throws -> AttentionState {
            let all = try Tensor.concatenated(Array(parts.prefix(count)), axis: 2)
            let key = try all.sliced(3, 0..<c.headSize)
            let value = try all.sliced(3, c.headSize..<2 * c.headSize)
            return try cache?.appending(key: key, value: value, counts: carried)
                ?? AttentionState(key: key.contiguous(), value: value.contiguous())
        }
        let seen = try keys(ofRanks: sequence.rank + 1)
        let mixed = try Attention.attend(
            places.rotate(q, by: table.prefix(2)), seen.key, seen.value,
            past: Set(past).count == 1 ? [past[0]] : past, scale: 1 / Double(c.headSize).squareRoot(),
            form: pass.form)
        let heads = try mixed.transposed(1, 2).reshaped([batch, time, c.headCount * c.headSize])
        let next = pass.context.keepsStates ? try withoutGradients { try keys(ofRanks: parts.count) } : seen
        return (try output(heads), next)
    }

    /// Runs the layer over trees of tokens; the state that is returned means nothing.
    private func inForest(
        _ forest: TokenForest, _ x: Tensor, _ state: (any MixerState)?, _ pass: ForwardPass
    ) throws -> (output: Tensor, state: any MixerState) {
        let c = configuration
        let (batch, time) = (x.size(0), x.size(1))
        let x = try group?.entering(x) ?? x
        let place = try pass.commonPlace()
        let sharesState = (state as? AttentionState)?.key.size(0) == 1
        let cache = try checked(state, batch: sharesState ? 1 : batch)
        guard cache.map({ $0.length == place.count }) ?? true else {
            throw MixerError.wrongState(
                expected: "keys of \(place.count) tokens", found: "keys of \(cache?.length ?? 0) tokens")
        }
        let table =
            places.isIdentity
            ? []
            : try pass.sharing(tableName) {
                try places.tables(
                    [place], length: forest.depthCount, type: x.elementType.accumulator, device: x.device
                ).map(forest.spread)
            }
        let q = try query(x).reshaped([batch, time, c.headCount, c.headSize])
        let k = try key(x).reshaped([batch, time, c.groupCount, c.headSize])
        let v = try value(x).reshaped([batch, time, c.groupCount, c.headSize]).transposed(1, 2)
        let keys = try places.rotate(k, by: table.suffix(2))
        let heads = try Attention.branching(
            places.rotate(q, by: table.prefix(2)), keys, v, past: cache.map { ($0.key, $0.value) },
            hidden: pass.hidden(forest, on: x.device), scale: 1 / Double(c.headSize).squareRoot())
        let flat = try heads.transposed(1, 2).reshaped([batch, time, c.headCount * c.headSize])
        return (try output(flat), cache ?? AttentionState(key: keys, value: v))
    }

    private func tables(
        _ rows: [SequencePosition], start: Int, length: Int, _ pass: ForwardPass, _ x: Tensor
    ) throws -> [Tensor] {
        guard !places.isIdentity else { return [] }
        return try pass.sharing("\(tableName) \(rows.first?.count ?? 0) \(start)") {
            try places.tables(rows, length: length, type: x.elementType.accumulator, device: x.device)
        }
    }
}

// MARK: State

/// The state of attention: keys, rotated by their positions, and values of every token seen.
///
/// Both are [B, G, N, A] in the type of passes. The entry of a row's token i is at index i; rows may have seen
/// different numbers of tokens, and entries behind a row's own are never read.
public struct AttentionState: MixerState {
    private let keys: GrowingTensor
    private let values: GrowingTensor

    /// A state of given tensors.
    public init(key: Tensor, value: Tensor) {
        self.init(keys: GrowingTensor(key, axis: 2), values: GrowingTensor(value, axis: 2))
    }

    private init(keys: GrowingTensor, values: GrowingTensor) {
        self.keys = keys
        self.values = values
    }

    /// Keys [B, G, N, A].
    public var key: Tensor { keys.tensor }
    /// Values [B, G, N, A].
    public var value: Tensor { values.tensor }
    /// N, the number of tokens of the longest row.
    public var length: Int { keys.length }

    /// `key` and `value`.
    public var tensors: [(name: String, tensor: Tensor)] { [("key", key), ("value", value)] }

    /// Both grow along axis 2.
    public var growingAxes: [String: Int] { ["key": 2, "value": 2] }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> AttentionState {
        AttentionState(key: try transform(key), value: try transform(value))
    }

    /// Returns the state after new keys and values [B, G, T, A], behind the first `counts` entries of each row.
    ///
    /// This state is not changed.
    func appending(key newKey: Tensor, value newValue: Tensor, counts: [Int]) throws -> AttentionState {
        let records =
            gradientsAreEnabled && [key, value, newKey, newValue].contains(where: \.requiresGradient)
        return AttentionState(
            keys: try keys.appending(newKey, counts: counts, recordsGraph: records),
            values: try values.appending(newValue, counts: counts, recordsGraph: records))
    }
}

extension SelfAttention {
    /// Returns keys and values of no tokens.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let shape = [batch, configuration.groupCount, 0, configuration.headSize]
        return AttentionState(
            key: try Tensor.zeros(shape, elementType, on: device),
            value: try Tensor.zeros(shape, elementType, on: device))
    }

    /// Returns a state of the tensors `key` and `value`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        guard let key = tensors["key"], let value = tensors["value"], tensors.count == 2, key.rank == 4 else {
            throw MixerError.wrongState(
                expected: "tensors 'key' and 'value' of rank 4", found: "\(tensors.mapValues(\.shape))")
        }
        let state = AttentionState(key: key, value: value)
        _ = try checked(state, batch: key.size(0))
        return state
    }

    /// Returns the state with every cached key turned back by its row's offset: scores depend on distances alone.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        guard let state = try checked(state, batch: offsets.count) else { return state }
        return AttentionState(key: try places.turnedBack(state.key, by: offsets), value: state.value)
    }

    /// The state as this layer's own, after checking that it fits.
    private func checked(_ state: (any MixerState)?, batch: Int) throws -> AttentionState? {
        guard let state else { return nil }
        guard let state = state as? AttentionState else {
            throw MixerError.wrongState(expected: "keys and values", found: "\(type(of: state))")
        }
        let c = configuration
        let shape = state.key.shape
        guard shape.count == 4, shape == state.value.shape, shape[1] == c.groupCount, shape[3] == c.headSize
        else {
            throw MixerError.wrongState(
                expected: "keys and values [B, \(c.groupCount), N, \(c.headSize)]",
                found: "\(state.key.shape) and \(state.value.shape)")
        }
        guard shape[0] == batch else { throw MixerError.wrongBatch(expected: batch, found: shape[0]) }
        return state
    }
}

extension AttentionConfiguration: MixerBuilding {
    /// Returns causal self-attention: 4 d² parameters where the heads fill the width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try SelfAttention(scope, self, context)
    }
}
