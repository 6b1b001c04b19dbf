import RetNetTorch

/// The operator of H3 (arXiv 2212.14052, appendix): queries, keys and values under one diagonal state space per head.
///
///     y_t[b] = Σ_a q_t[a] S_t[a, b],   S[a, b] = SSM_h(k[a] v[b]) + D_h k[a] v[b]
///
/// The P² sequences k[a] v[b] of a head share one state space, whose filter is K_h, so no product of theirs needs to
/// be kept: inside a chunk y = ((Q Kᵀ) ⊙ Toeplitz(K_h)) V, and the state adds Σ_a q_r[a] 2 Re(C Ā^(r+1) X[a, b]).
///
/// B batch, T time, H heads, P head size, M complex modes. q, k, v and outputs [B, T, H·P], the first channel of a
/// head varying fastest; the system has H channels. State [B, H, 2M, P·P]: real parts of the modes, then
/// imaginary ones, for every pair (a, b); float32 (float64 for float64 inputs), nil for zeros.
///
/// ``definition(_:_:_:_:state:)`` is the specification; the other forms are tested against it.
public enum H3 {
    /// Outputs and the state after the last position.
    public typealias Result = (output: Tensor, state: Tensor)

    /// The recurrence of all P² sequences of every head, in float64, as it is written.
    public static func definition(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem, state: Tensor?
    ) throws -> Result {
        let type = system.skip.elementType
        let (heads, modes) = (system.channelCount, system.modeCount)
        let (batch, size) = (q.size(0), q.size(2) / heads)
        func column(_ number: Tensor) throws -> Tensor { try number.reshaped([1, heads, modes, 1, 1]) }
        let transition = try system.transition().map(column)
        let (input, readout) = (try system.input.map(column), try system.readout.map(column))
        let skip = try system.skip.reshaped([1, heads, 1, 1])
        var x = ComplexTensor(
            real: try Tensor.zeros([batch, heads, modes, size, size], type, on: q.device),
            imaginary: try Tensor.zeros([batch, heads, modes, size, size], type, on: q.device))
        if let state {
            let planes = try state.to(type).reshaped([batch, heads, 2, modes, size, size])
            x = try ComplexTensor(planes: planes, axis: 2)
        }
        var outputs: [Tensor] = []
        for t in 0..<q.size(1) {
            func row(_ tensor: Tensor) throws -> Tensor {
                try tensor.selected(1, t).to(type).reshaped([batch, heads, size])
            }
            let product = try row(k).unsqueezed(-1) * row(v).unsqueezed(-2)
            x = try transition * x + input * product.unsqueezed(2)
            let sums = try (readout * x).real.sum([2]) * 2 + skip * product
            let y = try (row(q).unsqueezed(-1) * sums).sum([2])
            outputs.append(try y.reshaped([batch, heads * size]))
        }
        let final = try x.planes(axis: 2).reshaped([batch, heads, 2 * modes, size * size])
        return (try Tensor.stacked(outputs, axis: 1), final)
    }

    /// All positions in one chunk.
    public static func parallel(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem, state: Tensor?
    ) throws -> Result {
        try chunkwise(q, k, v, system, state: state, chunkLength: q.size(1))
    }

    /// True if the outputs of a sequence from the start alone are less work in one chunk than with states between chunks, and there
    /// is a kernel.
    ///
    /// Per position and head, a chunk of N costs 2 P N operations for products of queries and keys, and a carried state
    /// 8 M P².
    static func joinsChunks(_ q: Tensor, modeCount: Int, headCount: Int, chunkLength: Int) -> Bool {
        let (length, size) = (q.size(1), q.size(2) / headCount)
        let chunk = min(chunkLength, length)
        return FusedOperators.hasKernel(for: .diagonalHeads, q.elementType, on: q.device)
            && 2 * size * (length - chunk) <= 8 * modeCount * size * size * (length - chunk) / length
    }

    /// Computes the outputs of a sequence from the start alone in one chunk, for training, where nobody needs the state
    /// behind it.
    static func outputs(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem) throws -> Tensor {
        let type = q.elementType.accumulator
        let (length, heads) = (q.size(1), system.channelCount)
        func unused(_ rows: Int) throws -> Tensor {
            try Tensor.zeros([heads, rows, 2 * system.modeCount], type, on: q.device)
        }
        let piece = min(length, pieceLength)
        let tables = FusedOperators.DiagonalTables(
            taps: try system.kernelWithSkip(length: length, type), read: try unused(piece),
            write: try unused(piece), power: try unused(piece + 1))
        return try FusedOperators.diagonalHeads(
            query: q, key: k, value: v, tables: tables, state: nil, keepsState: false
        ).output
    }

    /// Products of queries and keys inside chunks, the state between them: work linear in T.
    public static func chunkwise(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem, state: Tensor?, chunkLength: Int
    ) throws -> Result {
        let length = min(chunkLength, q.size(1))
        guard FusedOperators.hasKernel(for: .diagonalHeads, q.elementType, on: q.device) else {
            return try expanded(q, k, v, system, state: state, chunkLength: length)
        }
        let tables = try tables(system, chunkLength: length, q.elementType.accumulator)
        return try FusedOperators.diagonalHeads(query: q, key: k, value: v, tables: tables, state: state)
    }

