import RetNetTorch

/// Sequences that share beginnings, for one pass without their states: every row of a batch holds trees of tokens.
///
/// A token comes after its parent and sees its ancestors and itself alone, as if they were a sequence. So a context is the
/// stem of a tree and its continuations are branches: each token runs once, and no state is copied for a branch. All rows
/// continue from states at the same place, or from one state. For passes of some hundred tokens per row: all pairs of
/// tokens of a row are scored.
///
/// B rows, T tokens per row.
public struct TokenForest {
    /// B.
    public let rowCount: Int
    /// T, the tokens of the longest row; shorter rows end with padding, whose outputs mean nothing.
    public let length: Int
    /// The number of tokens above each one, [B, T].
    public let depths: [Int]
    /// One more than the largest depth.
    public let depthCount: Int
    private let parents: [[Int]]

    /// Creates a forest of rows; `parents[b][t]` is the token of row b before token t, smaller than t, or -1 for a root.
    ///
    /// Throws `MixerError.emptySequence` for no tokens, and `TorchError` for other numbers.
    public init(parents: [[Int]]) throws {
        let length = parents.reduce(0) { max($0, $1.count) }
        guard length > 0 else { throw MixerError.emptySequence }
        var depths = [Int](repeating: 0, count: parents.count * length)
        var deepest = 0
        for (row, parents) in parents.enumerated() {
            for (index, parent) in parents.enumerated() where parent != -1 {
                guard (0..<index).contains(parent) else {
                    throw TorchError(
                        kind: .index, message: "token \(parent) cannot be the parent of token \(index)")
                }
                let depth = depths[row * length + parent] + 1
                depths[row * length + index] = depth
                deepest = max(deepest, depth)
            }
        }
        (rowCount, self.length, self.parents) = (parents.count, length, parents)
        (self.depths, depthCount) = (depths, deepest + 1)
    }

    /// Returns booleans [B, 1, T, T]: true where a token (axis 2) does not see another (axis 3).
    func hidden(on device: Device) throws -> Tensor {
        var flags = [UInt8](repeating: 1, count: rowCount * length * length)
        flags.withUnsafeMutableBufferPointer { flags in
            for row in 0..<rowCount {
                for index in 0..<length {
                    let start = (row * length + index) * length
                    let parent = index < parents[row].count ? parents[row][index] : -1
                    if parent >= 0 {
                        let above = (row * length + parent) * length
                        for other in 0...parent { flags[start + other] = flags[above + other] }
                    }
                    flags[start + index] = 0
                }
            }
        }
        return try Tensor.from(flags, [rowCount, 1, length, length]).to(on: device).isEqual(to: 1)
    }

    /// Returns the depths as a tensor [B, 1, T, 1], float64.
    func depthTensor() throws -> Tensor {
        try Tensor.from(depths.map(Double.init), [rowCount, 1, length, 1])
    }

    /// Returns a table [1, D, X] of depths as one of tokens, [B, T, X].
    public func spread(_ table: Tensor) throws -> Tensor {
        let indices = try Tensor.from(depths.map(Int64.init)).to(on: table.device)
        return try table.indexSelected(1, indices).reshaped([rowCount, length, table.size(2)])
    }

    /// Returns a table [1, H, D] of heads and depths as one of tokens, [B, H, T].
    func spreadHeads(_ table: Tensor) throws -> Tensor {
        try spread(table.transposed(1, 2)).transposed(1, 2).contiguous()
    }
}

extension ForwardPass {
    /// The place of all rows before the first token; throws if they differ, which a forest does not allow.
    func commonPlace() throws -> SequencePosition {
        guard let first = positions.first, positions.allSatisfy({ $0 == first }) else {
            throw MixerError.wrongState(
                expected: "rows of a forest at the same place", found: "\(positions.map(\.position))")
        }
        return first
    }

    /// Which tokens of a forest do not see which, [B, 1, T, T], made once for all layers.
    func hidden(_ forest: TokenForest, on device: Device) throws -> Tensor {
        try sharing("forest") { [try forest.hidden(on: device)] }[0]
    }
}

extension Tensor {
    /// Returns a [B, G, M, X] times b [B or 1, G, X, Y], without copies of one b for all rows: [B, G, M, Y].
    func matmulRows(_ b: Tensor) throws -> Tensor {
        guard b.size(0) == 1, size(0) > 1 else { return try matmul(b) }
        let (rows, groups, count) = (size(0), size(1), size(2))
        return try transposed(0, 1).reshaped([groups, rows * count, size(3)]).matmul(b.selected(0, 0))
            .reshaped([groups, rows, count, b.size(3)]).transposed(0, 1).contiguous()
    }
}
