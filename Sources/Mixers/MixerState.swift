import Torch

/// What one mixer layer remembers of the tokens it has seen: a value, never changed behind its owner's back.
///
/// Every tensor has the batch as its first axis.
public protocol MixerState {
    /// The tensors, with the names under which they are saved.
    var tensors: [(name: String, tensor: Tensor)] { get }
    /// The same state with every tensor replaced by the transformed one.
    func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> Self
}

extension MixerState {
    /// Bytes of all tensors.
    public var byteCount: Int { tensors.reduce(0) { $0 + $1.tensor.byteCount } }
}
