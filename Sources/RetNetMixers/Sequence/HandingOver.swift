import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A layer with a state: what ``SequencePart/handingOver(_:_:state:_:)`` needs of mixers and blocks.
public protocol StatefulLayer {
    /// Maps x [B, T, D] after the tokens that `state` has absorbed, and returns the state after the last position too.
    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    /// Returns the state before the first token, for a batch.
    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState
    /// Returns a state of named tensors.
    func state(from tensors: [String: Tensor]) throws -> any MixerState
}

extension TokenMixer {
    /// Mixes x [B, T, D] as ``callAsFunction(_:state:_:)`` does, also where sequences lie on several ranks and the mixer itself
    /// knows nothing of them: then the ranks run one after another, each from the state of the one before.
    public func mix(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard let sequence = pass.context.sequence, !dividesSequences else {
            return try self(x, state: state, pass)
        }
        return try sequence.handingOver(self, x, state: state, pass)
    }
}

extension SequencePart {
    /// Runs a layer on this rank's part of the sequences, from the state that the rank before it sends, and sends the state after
    /// it to the next rank: as on one rank, and no faster.
    ///
    /// In the backward pass the gradients of states go the other way. Returns the output, and the state after the whole sequences
    /// where passes keep states.
    public func handingOver(
        _ layer: any StatefulLayer, _ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass
    ) throws -> (output: Tensor, state: any MixerState) {
        let start = try layer.initialState(batch: x.size(0), elementType: x.elementType, device: x.device)
        let names = start.tensors.map {
            (name: $0.name, rank: $0.tensor.rank, type: $0.tensor.elementType)
        }
        var before = state
        if rank > 0 {
            let shapes = try receiveShapes(names.map(\.rank), from: rank - 1)
            let tensors = try recording([x]) {
                let tensors = try zip(names, shapes).map { part, shape in
                    try receive(shape, part.type, from: rank - 1)
                }
                return (tensors, [])
            } backward: { _, gradients in
                for gradient in gradients { try send(gradient, to: rank - 1) }
                return [nil]
            }
            before = try layer.state(
                from: Dictionary(uniqueKeysWithValues: zip(names.map(\.name), tensors)))
        }
        let (output, next) = try layer(x, state: before, pass.withoutSequence)
        let tensors = try zip(names, next.tensors).map { try $1.tensor.to($0.type) }
        var result = output
        if rank + 1 < count {
            let shapes = tensors.map(\.shape)
            result = try recording([output] + tensors) {
                try sendShapes(shapes, to: rank + 1)
                for tensor in tensors { try send(tensor, to: rank + 1) }
                return ([try output.detached()], [])
            } backward: { _, gradients in
                [gradients[0]] + (try zip(names, shapes).map { try receive($1, $0.type, from: rank + 1) })
            }[0]
        }
        guard pass.context.keepsStates else { return (result, next) }
        return (result, try layer.state(from: shareEnd(tensors, names)))
    }

    /// Returns the tensors of the last rank on all ranks, outside the graph.
    private func shareEnd(_ own: [Tensor], _ names: [(name: String, rank: Int, type: ElementType)]) throws
        -> [String: Tensor]
    {
        let last = count - 1
        var tensors = own
        if rank == last {
            for other in 0..<last {
                try sendShapes(own.map(\.shape), to: other)
                for tensor in own { try send(tensor, to: other) }
            }
        } else {
            let shapes = try receiveShapes(names.map(\.rank), from: last)
            tensors = try zip(names, shapes).map { try receive($1, $0.type, from: last) }
        }
        return try Dictionary(
            uniqueKeysWithValues: zip(names, tensors).map { ($0.name, try $1.detached()) })
    }

    // MARK: Messages

    /// The mark of messages between layers.
    private static var tag: Int { 7 }

    private func send(_ tensor: Tensor, to other: Int) throws {
        guard tensor.elementCount > 0 else { return }
        try ranks.send(tensor.detached().contiguous(), to: other, tag: Self.tag)
    }

    private func receive(_ shape: [Int], _ type: ElementType, from other: Int) throws -> Tensor {
        let tensor = try Tensor.empty(shape, type)
        if tensor.elementCount > 0 { try ranks.receive(tensor, from: other, tag: Self.tag) }
        return tensor
    }

    /// Shapes go ahead: tensors of states that grow depend on the tokens seen.
    private func sendShapes(_ shapes: [[Int]], to other: Int) throws {
        try ranks.send(Tensor.from(shapes.joined().map(Int64.init)), to: other, tag: Self.tag)
    }

    private func receiveShapes(_ ranksOfTensors: [Int], from other: Int) throws -> [[Int]] {
        let sizes = try Tensor.zeros([ranksOfTensors.reduce(0, +)], .int64)
        try ranks.receive(sizes, from: other, tag: Self.tag)
        var rest = try sizes.values(as: Int64.self).map(Int.init)[...]
        return ranksOfTensors.map { rank in
            defer { rest = rest.dropFirst(rank) }
            return Array(rest.prefix(rank))
        }
    }
}
