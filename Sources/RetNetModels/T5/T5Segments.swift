import RetNetTorch

/// Which positions belong together: int32 [B, T], where 0 is padding and equal numbers see each other.
public final class T5Segments {
    /// One number a position.
    public let values: Tensor
    private var strided: [Int: Tensor] = [:]
    private var places: [Int: Tensor] = [:]

    /// Segments as int32 [B, T].
    public init(_ values: Tensor) throws {
        guard values.rank == 2 else {
            throw T5Error.wrongShape(what: "segments", expected: "[B, T]", found: values.shape)
        }
        self.values = try values.to(.int32)
    }

    /// The segments of every `stride`-th position, which stands for those that follow it.
    ///
    /// Throws ``T5Error/mixedGroup(row:position:stride:)`` where a position stands for another segment than its own.
    public func every(_ stride: Int) throws -> Tensor {
        guard stride > 1 else { return values }
        if let found = strided[stride] { return found }
        let (time, numbers) = (values.size(1), try values.values(as: Int32.self))
        for (index, number) in numbers.enumerated() where number != 0 {
            let position = index % time
            guard numbers[index - position % stride] == number else {
                throw T5Error.mixedGroup(row: index / time, position: position, stride: stride)
            }
        }
        let result = try values.sliced(1, 0..<values.size(1), by: stride).contiguous()
        strided[stride] = result
        return result
    }

    /// Which of every `stride`-th positions, counted over all rows, are no padding: int64 [M].
    ///
    /// Throws what ``every(_:)`` throws.
    public func places(stride: Int) throws -> Tensor {
        if let found = places[stride] { return found }
        let numbers = try every(stride).values(as: Int32.self)
        let kept = numbers.indices.filter { numbers[$0] != 0 }.map(Int64.init)
        let result = try Tensor.from(kept, [kept.count], on: values.device)
        places[stride] = result
        return result
    }
}
