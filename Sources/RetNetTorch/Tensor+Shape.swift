import CRetNetTorch

extension Tensor {
    /// Returns the same elements under another shape, in which one size may be -1; copies only where a view is impossible.
    public func reshaped(_ shape: [Int]) throws -> Tensor {
        try withSizes(shape) { sizes, rank in try Tensor.make { ct_reshape($0, handle, sizes, rank) } }
    }

    /// Returns a view with two axes swapped.
    public func transposed(_ first: Int, _ second: Int) throws -> Tensor {
        try Tensor.make { ct_transpose($0, handle, Int64(first), Int64(second)) }
    }

    /// Returns a view with the axes in another order.
    public func permuted(_ axes: [Int]) throws -> Tensor {
        try withSizes(axes) { sizes, rank in try Tensor.make { ct_permute($0, handle, sizes, rank) } }
    }

    /// Returns a view in which axes of size 1 are repeated; -1 keeps a size.
    public func expanded(_ shape: [Int]) throws -> Tensor {
        try withSizes(shape) { sizes, rank in try Tensor.make { ct_expand($0, handle, sizes, rank) } }
    }

    /// Returns a view with a new axis of size 1.
    public func unsqueezed(_ axis: Int) throws -> Tensor {
        try Tensor.make { ct_unsqueeze($0, handle, Int64(axis)) }
    }

    /// Returns a view without the given axis of size 1.
    public func squeezed(_ axis: Int) throws -> Tensor {
        try Tensor.make { ct_squeeze($0, handle, Int64(axis)) }
    }

    /// Returns a view of a range of one axis; throws when the range is outside.
    public func sliced(_ axis: Int, _ range: Range<Int>, by step: Int = 1) throws -> Tensor {
        try Tensor.make {
            ct_slice($0, handle, Int64(axis), Int64(range.lowerBound), Int64(range.upperBound), Int64(step))
        }
    }

    /// Returns a view of one index of an axis, which disappears.
    public func selected(_ axis: Int, _ index: Int) throws -> Tensor {
        try Tensor.make { ct_select($0, handle, Int64(axis), Int64(index)) }
    }

    /// Returns rows of an axis in the order of int64 `indices`; a copy.
    public func indexSelected(_ axis: Int, _ indices: Tensor) throws -> Tensor {
        try Tensor.make { ct_index_select($0, handle, Int64(axis), indices.handle) }
    }

    /// Returns elements picked along an axis by int64 `indices` of the result's shape.
    public func gathered(_ axis: Int, _ indices: Tensor) throws -> Tensor {
        try Tensor.make { ct_gather($0, handle, Int64(axis), indices.handle) }
    }

    /// Returns tensors joined along an existing axis.
    public static func concatenated(_ tensors: [Tensor], axis: Int) throws -> Tensor {
        try withHandles(tensors) { handles in
            try make { ct_concatenate($0, handles, Int32(tensors.count), Int64(axis)) }
        }
    }

    /// Returns tensors of one shape joined along a new axis.
    public static func stacked(_ tensors: [Tensor], axis: Int) throws -> Tensor {
        try withHandles(tensors) { handles in
            try make { ct_stack($0, handles, Int32(tensors.count), Int64(axis)) }
        }
    }

    /// Returns the elements of an axis in reverse order.
    public func flipped(_ axis: Int) throws -> Tensor {
        try Tensor.make { ct_flip($0, handle, Int64(axis)) }
    }

    /// Returns every index of an axis repeated `count` times in place: a, b → a, a, b, b.
    public func repeatInterleaved(_ count: Int, axis: Int) throws -> Tensor {
        count == 1 ? self : try Tensor.make { ct_repeat_interleave($0, handle, Int64(count), Int64(axis)) }
    }

    /// Returns elements of `first` where the boolean `condition` holds, else of `second`.
    public static func select(where condition: Tensor, _ first: Tensor, else second: Tensor) throws -> Tensor
    {
        try make { ct_where($0, condition.handle, first.handle, second.handle) }
    }

    /// Returns the elements with `value` where the boolean `mask` holds.
    public func maskFilled(_ mask: Tensor, _ value: Double) throws -> Tensor {
        try Tensor.make { ct_masked_fill($0, handle, mask.handle, value) }
    }

    /// Sorts along an axis, stably; indices are int64.
    public func sorted(axis: Int, descending: Bool = false) throws -> (values: Tensor, indices: Tensor) {
        var values: ct_tensor?
        var indices: ct_tensor?
        try check(ct_sort(&values, &indices, handle, Int64(axis), descending))
        guard let values, let indices else {
            throw TorchError(kind: .other, message: "the native call returned no tensor")
        }
        return (Tensor(owning: values), Tensor(owning: indices))
    }
}
