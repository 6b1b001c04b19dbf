import RetNetTorch

/// What one mixer layer remembers of the tokens it has seen: a value, never changed behind its owner's back.
///
/// Every tensor has the batch as its first axis. A state of zeros is the start of a sequence, so rows are reset by
/// zeroing them. Tensors are float32 (float64 for float64 models), but for caches that grow, which have the type
/// of passes.
public protocol MixerState {
    /// The tensors, with the names under which they are saved.
    var tensors: [(name: String, tensor: Tensor)] { get }
    /// The same state with every tensor replaced by the transformed one.
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
