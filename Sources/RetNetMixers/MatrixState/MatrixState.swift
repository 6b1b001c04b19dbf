import RetNetArchitecture
import RetNetTorch

/// The state of a mixer with a matrix per head, and the rings of its short convolutions.
public struct MatrixState: MixerState {
    /// S [B, H, K, V], float32 (float64 in float64 models).
    public let matrix: Tensor
    /// The last inputs of every convolution [B, W-1, C], with their names.
    public let rings: [(name: String, tensor: Tensor)]

    /// A state of given values.
    public init(matrix: Tensor, rings: [(name: String, tensor: Tensor)] = []) {
        self.matrix = matrix
        self.rings = rings
    }

    /// S as `memory`, and the rings.
    public var tensors: [(name: String, tensor: Tensor)] { [("memory", matrix)] + rings }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> MatrixState {
        MatrixState(
            matrix: try transform(matrix), rings: try rings.map { ($0.name, try transform($0.tensor)) })
    }
}

extension MatrixStateLayout {
    func initial(batch: Int, elementType: ElementType, device: Device) throws -> MatrixState {
        let type = elementType.accumulator
        return MatrixState(
            matrix: try Tensor.zeros([batch] + matrix, type, on: device),
            rings: try rings.map { ($0.name, try Tensor.zeros([batch] + $0.shape, type, on: device)) })
    }

    func state(from tensors: [String: Tensor]) throws -> MatrixState {
        let names = ["memory"] + rings.map(\.name)
        guard let matrix = tensors["memory"], matrix.rank == 4, Set(tensors.keys) == Set(names) else {
            throw MixerError.wrongState(
                expected: "\(names) with 'memory' [B] + \(self.matrix)",
                found: "\(tensors.mapValues(\.shape))")
        }
        let found = rings.compactMap { ring in tensors[ring.name].map { (name: ring.name, tensor: $0) } }
        let state = MatrixState(matrix: matrix, rings: found)
        _ = try checked(state, batch: matrix.size(0))
        return state
    }

    /// Returns the state as one of this layout, after checking that it fits.
    func checked(_ state: (any MixerState)?, batch: Int) throws -> MatrixState? {
        guard let state else { return nil }
        guard let state = state as? MatrixState else {
            throw MixerError.wrongState(expected: "a state of '\(mixer)'", found: "\(type(of: state))")
        }
        let expected = [("memory", matrix)] + rings.map { ($0.name, $0.shape) }
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

extension Tensor {
    /// Returns ln σ(x) / divisor of gate logits, in the accumulator type.
    func logGates(dividedBy divisor: Double) throws -> Tensor {
        try to(elementType.accumulator).negated().softplus() * (-1 / divisor)
    }
}
