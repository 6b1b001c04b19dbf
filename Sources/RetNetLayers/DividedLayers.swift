import RetNetTorch

/// The passage into and out of layers of which every rank has a part: heads of a mixer, columns of a feed-forward.
///
/// Activations outside are the same on all ranks. A layer reads them by ``entering(_:)`` (f) and adds what its ranks have
/// computed by ``leaving(_:)`` (g): one sum over the ranks forward, one backward. Source: Megatron-LM (arXiv 1909.08053).
extension RankGroup {
    /// Returns x; the gradient is summed over the ranks, of which each knows the part of its own heads or columns.
    ///
    /// For parameters too, of which every rank has the whole and uses it in its part.
    public func entering(_ x: Tensor) throws -> Tensor {
        try recording([x]) {
            ([x], [])
        } backward: { _, gradients in
            let sum = try Tensor.empty(gradients[0].shape, gradients[0].elementType)
            try sum.copy(from: gradients[0])
            try self.allReduce(sum, .sum)
            return [sum]
        }[0]
    }

    /// Returns the sum of x over the ranks, in the memory of x; the gradient of the sum is that of each part.
    public func leaving(_ x: Tensor) throws -> Tensor {
        try recording([x]) {
            let sum = try x.detached().contiguous()
            try self.allReduce(sum, .sum)
            return ([sum], [])
        } backward: { _, gradients in
            [gradients[0]]
        }[0]
    }

    /// Returns the parts [..., N] of all ranks side by side, [..., count · N]; each gets the gradient of its own.
    public func joining(_ x: Tensor) throws -> Tensor {
        let (size, axis) = (x.size(-1), x.rank - 1)
        return try recording([x]) {
            let all = try Tensor.empty([self.count] + x.shape, x.elementType)
            try self.allGather(x.detached().contiguous().unsqueezed(0), into: all)
            let order = Array(1..<x.rank) + [0, x.rank]
            return ([try all.permuted(order).reshaped(x.shape.dropLast() + [self.count * size])], [])
        } backward: { [rank] _, gradients in
            [try gradients[0].sliced(axis, rank * size..<(rank + 1) * size)]
        }[0]
    }

    /// Returns this rank's part of `count` heads, columns or rows, which the ranks divide.
    public func part(of whole: Int) -> Range<Int> {
        let size = whole / count
        return rank * size..<(rank + 1) * size
    }

    /// Returns the cross entropies in nats of rows of logits [N, V / count], of which each rank has its part of the
    /// vocabulary: [N], 0 where the int64 target is -100.
    ///
    /// Maxima, sums of exponentials and the logits of targets are exchanged, three numbers for every row.
    public func tokenLosses(_ logits: Tensor, targets: Tensor) throws -> Tensor {
        let size = logits.size(1)
        let own = rank * size..<(rank + 1) * size
        // A target that another rank has is column 0 with weight 0.
        let labels = try targets.contiguous().values(as: Int64.self)
        func column(_ values: [Double]) throws -> Tensor {
            try Tensor.from(values, [labels.count, 1]).to(logits.elementType.accumulator)
        }
        let isOwn = try column(labels.map { own.contains(Int($0)) ? 1 : 0 })
        let counts = try column(labels.map { $0 == -100 ? 0 : 1 })
        let places = try Tensor.from(
            labels.map { own.contains(Int($0)) ? $0 - Int64(own.lowerBound) : 0 }, [labels.count, 1])
        let wide = try logits.to(logits.elementType.accumulator)
        let largest = try withoutGradients {
            let largest = try wide.detached().max([-1], keepingAxes: true).contiguous()
            try allReduce(largest, .maximum)
            return largest
        }
        let shifted = try wide - largest
        let parts = try Tensor.concatenated(
            [
                shifted.exp().sum([-1], keepingAxes: true),
                shifted.gathered(1, places) * isOwn,
            ], axis: 1)
        let sums = try leaving(parts)
        let losses = try sums.sliced(1, 0..<1).log() - sums.sliced(1, 1..<2)
        return try (losses * counts).squeezed(1)
    }
}
