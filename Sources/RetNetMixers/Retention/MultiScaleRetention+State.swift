import RetNetTorch

extension MultiScaleRetention {
    private var stateShape: [Int] {
        [configuration.headCount, configuration.keySize, configuration.valueSize]
    }

    /// Zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let type = elementType.accumulator
        let keySum =
            configuration.normalization == .decayAbsSum
            ? try Tensor.zeros([batch] + stateShape.dropLast(), type, on: device) : nil
        return RetentionState(
            memory: try Tensor.zeros([batch] + stateShape, type, on: device), keySum: keySum)
    }

    /// A state from the tensors `memory` and, where this layer keeps one, `key_sum`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        guard let memory = tensors["memory"] else {
            throw MixerError.wrongState(expected: "a tensor 'memory'", found: "\(tensors.keys.sorted())")
        }
        let state = RetentionState(memory: memory, keySum: tensors["key_sum"])
        guard memory.rank == 4, Set(tensors.keys).isSubset(of: ["memory", "key_sum"]) else {
            throw MixerError.wrongState(expected: "[B, \(stateShape)]", found: "\(memory.shape)")
        }
        _ = try checked(state, batch: memory.size(0))
        return state
    }

    /// Rotates every key pair of S and z by -offset · θ, so that positions may start again lower.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        guard let state = try checked(state, batch: offsets.count) else { return state }
        let angles = configuration.rotation.angles(keySize: configuration.keySize)
        guard !angles.isEmpty else { return state }
        let rotation = configuration.rotation
        let offsets = offsets.map { $0 * positionStride }
        return RetentionState(
            memory: try rotation.rebased(state.memory, by: offsets),
            keySum: try state.keySum.map { try rotation.rebased($0.unsqueezed(-1), by: offsets).squeezed(-1) }
        )
    }

    /// The state as this layer's own, after checking that it fits.
    func checked(_ state: (any MixerState)?, batch: Int) throws -> RetentionState? {
        guard let state else { return nil }
        guard let state = state as? RetentionState else {
            throw MixerError.wrongState(expected: "a retention state", found: "\(type(of: state))")
        }
        guard Array(state.memory.shape.dropFirst()) == stateShape else {
            throw MixerError.wrongState(expected: "[B] + \(stateShape)", found: "\(state.memory.shape)")
        }
        let wantsSum = configuration.normalization == .decayAbsSum
        guard wantsSum == (state.keySum != nil),
            state.keySum.map({ $0.shape == Array(state.memory.shape.dropLast()) }) ?? true
        else {
            throw MixerError.wrongState(
                expected: wantsSum ? "a key sum [B, H, A]" : "no key sum",
                found: "\(state.keySum?.shape.description ?? "none")")
        }
        guard state.memory.size(0) == batch else {
            throw MixerError.wrongBatch(expected: batch, found: state.memory.size(0))
        }
        return state
    }
}
