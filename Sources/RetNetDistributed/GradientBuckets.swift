import CRetNetDistributed
import CRetNetTorch
import RetNetTorch

/// The gradients of parameters, summed over all ranks in pieces of some megabytes while the backward pass goes on.
///
/// A bucket is sent as soon as its gradients are there, after those before it, so that the sums are the same bits in
/// every run on the same number of ranks. Afterwards gradients lie in the buckets, whose memory is kept for the next step.
public final class GradientBuckets {
    private let handle: cd_buckets
    private let group: ProcessGroup
    private let parameterCount: Int
    private var flags: [UInt8]
    private let has = UInt8(CD_HAS_GRADIENT)
    private let inParts = UInt8(CD_CAME_IN_PARTS)
    /// More than there are ranks, so that both counts fit into one number.
    private static let partsWeight = 1048576.0
    /// Seconds that the last ``finish()`` waited for other ranks or the network.
    public private(set) var waitedSeconds = 0.0

    init(_ owner: ProcessGroup, _ group: cd_group, _ parameters: [Tensor], byteCount: Int, narrows: Bool)
        throws
    {
        self.group = owner
        parameterCount = parameters.count
        flags = [UInt8](repeating: 0, count: parameters.count)
        var out: cd_buckets?
        try withHandles(parameters) {
            try check(
                cd_buckets_new(&out, group, $0, Int32(clamping: parameters.count), Int64(byteCount), narrows))
        }
        guard let out else { throw TorchError(kind: .other, message: "the native call returned no buckets") }
        handle = out
    }

    deinit { cd_buckets_free(handle) }

    /// The number of buckets.
    public var count: Int { Int(cd_buckets_count(handle)) }

    /// Begins sending: call it before the last backward pass of a step.
    ///
    /// A gradient that comes in parts, as from segments that are computed again, is correct too; its bucket is sent last
    /// from the second step on.
    public func begin() { cd_buckets_begin(handle) }

    /// Sends what is left and waits for the sums; gradients are undefined until ``fill(_:)``.
    ///
    /// Returns a number for every parameter that tells what this rank knows of its gradient; `fill` needs their sums over
    /// all ranks.
    public func finish() throws -> [Double] {
        var seconds = 0.0
        try group.perform("the sum of the gradients") { [self] _ in
            cd_buckets_finish(handle, &flags, &seconds)
        }
        waitedSeconds = seconds
        return flags.map { flags in
            Double(flags & has) + (flags & inParts == 0 ? 0 : Self.partsWeight)
        }
    }

    /// Makes the sums the gradients of the parameters that had one on any rank.
    public func fill(_ knowledge: [Double]) throws {
        guard knowledge.count == parameterCount else {
            throw TorchError(
                kind: .value,
                message: "\(knowledge.count) numbers were given for \(parameterCount) parameters")
        }
        let all = knowledge.map { sum -> UInt8 in
            let parts = (sum / Self.partsWeight).rounded(.down)
            return (sum - parts * Self.partsWeight > 0 ? has : 0) | (parts > 0 ? inParts : 0)
        }
        try group.perform("the sum of late gradients") { [handle] _ in cd_buckets_fill(handle, all) }
    }

    /// The owner of every bucket: the largest first, each to the rank that has least.
    private lazy var bucketOwners: [Int32] = {
        let sizes = (0..<count).map { Int(cd_buckets_bytes(handle, Int32(clamping: $0))) }
        var loads = [Int](repeating: 0, count: group.count)
        var owners = [Int32](repeating: 0, count: sizes.count)
        for bucket in sizes.indices.sorted(by: { (sizes[$1], $0) < (sizes[$0], $1) }) {
            let rank = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            owners[bucket] = Int32(clamping: rank)
            loads[rank] += sizes[bucket]
        }
        return owners
    }()

    /// The rank that updates each parameter where ranks share the state of an optimizer: about as many values each.
    public var owners: [Int] {
        let owners = bucketOwners
        return (0..<parameterCount).map { Int(owners[Int(cd_buckets_place(handle, Int32(clamping: $0)))]) }
    }

    /// Gives all ranks the parameters as their owners have them; the gradients are gone afterwards.
    public func shareParameters() throws {
        let owners = bucketOwners
        try group.perform("the exchange of parameters") { [handle] _ in cd_buckets_share(handle, owners) }
    }
}