    /// The rows of a piece of a chunk: tables of powers stay this small however long chunks are.
    private static let pieceLength = 128

    private static func tables(_ system: DiagonalSystem, chunkLength: Int, _ type: ElementType) throws
        -> FusedOperators.DiagonalTables
    {
        let piece = min(chunkLength, pieceLength)
        let powers = try system.powers((0...piece).map(Double.init))
        let read =
            try powers.map { try $0.sliced(1, 1..<piece + 1) } * system.readout.map { try $0.unsqueezed(1) }
        let write = try powers.map { try $0.sliced(1, 0..<piece) } * system.input.map { try $0.unsqueezed(1) }
        return FusedOperators.DiagonalTables(
            taps: try system.kernelWithSkip(length: chunkLength, type),
            read: try ComplexTensor(real: read.real * 2, imaginary: read.imaginary * -2).joined().to(type),
            write: try write.joined().to(type), power: try powers.joined().to(type))
    }

    // MARK: Recurrent

    /// One position after another, differentiable.
    public static func recurrent(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ system: DiagonalSystem, state: Tensor?
    ) throws -> Result {
        let type = q.elementType.accumulator
        let (heads, modes) = (system.channelCount, system.modeCount)
        let (batch, size) = (q.size(0), q.size(2) / heads)
        func column(_ number: Tensor) throws -> Tensor { try number.to(type).reshaped([1, heads, modes, 1]) }
        // As a difference from 1, or thousands of steps would multiply the rounding of a decay close to 1.
        let alpha = try system.logTransition.exponentialMinusOne().map(column)
        let (input, readout) = (try system.input.map(column), try system.readout.map(column))
        let skip = try system.skip.to(type).reshaped([1, heads, 1])
        let pairs = try state?.to(type) ?? zeroState(q, system)
        var x = try ComplexTensor(planes: pairs.reshaped([batch, heads, 2, modes, size * size]), axis: 2)
        var outputs: [Tensor] = []
        for t in 0..<q.size(1) {
            func row(_ tensor: Tensor) throws -> Tensor {
                try tensor.selected(1, t).to(type).reshaped([batch, heads, size])
            }
            let product = try (row(k).unsqueezed(-1) * row(v).unsqueezed(-2)).reshaped([
                batch, heads, size * size,
            ])
            x = try x + (alpha * x + input * product.unsqueezed(2))
            let sums = try (readout * x).real.sum([2]) * 2 + skip * product
            let y = try row(q).unsqueezed(-2).matmul(sums.reshaped([batch, heads, size, size]))
            outputs.append(try y.reshaped([batch, heads * size]).to(q.elementType))
        }
        let final = try x.planes(axis: 2).reshaped([batch, heads, 2 * modes, size * size])
        return (try Tensor.stacked(outputs, axis: 1), final)
    }

    /// Computes the same without gradients by a native step, from tables that ``stepTables(_:_:)`` makes; for the CPU.
    static func steps(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ tables: [Tensor], state: Tensor?, modeCount: Int,
        overwritesState: Bool = false
    ) throws -> Result {
        let type = q.elementType.accumulator
        let heads = tables[3].elementCount
        let size = q.size(2) / heads
        // One copy at the start keeps the caller's state intact; the steps then work in place.
        let x =
            try state?.forSteps(type, overwrites: overwritesState)
            ?? Tensor.zeros([q.size(0), heads, 2 * modeCount, size * size], type, on: q.device)
        let outputs = try (0..<q.size(1)).map { t in
            try FusedOperators.diagonalHeadsStep(
                query: q.selected(1, t), key: k.selected(1, t), value: v.selected(1, t), state: x,
                alpha: tables[0], input: tables[1], readout: tables[2], skip: tables[3])
        }
        return (try Tensor.stacked(outputs, axis: 1), x)
    }

    /// Ā - 1, B̄ and C as [H, 2M], and D.
    static func stepTables(_ system: DiagonalSystem, _ type: ElementType) throws -> [Tensor] {
        try [system.logTransition.exponentialMinusOne(), system.input, system.readout].map {
            try $0.joined().to(type).contiguous()
        } + [system.skip.to(type).contiguous()]
    }

    static func zeroState(_ q: Tensor, _ system: DiagonalSystem) throws -> Tensor {
        let size = q.size(2) / system.channelCount
        return try Tensor.zeros(
            [q.size(0), system.channelCount, 2 * system.modeCount, size * size], q.elementType.accumulator,
            on: q.device)
    }
}

extension H3 {
    /// Computes the chunkwise form by tensor operations, on devices and types without the native operator.
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
        let sums = try rows.matmul(state.to(type)).reshaped([batch, heads, length, size, size])
        output = try output + query.unsqueezed(-2).matmul(sums).squeezed(-2)
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
