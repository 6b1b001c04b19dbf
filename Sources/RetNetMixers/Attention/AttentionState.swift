import RetNetTorch

/// The state of attention: keys, rotated by their positions, and values of every token seen.
///
/// Both are [B, G, N, A] in the type of passes. The entry of a row's token i is at index i; rows may have seen
/// different numbers of tokens, and what stands behind a row's own is never read.
///
/// The tensors are views of buffers with spare room, which several states may share. A continuation writes into the
/// room only where no other has: a second continuation of one state copies what it continues.
public struct AttentionState: MixerState {
    /// Keys [B, G, N, A].
    public let key: Tensor
    /// Values [B, G, N, A].
    public let value: Tensor
    /// How many tokens each row holds, where this state was made by attention itself.
    private let counts: [Int]?
    private let buffer: Buffer?

    /// A state of given tensors.
    public init(key: Tensor, value: Tensor) {
        self.init(key: key, value: value, counts: nil, buffer: nil)
    }

    private init(key: Tensor, value: Tensor, counts: [Int]?, buffer: Buffer?) {
        self.key = key
        self.value = value
        self.counts = counts
        self.buffer = buffer
    }

    /// N, the number of tokens of the longest row.
    public var length: Int { key.size(2) }

    /// `key` and `value`: the used part of the buffers.
    public var tensors: [(name: String, tensor: Tensor)] { [("key", key), ("value", value)] }

    /// Both grow along axis 2.
    public var growingAxes: [String: Int] { ["key": 2, "value": 2] }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> AttentionState {
        AttentionState(key: try transform(key), value: try transform(value))
    }

    // MARK: Appending

    /// Keys and values with room for more, and how much of each row is taken by some state.
    private final class Buffer {
        let key: Tensor
        let value: Tensor
        var taken: [Int]

        init(key: Tensor, value: Tensor, taken: [Int]) {
            self.key = key
            self.value = value
            self.taken = taken
        }

        var capacity: Int { key.size(2) }
    }

    /// The state after new keys and values [B, G, T, A], which go behind the `counts` first entries of each row.
    ///
    /// The given state is not changed. Without gradients the cost is that of the new entries alone, but for a copy
    /// into a buffer half as large again from time to time.
    func appending(key newKey: Tensor, value newValue: Tensor, counts: [Int]) throws -> AttentionState {
        let longest = counts.max() ?? 0
        guard longest > 0 else { return AttentionState(key: newKey, value: newValue) }
        if gradientsAreEnabled, [key, value, newKey, newValue].contains(where: \.requiresGradient) {
            return AttentionState(
                key: try Self.joined(key, newKey, counts), value: try Self.joined(value, newValue, counts))
        }
        let added = newKey.size(2)
        let after = counts.map { $0 + added }
        let own = try ownBuffer(counts, needed: longest + added, like: newKey)
        try Self.write(newKey, into: own.key, counts)
        try Self.write(newValue, into: own.value, counts)
        own.taken = after
        let used = 0..<longest + added
        return AttentionState(
            key: try own.key.sliced(2, used), value: try own.value.sliced(2, used), counts: after, buffer: own
        )
    }

    /// The shared buffer where its next entries are free, or a copy with more room.
    private func ownBuffer(_ counts: [Int], needed: Int, like new: Tensor) throws -> Buffer {
        if let buffer, self.counts == counts, buffer.taken == counts, buffer.capacity >= needed,
            buffer.key.elementType == new.elementType
        {
            return buffer
        }
        let used = 0..<(counts.max() ?? 0)
        let block = 64
        let capacity = (max(needed, used.count + used.count / 2) + block - 1) / block * block
        func copy(_ old: Tensor) throws -> Tensor {
            var shape = old.shape
            shape[2] = capacity
            let wide = try Tensor.empty(shape, new.elementType, on: new.device)
            try wide.sliced(2, used).copy(from: old.sliced(2, used))
            // Never read, but never undefined either.
            try wide.sliced(2, used.count..<capacity).copy(
                from: Tensor.zeros([1], new.elementType, on: new.device))
            return wide
        }
        return Buffer(key: try copy(key), value: try copy(value), taken: counts)
    }

    private static func write(_ new: Tensor, into buffer: Tensor, _ counts: [Int]) throws {
        let added = new.size(2)
        if Set(counts).count == 1 {
            return try buffer.sliced(2, counts[0]..<counts[0] + added).copy(from: new)
        }
        for (row, count) in counts.enumerated() {
            try buffer.sliced(0, row..<row + 1).sliced(2, count..<count + added)
                .copy(from: new.sliced(0, row..<row + 1))
        }
    }

    /// The same as writing, by differentiable operations.
    private static func joined(_ old: Tensor, _ new: Tensor, _ counts: [Int]) throws -> Tensor {
        let same = try old.to(new.elementType)
        if Set(counts).count == 1 {
            return try Tensor.concatenated([same.sliced(2, 0..<counts[0]), new], axis: 2)
        }
        let longest = counts.max() ?? 0
        let rows = try counts.enumerated().map { row, count in
            let parts = [
                try same.sliced(0, row..<row + 1).sliced(2, 0..<count), try new.sliced(0, row..<row + 1),
                try Tensor.zeros(
                    [1, new.size(1), longest - count, new.size(3)], new.elementType, on: new.device),
            ]
            return try Tensor.concatenated(parts, axis: 2)
        }
        return try Tensor.concatenated(rows, axis: 0)
    }
}
