import RetNetTorch

/// The state of a mixer whose memory is a matrix a head, with the rings of its short convolutions.
public struct MatrixState: MixerState {
    /// S [B, H, K, V], float32 (float64 in float64 models).
    public let memory: Tensor
    /// The last inputs of every convolution [B, W-1, C], with their names.
    public let rings: [(name: String, tensor: Tensor)]

    /// A state of given values.
    public init(memory: Tensor, rings: [(name: String, tensor: Tensor)] = []) {
        self.memory = memory
        self.rings = rings
    }

    /// `memory` and the rings.
    public var tensors: [(name: String, tensor: Tensor)] { [("memory", memory)] + rings }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> MatrixState {
        MatrixState(
            memory: try transform(memory), rings: try rings.map { ($0.name, try transform($0.tensor)) })
    }
}

/// What the states of one mixer look like.
struct MatrixStateLayout {
    let mixer: String
    /// H, K, V.
    let memory: [Int]
    /// W-1 and C of every ring.
    var rings: [(name: String, shape: [Int])] = []

    var elementCount: Int {
        memory.reduce(1, *) + rings.reduce(0) { $0 + $1.shape.reduce(1, *) }
    }

    func initial(batch: Int, elementType: ElementType, device: Device) throws -> MatrixState {
        let type = elementType.accumulator
        return MatrixState(
            memory: try Tensor.zeros([batch] + memory, type, on: device),
            rings: try rings.map { ($0.name, try Tensor.zeros([batch] + $0.shape, type, on: device)) })
    }

    func state(from tensors: [String: Tensor]) throws -> MatrixState {
        let names = ["memory"] + rings.map(\.name)
        guard let memory = tensors["memory"], memory.rank == 4, Set(tensors.keys) == Set(names) else {
            throw MixerError.wrongState(
                expected: "\(names) with 'memory' [B] + \(self.memory)",
                found: "\(tensors.mapValues(\.shape))")
        }
        let found = rings.compactMap { ring in tensors[ring.name].map { (name: ring.name, tensor: $0) } }
        let state = MatrixState(memory: memory, rings: found)
        _ = try checked(state, batch: memory.size(0))
        return state
    }

    /// The state as one of this layout, after checking that it fits.
    func checked(_ state: (any MixerState)?, batch: Int) throws -> MatrixState? {
        guard let state else { return nil }
        guard let state = state as? MatrixState else {
            throw MixerError.wrongState(expected: "a state of \(mixer)", found: "\(type(of: state))")
        }
        let expected = [("memory", memory)] + rings.map { ($0.name, $0.shape) }
        let found = state.tensors.map { ($0.name, Array($0.tensor.shape.dropFirst())) }
        guard found.elementsEqual(expected, by: { $0.0 == $1.0 && $0.1 == $1.1 }) else {
            throw MixerError.wrongState(expected: "[B] + \(expected)", found: "\(found)")
        }
        for (_, tensor) in state.tensors where tensor.size(0) != batch {
            throw MixerError.wrongBatch(expected: batch, found: tensor.size(0))
        }
        return state
    }
}
