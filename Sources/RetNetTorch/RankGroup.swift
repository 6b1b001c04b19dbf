/// The way in which elements of several ranks become one.
public enum RankReduction: Sendable {
    case sum, minimum, maximum
}

/// Processes (*ranks*) that exchange tensors: what layers need of a process group.
///
/// All ranks of a group call the same operations in the same order. Tensors are contiguous and on the CPU. Collectives are
/// no part of the graph: ``recording(_:_:backward:)`` makes nodes of them.
public protocol RankGroup: AnyObject {
    /// The number of this rank in the group, from 0.
    var rank: Int { get }
    /// The number of ranks in the group.
    var count: Int { get }

    /// Replaces the elements of a tensor by their reduction over all ranks; all get the same bits.
    func allReduce(_ tensor: Tensor, _ reduction: RankReduction) throws
    /// Writes the inputs [N, ...] of all ranks into output [count · N, ...].
    func allGather(_ input: Tensor, into output: Tensor) throws
    /// Reduces input [count · N, ...] over all ranks and writes this rank's part into output [N, ...].
    func reduceScatter(_ input: Tensor, into output: Tensor, _ reduction: RankReduction) throws
    /// Sends a tensor to a rank that receives one of the same shape and type; both name the same tag.
    func send(_ tensor: Tensor, to rank: Int, tag: Int) throws
    /// Replaces the elements of a tensor by those that a rank sends.
    func receive(_ tensor: Tensor, from rank: Int, tag: Int) throws
}
