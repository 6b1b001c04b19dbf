import RetNetTorch

/// The state of Hyena: the last inputs of the short convolution, and every input of the long ones.
///
/// Histories [B, n, d] are in the type of passes, where they were rounded to it before any form used them. The
/// entry of a row's token i is at index i; what stands behind a row's own is never read.
public struct HyenaState: MixerState {
    /// The last inputs of the short convolution [B, W-1, (order+1) d], float32 (float64 in float64 models).
    public let ring: Tensor
    /// One history for each long filter.
    let histories: [GrowingHistory]

    init(ring: Tensor, histories: [GrowingHistory]) {
        self.ring = ring
        self.histories = histories
    }

    /// `ring`, and `history_1` and so on.
    public var tensors: [(name: String, tensor: Tensor)] {
        [("ring", ring)] + histories.enumerated().map { (Self.historyName($0), $1.tensor) }
    }

    /// Histories grow along axis 1.
    public var growingAxes: [String: Int] {
        Dictionary(uniqueKeysWithValues: histories.indices.map { (Self.historyName($0), 1) })
    }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> HyenaState {
        HyenaState(
            ring: try transform(ring),
            histories: try histories.map { GrowingHistory(try transform($0.tensor)) })
    }

    static func historyName(_ index: Int) -> String { "history_\(index + 1)" }
}

/// Entries [B, n, d] of every token so far, a view of a buffer with spare room that several states may share.
///
/// A continuation writes into the room only where no other has: a second continuation of one state copies what it
/// continues.
struct GrowingHistory {
    /// The used part.
    let tensor: Tensor
    private let counts: [Int]?
    private let buffer: Buffer?

    private final class Buffer {
        let tensor: Tensor
        var taken: [Int]
        init(tensor: Tensor, taken: [Int]) {
            self.tensor = tensor
            self.taken = taken
        }
    }

    init(_ tensor: Tensor) { self.init(tensor, counts: nil, buffer: nil) }

    private init(_ tensor: Tensor, counts: [Int]?, buffer: Buffer?) {
        self.tensor = tensor
        self.counts = counts
        self.buffer = buffer
    }

    /// The history after new entries [B, T, d], which go behind the `counts` first entries of each row.
    ///
    /// Without gradients the cost is that of the new entries, but for a copy to half as much room again from time
    /// to time.
    func appending(_ new: Tensor, counts: [Int]) throws -> GrowingHistory {
        let (longest, added) = (counts.max() ?? 0, new.size(1))
        guard longest > 0 else { return GrowingHistory(new) }
        if gradientsAreEnabled, tensor.requiresGradient || new.requiresGradient {
            return GrowingHistory(try joined(new, counts))
        }
        let own = try ownBuffer(counts, needed: longest + added, like: new)
        for (row, count) in counts.enumerated() where Set(counts).count > 1 {
            try own.tensor.sliced(0, row..<row + 1).sliced(1, count..<count + added)
                .copy(from: new.sliced(0, row..<row + 1))
        }
        if Set(counts).count == 1 {
            try own.tensor.sliced(1, longest..<longest + added).copy(from: new)
        }
        own.taken = counts.map { $0 + added }
        return GrowingHistory(
            try own.tensor.sliced(1, 0..<longest + added), counts: own.taken, buffer: own)
    }

    private func ownBuffer(_ counts: [Int], needed: Int, like new: Tensor) throws -> Buffer {
        if let buffer, self.counts == counts, buffer.taken == counts, buffer.tensor.size(1) >= needed,
            buffer.tensor.elementType == new.elementType
        {
            return buffer
        }
        let used = 0..<(counts.max() ?? 0)
        let capacity = (max(needed, used.count + used.count / 2) + 63) / 64 * 64
        let wide = try Tensor.zeros([new.size(0), capacity, new.size(2)], new.elementType, on: new.device)
        try wide.sliced(1, used).copy(from: tensor.sliced(1, used))
        return Buffer(tensor: wide, taken: counts)
    }

    /// The same by differentiable operations.
    private func joined(_ new: Tensor, _ counts: [Int]) throws -> Tensor {
        let old = try tensor.to(new.elementType)
        if Set(counts).count == 1 {
            return try Tensor.concatenated([old.sliced(1, 0..<counts[0]), new], axis: 1)
        }
        let longest = counts.max() ?? 0
        let rows = try counts.enumerated().map { row, count in
            let one = row..<row + 1
            let room = try Tensor.zeros([1, longest - count, new.size(2)], new.elementType, on: new.device)
            return try Tensor.concatenated(
                [old.sliced(0, one).sliced(1, 0..<count), new.sliced(0, one), room], axis: 1)
        }
        return try Tensor.concatenated(rows, axis: 0)
    }
}
