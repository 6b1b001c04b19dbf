import RetNetTorch

/// Checks that the tensors of a state are those of a layer.
enum StateTensors {
    /// The tensors in the order of `shapes`, each without its batch axis; -1 stands for any size.
    ///
    /// Throws ``MixerError/wrongState(expected:found:)`` where names or shapes differ.
    static func ordered(_ tensors: [String: Tensor], _ shapes: [(name: String, shape: [Int])]) throws
        -> [Tensor]
    {
        let expected = shapes.map {
            "\($0.name) [B, \($0.shape.map { $0 < 0 ? "T" : "\($0)" }.joined(separator: ", "))]"
        }
        .joined(separator: ", ")
        let found = tensors.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.shape)" }
            .joined(separator: ", ")
        let error = MixerError.wrongState(expected: expected, found: found.isEmpty ? "no tensors" : found)
        guard tensors.count == shapes.count else { throw error }
        var result: [Tensor] = []
        for (name, shape) in shapes {
            guard let tensor = tensors[name], tensor.rank == shape.count + 1,
                zip(tensor.shape.dropFirst(), shape).allSatisfy({ $1 < 0 || $0 == $1 }),
                tensor.size(0) == result.first?.size(0) ?? tensor.size(0)
            else { throw error }
            result.append(tensor)
        }
        return result
    }

    /// The state as a layer's own, after checking that it fits a batch; nil stays nil.
    static func own<State: MixerState>(
        _ state: (any MixerState)?, as type: State.Type, named name: String, batch: Int,
        _ shapes: [(name: String, shape: [Int])]
    ) throws -> State? {
        guard let state else { return nil }
        guard let state = state as? State else {
            throw MixerError.wrongState(expected: "a state of \(name)", found: "\(Swift.type(of: state))")
        }
        let tensors = try ordered(
            Dictionary(state.tensors.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first }),
            shapes)
        if let rows = tensors.first?.size(0), rows != batch {
            throw MixerError.wrongBatch(expected: batch, found: rows)
        }
        return state
    }
}
