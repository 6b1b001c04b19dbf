import RetNetTorch

extension AFTLayer {
    var stateShapes: [(name: String, shape: [Int])] {
        let d = configuration.channelCount
        let sums = ["numerator", "denominator", "exponent"].map { (name: $0, shape: [d]) }
        return switch configuration.variant {
        case .simple: sums
        case .local(let window, _):
            sums + [("key_ring", [window - 1, d]), ("value_ring", [window - 1, d]), ("filled", [1])]
                + (factors == nil ? [] : [("offset", [1])])
        case .full: [("key", [-1, d]), ("value", [-1, d]), ("offset", [1])]
        }
    }

    /// Zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try state(
            from: Dictionary(
                uniqueKeysWithValues: stateShapes.map { name, shape in
                    // Only what grows is kept in the type of passes.
                    let type = shape.contains { $0 < 0 } ? elementType : elementType.accumulator
                    return (name, try Tensor.zeros([batch] + shape.map { max(0, $0) }, type, on: device))
                }))
    }

    /// A state from its named tensors.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, stateShapes)
        switch configuration.variant {
        case .full: return AFTState.full(key: parts[0], value: parts[1], offset: parts[2])
        case .simple, .local:
            let sums = ExponentialSums(numerator: parts[0], denominator: parts[1], exponent: parts[2])
            guard parts.count > 3 else { return AFTState.simple(sums) }
            return AFTState.local(
                sums, key: parts[3], value: parts[4], filled: parts[5],
                offset: parts.count > 6 ? parts[6] : nil)
        }
    }

    /// The same state; biases by position remember how far their rows have moved.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        let own = try StateTensors.own(
            state, as: AFTState.self, named: name, batch: offsets.count, stateShapes)
        guard let own, let before = own.offset else { return state }
        let more = try Tensor.from(offsets.map(Double.init), [offsets.count, 1])
        return own.with(offset: try before + more.to(before.elementType, on: before.device))
    }
}
