import RetNetTorch

/// The position biases of one pass through a stack, looked up once for all layers.
public final class T5PositionBias {
    private let table: T5PositionTable
    private let type: ElementType
    private var known: [[Int]: Tensor] = [:]

    init(_ table: T5PositionTable, as type: ElementType) {
        self.table = table
        self.type = type
    }

    /// The biases [H, 2T-1] of T positions that are `stride` tokens apart: key j and query i at j - i + T - 1.
    public func distances(count: Int, stride: Int = 1) throws -> Tensor {
        if let found = known[[count, stride]] { return found }
        let result = try table.biases(relatives: (1 - count..<count).map { $0 * stride }, as: type)
        known[[count, stride]] = result
        return result
    }

    /// The biases [H, count] of the last of `count` positions as the query.
    public func last(count: Int) throws -> Tensor {
        try table.biases(relatives: (0..<count).map { $0 - count + 1 }, as: type)
    }
}
