import RetNetTorch

extension H3Memory {
    /// The chunkwise form as a chain of tensor operations: what runs where the native operator does not.
    static func expanded(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem, state: Tensor?, chunkLength: Int
    ) throws -> Result {
        var current = try state ?? zeroState(q, system)
        var outputs: [Tensor] = []
        for start in stride(from: 0, to: q.size(1), by: chunkLength) {
            let range = start..<Swift.min(start + chunkLength, q.size(1))
            let part = try chunk(
                q.sliced(1, range), k.sliced(1, range), v.sliced(1, range), system, state: current)
            outputs.append(part.output)
            current = part.state
        }
        return (try Tensor.concatenated(outputs, axis: 1), current)
    }

    private static func chunk(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem, state: Tensor
    ) throws -> Result {
        let type = q.elementType.accumulator
        let (heads, modes) = (system.channelCount, system.modeCount)
        let (batch, length, size) = (q.size(0), q.size(1), q.size(2) / heads)
        func split(_ x: Tensor) throws -> Tensor {
            try x.to(type).reshaped([batch, length, heads, size]).permuted([0, 2, 1, 3])
        }
        let (query, key, value) = (try split(q), try split(k), try split(v))
        let scores = try query.matmul(key.transposed(-1, -2)) * toeplitz(system, length: length, type)
        var output = try scores.matmul(value)
        let powers = try system.powers((0...length).map(Double.init))
        let read =
            try powers.map { try $0.sliced(1, 1..<length + 1) } * system.readout.map { try $0.unsqueezed(1) }
        let rows = try ComplexTensor(real: read.real * 2, imaginary: read.imaginary * -2).joined().to(type)
        let memory = try rows.matmul(state.to(type)).reshaped([batch, heads, length, size, size])
        output = try output + query.unsqueezed(-2).matmul(memory).squeezed(-2)
        let write =
            try powers.map { try $0.sliced(1, 0..<length).flipped(1) }
            * system.input.map { try $0.unsqueezed(1) }
        let products = try (key.unsqueezed(-1) * value.unsqueezed(-2)).reshaped([
            batch, heads, length, size * size,
        ])
        let written = try write.joined().to(type).transposed(-1, -2).matmul(products)
        let power = try powers.map {
            try $0.sliced(1, length..<length + 1).to(type).reshaped([1, heads, modes, 1])
        }
        let before = try ComplexTensor(
            planes: state.to(type).reshaped([batch, heads, 2, modes, size * size]), axis: 2)
        let kept = try (before * power).planes(axis: 2).reshaped(written.shape)
        let merged = try output.permuted([0, 2, 1, 3]).reshaped([batch, length, heads * size])
        return (try merged.to(q.elementType), try written + kept)
    }

    /// K_(r-s) for s ≤ r and 0 elsewhere, with D on the diagonal: [H, T, T].
    private static func toeplitz(_ system: DiagonalSystem, length: Int, _ type: ElementType) throws -> Tensor
    {
        let kernel = try system.kernel(length: length, type)
        let position = try Tensor.range(to: Double(length), .float32, on: kernel.device)
        let distance = try position.unsqueezed(1) - position.unsqueezed(0)
        let future = try distance.isLess(than: 0)
        let indices = try distance.maximum(0).to(.int64).reshaped([length * length])
        let table = try kernel.indexSelected(1, indices).reshaped([system.channelCount, length, length])
        let diagonal = try distance.isEqual(to: 0).to(type) * system.skip.to(type).reshaped([-1, 1, 1])
        return try table.maskFilled(future, 0) + diagonal
    }
}
