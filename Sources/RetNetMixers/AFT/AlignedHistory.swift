import RetNetTorch

/// The history of rows with different pasts, moved so that every row's last token stands at the end.
struct AlignedHistory {
    /// [B, H, C], zeros where a row has no token.
    let key: Tensor
    /// [B, H, C], zeros where a row has no token.
    let value: Tensor
    private let counts: [Int]
    private let length: Int

    /// Nil where no row has a token.
    init?(_ history: FusedOperators.WindowHistory?, _ type: ElementType) throws {
        guard let history, let longest = history.ranges.map(\.count).max(), longest > 0 else { return nil }
        counts = history.ranges.map(\.count)
        length = longest
        func align(_ tensor: Tensor) throws -> Tensor {
            let rows = try history.ranges.enumerated().map { row, range in
                try Self.padded(tensor.sliced(0, row..<row + 1).sliced(1, range).to(type), to: longest)
            }
            return try Tensor.concatenated(rows, axis: 0)
        }
        key = try align(history.key)
        value = try align(history.value)
    }

    private static func padded(_ tensor: Tensor, to length: Int) throws -> Tensor {
        guard tensor.size(1) < length else { return tensor }
        var shape = tensor.shape
        shape[1] = length - tensor.size(1)
        return try Tensor.concatenated(
            [Tensor.zeros(shape, tensor.elementType, on: tensor.device), tensor], axis: 1)
    }

    /// Booleans [B, n]: which of the entries `first ... last` of history and new tokens are no tokens of the row.
    func absent(from first: Int, to last: Int) throws -> Tensor {
        let flags = counts.flatMap { count in (first...last).map { $0 < length - count ? 1.0 : 0.0 } }
        return try Tensor.from(flags, [counts.count, last - first + 1]).isEqual(to: 1).to(on: key.device)
    }

    /// Biases [B or 1, tokens of the row] moved as keys are: [B, tokens of the longest row].
    func aligned(_ biases: Tensor) throws -> Tensor {
        guard Set(counts).count > 1 else { return biases }
        let rows = try counts.enumerated().map { row, count in
            let own = try biases.size(0) == 1 ? biases : biases.sliced(0, row..<row + 1)
            // What a short row has to spare at its end belongs to no token.
            return try Self.padded(own.sliced(1, 0..<own.size(1) - (length - count)), to: own.size(1))
        }
        return try Tensor.concatenated(rows, axis: 0)
    }
}
