import RetNetTorch

/// Entries of every token so far along one axis, a view of a buffer with spare room that several states may share.
///
/// The batch is the first axis. The entry of a row's token i is at index i; what stands behind a row's own entries is
/// never read. A continuation writes into the room only where no other has: a second continuation of one state
/// copies what it continues.
struct GrowingTensor {
    /// The used part.
    let tensor: Tensor
    /// The axis that grows.
    let axis: Int
    /// The number of entries of each row, if this tensor was made by appending.
    private let counts: [Int]?
    private let buffer: Buffer?

    /// Room for entries, and the number of entries of each row that some state has taken.
    private final class Buffer {
        let tensor: Tensor
        var taken: [Int]

        init(tensor: Tensor, taken: [Int]) {
            self.tensor = tensor
            self.taken = taken
        }
    }

    init(_ tensor: Tensor, axis: Int) { self.init(tensor, axis: axis, counts: nil, buffer: nil) }

    private init(_ tensor: Tensor, axis: Int, counts: [Int]?, buffer: Buffer?) {
        self.tensor = tensor
        self.axis = axis
        self.counts = counts
        self.buffer = buffer
    }

    /// The number of entries of the longest row.
    var length: Int { tensor.size(axis) }

    /// Returns the entries followed by new ones, which go behind the first `counts[row]` entries of each row.
    ///
    /// This tensor is not changed. Unless a graph is recorded, the cost is that of the new entries alone, except for
    /// an occasional copy into a buffer that is half as large again.
    func appending(_ new: Tensor, counts: [Int], recordsGraph: Bool) throws -> GrowingTensor {
        let (longest, added) = (counts.max() ?? 0, new.size(axis))
        guard longest > 0 else { return GrowingTensor(new, axis: axis) }
        if recordsGraph { return GrowingTensor(try joined(new, counts), axis: axis) }
        let own = try ownBuffer(counts, needed: longest + added, like: new)
        if Set(counts).count == 1 {
            try own.tensor.sliced(axis, longest..<longest + added).copy(from: new)
        } else {
            for (row, count) in counts.enumerated() {
                let one = row..<row + 1
                try own.tensor.sliced(0, one).sliced(axis, count..<count + added)
                    .copy(from: new.sliced(0, one))
            }
        }
        own.taken = counts.map { $0 + added }
        return GrowingTensor(
            try own.tensor.sliced(axis, 0..<longest + added), axis: axis, counts: own.taken, buffer: own)
    }

    /// The shared buffer if its next entries are free, or a copy with more room.
    private func ownBuffer(_ counts: [Int], needed: Int, like new: Tensor) throws -> Buffer {
        if let buffer, self.counts == counts, buffer.taken == counts, buffer.tensor.size(axis) >= needed,
            buffer.tensor.elementType == new.elementType
        {
            return buffer
        }
        let used = 0..<(counts.max() ?? 0)
        let granule = 64
        var shape = new.shape
        shape[axis] = (max(needed, used.count + used.count / 2) + granule - 1) / granule * granule
        let wide = try Tensor.empty(shape, new.elementType, on: new.device)
        try wide.sliced(axis, used).copy(from: tensor.sliced(axis, used))
        // Never read, but never undefined either.
        try wide.sliced(axis, used.count..<shape[axis]).copy(
            from: Tensor.zeros([1], new.elementType, on: new.device))
        return Buffer(tensor: wide, taken: counts)
    }

    /// The same by differentiable operations.
    private func joined(_ new: Tensor, _ counts: [Int]) throws -> Tensor {
        let old = try tensor.to(new.elementType)
        if Set(counts).count == 1 {
            return try Tensor.concatenated([old.sliced(axis, 0..<counts[0]), new], axis: axis)
        }
        let longest = counts.max() ?? 0
        let rows = try counts.enumerated().map { row, count in
            let one = row..<row + 1
            var room = new.shape
            (room[0], room[axis]) = (1, longest - count)
            return try Tensor.concatenated(
                [
                    old.sliced(0, one).sliced(axis, 0..<count), new.sliced(0, one),
                    Tensor.zeros(room, new.elementType, on: new.device),
                ], axis: axis)
        }
        return try Tensor.concatenated(rows, axis: 0)
    }
}
