import RetNetArchitecture
import RetNetTorch

/// The state of one mixer layer after the tokens seen so far: a value, never changed in place.
///
/// Every tensor has the batch as its first axis. A state of zeros is the start of a sequence, so rows are reset by
/// zeroing them. Tensors are float32 (float64 for float64 models), except caches that grow, which have the type
/// of passes.
public protocol MixerState {
    /// The tensors, with the names under which they are saved.
    var tensors: [(name: String, tensor: Tensor)] { get }
    /// Returns the same state with every tensor replaced by the transformed one.
    func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> Self
    /// The axis of each tensor that grows with the tokens seen, by name; empty for states of fixed size.
    ///
    /// On such an axis the entry of a row's token i is at index i; entries from the row's own count on are padding
    /// and never read.
    var growingAxes: [String: Int] { get }
}

extension MixerState {
    /// None: most states have a fixed size.
    public var growingAxes: [String: Int] { [:] }
    /// Bytes of all tensors.
    public var byteCount: Int { tensors.reduce(0) { $0 + $1.tensor.byteCount } }
}

/// Checks of the tensors of a state against those of a layer.
enum StateTensors {
    /// Returns the tensors in the order of `shapes`, behind the batch axis; the axis that grows may have any size.
    ///
    /// Throws ``MixerError/wrongState(expected:found:)`` if names or shapes differ.
    static func ordered(_ tensors: [String: Tensor], _ shapes: [StateTensor]) throws
        -> [Tensor]
    {
        let expected = shapes.map { part in
            let sizes = part.shape.indices.map { $0 == part.growingAxis ? "T" : "\(part.shape[$0])" }
            return "\(part.name) [B, \(sizes.joined(separator: ", "))]"
        }
        .joined(separator: ", ")
        let found = tensors.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.shape)" }
            .joined(separator: ", ")
        let error = MixerError.wrongState(expected: expected, found: found.isEmpty ? "no tensors" : found)
        guard tensors.count == shapes.count else { throw error }
        var result: [Tensor] = []
        for part in shapes {
            guard let tensor = tensors[part.name], tensor.rank == part.shape.count + 1,
                part.shape.indices.allSatisfy({
                    $0 == part.growingAxis || tensor.size($0 + 1) == part.shape[$0]
                }),
                tensor.size(0) == result.first?.size(0) ?? tensor.size(0)
            else { throw error }
            result.append(tensor)
        }
        return result
    }

    /// Returns the state as the given type, after checking that it fits a batch; nil stays nil.
    static func own<State: MixerState>(
        _ state: (any MixerState)?, as type: State.Type, named name: String, batch: Int,
        _ shapes: [StateTensor]
    ) throws -> State? {
        guard let state else { return nil }
        guard let state = state as? State else {
            throw MixerError.wrongState(expected: "a state of '\(name)'", found: "\(Swift.type(of: state))")
        }
        let tensors = try ordered(
            Dictionary(state.tensors.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first }),
            shapes)
        if let rows = tensors.first?.size(0), rows != batch {
            throw MixerError.wrongBatch(expected: batch, found: rows)
        }
        return state
    }

    /// Returns zeros of all shapes, each behind a batch axis: a sequence's start.
    static func zeros(
        _ shapes: [StateTensor], batch: Int, _ type: ElementType, _ device: Device
    ) throws -> [Tensor] {
        try shapes.map { try Tensor.zeros([batch] + $0.shape, type, on: device) }
    }
}

extension Tensor {
    /// Returns the tensor that steps write the next state into: this one if a pass may overwrite it, else a copy.
    func forSteps(_ type: ElementType, overwrites: Bool) throws -> Tensor {
        let state = try to(type).contiguous()
        return overwrites ? state : try state.clone()
    }
}
