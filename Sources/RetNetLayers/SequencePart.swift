import RetNetTorch

/// A rank's part of sequences that lie on several ranks, one part behind the other.
///
/// What passes from part to part is exchanged by the layers that mix positions; all others see their own tokens alone. Every
/// rank runs the same layers in the same order, and with gradients the same graph, for its exchanges are matched with those
/// of the others by their order.
public struct SequencePart {
    /// The ranks, in the order of their parts.
    public let ranks: any RankGroup
    /// The number of tokens of every part, each at least 1.
    public let lengths: [Int]
    /// The number of tokens before this rank's part.
    public let offset: Int

    /// The part of this rank of sequences of `length` tokens; the first ranks have one more where ranks do not divide them.
    ///
    /// Nil where there are fewer tokens than ranks.
    public init?(of length: Int, on ranks: any RankGroup) {
        let (least, rest) = length.quotientAndRemainder(dividingBy: max(1, ranks.count))
        guard least > 0 else { return nil }
        self.ranks = ranks
        lengths = (0..<ranks.count).map { least + ($0 < rest ? 1 : 0) }
        offset = lengths.prefix(ranks.rank).reduce(0, +)
    }

    /// The number of this rank among ``ranks``.
    public var rank: Int { ranks.rank }
    /// The number of ranks.
    public var count: Int { lengths.count }
    /// The number of tokens of this rank.
    public var length: Int { lengths[rank] }
    /// The number of tokens of all ranks.
    public var wholeLength: Int { lengths.reduce(0, +) }
    /// The tokens of this rank among those of all.
    public var range: Range<Int> { offset..<offset + length }

    /// Returns the tensors of all ranks, which have one shape and type, in the order of the ranks: [P, ...].
    ///
    /// Differentiable: a rank's gradient is the sum of the gradients that all ranks have of its tensor. The result must be used
    /// on all ranks or on none; `result.root` is a way to use it where its elements are not needed.
    public func gathered(_ x: Tensor) throws -> Tensor {
        let (shape, type, count) = (x.shape, x.elementType, count)
        return try recording([x]) {
            let all = try Tensor.empty([count] + shape, type, on: x.device)
            try ranks.allGather(x.detached().contiguous().unsqueezed(0), into: all)
            return ([all], [])
        } backward: { [ranks] _, gradients in
            // Narrow types would round every sum.
            let all = try gradients[0].to(type.accumulator).contiguous()
            let own = try Tensor.empty([1] + shape, all.elementType, on: all.device)
            try ranks.reduceScatter(all, into: own, .sum)
            return [try own.squeezed(0).to(type)]
        }[0]
    }

    /// Returns the tokens of all ranks along an axis of x, a tensor for each rank, differentiable as ``gathered(_:)``.
    public func gatheredTokens(_ x: Tensor, axis: Int) throws -> [Tensor] {
        let longest = lengths.max() ?? 0
        var padded = x
        if length < longest {
            var shape = x.shape
            shape[axis] = longest - length
            padded = try Tensor.concatenated(
                [x, Tensor.zeros(shape, x.elementType, on: x.device)], axis: axis)
        }
        let all = try gathered(padded)
        return try lengths.enumerated().map { try all.selected(0, $0).sliced(axis, 0..<$1) }
    }

    /// Returns the last `count` inputs of x [B, T, C] before this rank's part, and those of the whole sequence.
    ///
    /// `carried` [B, count, C] are those before the sequence, zeros where nil. Both are [B, count, C] in the accumulator type,
    /// the newest at the end; the second is outside the graph.
    public func recent(_ x: Tensor, count: Int, carried: Tensor?) throws -> (entering: Tensor, end: Tensor) {
        let type = x.elementType.accumulator
        var shape = x.shape
        shape[1] = count
        let start = try carried?.to(type) ?? Tensor.zeros(shape, type, on: x.device)
        guard count > 0 else { return (start, start) }
        let counts = lengths.map { min(count, $0) }
        var own = try x.sliced(1, length - counts[rank]..<length).to(type)
        if counts[rank] < count {
            shape[1] = count - counts[rank]
            own = try Tensor.concatenated([Tensor.zeros(shape, type, on: x.device), own], axis: 1)
        }
        let all = try gathered(own)
        let parts = try counts.enumerated().map {
            try all.selected(0, $0).sliced(1, count - $1..<count)
        }
        func last(_ parts: ArraySlice<Tensor>) throws -> Tensor {
            let joined = try Tensor.concatenated([start] + parts, axis: 1)
            return try joined.sliced(1, joined.size(1) - count..<joined.size(1)).contiguous()
        }
        return (try last(parts[..<rank]) + all.root, try withoutGradients { try last(parts[...]) })
    }
}

extension Tensor {
    /// A scalar zero that depends on this tensor: added to a result, it makes the backward pass reach the tensor's node.
    public var root: Tensor { get throws { try sliced(0, 0..<0).sum() } }
}
