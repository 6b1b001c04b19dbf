import Foundation
import RetNetTorch

/// The recurrence of a matrix S per head that every position decays, partly erases and writes to, in its equal forms.
///
///     S_t = (I - β_t k_tᵀ k_t) diag(a_t) S_{t-1} + β_t k_tᵀ v_t        o_t = q_t S_t
///
/// Without β nothing is erased and kᵀ v is written whole. The gates a are one number per head (gated retention,
/// Mamba-2, Gated DeltaNet), one per key channel (gated linear attention), or all 1.
///
/// B batch, H heads, T time, K key size, V value size, G groups of heads that share queries and keys.
/// ``definition()`` is the specification; the other forms are tested against it.
public struct MatrixRecurrence {
    /// Outputs [B, H, T, V] and the state after the last position [B, H, K, V].
    public typealias Result = (output: Tensor, state: Tensor)

    /// q [B, G, T, K], already scaled and rotated.
    public let query: Tensor
    /// k [B, G, T, K], normalized where β is given: the erasing is stable only while β |k|² ≤ 2.
    public let key: Tensor
    /// v [B, H, T, V].
    public let value: Tensor
    /// ln a ≤ 0, [B, H, T] or [B, H, T, K]; nil where nothing decays.
    public let logGates: Tensor?
    /// β [B, H, T]; nil where nothing is erased.
    public let beta: Tensor?
    /// S before the first position [B, H, K, V]; nil for zeros.
    public let state: Tensor?

    /// The inputs of one head after the other, for any of the forms.
    public init(
        query: Tensor, key: Tensor, value: Tensor, logGates: Tensor? = nil, beta: Tensor? = nil,
        state: Tensor? = nil
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.logGates = logGates
        self.beta = beta
        self.state = state
    }

    /// The number of positions.
    public var length: Int { query.size(2) }

    /// The type in which states and gates are kept.
    var wide: ElementType { value.elementType.accumulator }

    /// The number of heads that share queries and keys.
    var share: Int { value.size(1) / query.size(1) }

    func startingState() throws -> Tensor {
        try state?.to(wide)
            ?? Tensor.zeros(
                [value.size(0), value.size(1), query.size(3), value.size(3)], wide, on: value.device)
    }

    /// Computes the recurrence as it is written, in float64, with every transition written out as a K × K matrix.
    public func definition() throws -> Result {
        guard length > 0 else { throw MixerError.emptySequence }
        let type = ElementType.float64
        let (q, k) = (try perHead(query).to(type), try perHead(key).to(type))
        let v = try value.to(type)
        let lower = try Tensor.ones([k.size(3), k.size(3)], type, on: k.device).lowerTriangle()
        let identity = try lower * lower.transposed(0, 1)
        var matrix = try startingState().to(type)
        var outputs: [Tensor] = []
        for t in 0..<length {
            let row = try k.sliced(2, t..<t + 1)
            var write = try row.transposed(-1, -2).matmul(v.sliced(2, t..<t + 1))
            var transition = identity
            if let gates = try gates(at: t)?.to(type) { transition = try transition * gates.exp() }
            if let beta = try beta?.to(type).sliced(2, t..<t + 1).unsqueezed(-1) {
                let erase = try identity - row.transposed(-1, -2).matmul(row) * beta
                transition = try erase.matmul(transition)
                write = try write * beta
            }
            matrix = try transition.matmul(matrix) + write
            outputs.append(try q.sliced(2, t..<t + 1).matmul(matrix))
        }
        return (try Tensor.concatenated(outputs, axis: 2), matrix)
    }

    /// Computes one position after another, with gradients; the state is only scaled, read and added to.
    public func recurrent() throws -> Result {
        guard length > 0 else { throw MixerError.emptySequence }
        let (q, k) = (try perHead(query).to(wide), try perHead(key).to(wide))
        let v = try value.to(wide)
        var matrix = try startingState()
        var outputs: [Tensor] = []
        for t in 0..<length {
            let row = try k.sliced(2, t..<t + 1)
            if let gates = try gates(at: t) { matrix = try matrix * gates.exp().transposed(-1, -2) }
            var written = try v.sliced(2, t..<t + 1)
            if let beta {
                let beta = try beta.to(wide).sliced(2, t..<t + 1).unsqueezed(-1)
                written = try (written - row.matmul(matrix)) * beta
            }
            matrix = try matrix + row.transposed(-1, -2).matmul(written)
            outputs.append(try q.sliced(2, t..<t + 1).matmul(matrix).to(value.elementType))
        }
        return (try Tensor.concatenated(outputs, axis: 2), matrix)
    }

    /// Returns ln a of a position as a row that multiplies columns of a transition, [B, H, 1, 1 or K].
    private func gates(at position: Int) throws -> Tensor? {
        guard let gates = try logGates?.to(wide).sliced(2, position..<position + 1) else { return nil }
        return gates.rank == 4 ? gates : try gates.unsqueezed(-1)
    }

    /// Returns queries or keys of groups for each of their heads.
    func perHead(_ x: Tensor) throws -> Tensor { try x.repeatInterleaved(share, axis: 1) }
}

extension MatrixRecurrence {
    /// Computes one chunk of the whole length, with gradients; work and memory grow with the square of the length.
    public func parallel() throws -> Result { try chunkwise(length) }

    /// Computes chunks in parallel, recurrent from one to the next, with gradients: a chain of plain operations.
    public func chunkwise(_ chunkLength: Int) throws -> Result {
        guard length > 0 else { throw MixerError.emptySequence }
        var matrix = try startingState()
        var outputs: [Tensor] = []
        for start in stride(from: 0, to: length, by: max(1, chunkLength)) {
            let part = try sliced(start..<min(start + max(1, chunkLength), length), state: matrix)
            let (output, next) = try part.chunk(matrix)
            outputs.append(output)
            matrix = next
        }
        return (try Tensor.concatenated(outputs, axis: 2), matrix)
    }

    private func sliced(_ range: Range<Int>, state: Tensor) throws -> MatrixRecurrence {
        MatrixRecurrence(
            query: try query.sliced(2, range), key: try key.sliced(2, range),
            value: try value.sliced(2, range), logGates: try logGates?.sliced(2, range),
            beta: try beta?.sliced(2, range), state: state)
    }

    /// One chunk, given g the running sums of ln a and E(x, y)[t, i] = Σ_c x_tc y_ic e^(g_tc - g_ic) for i ≤ t.
    ///
    ///     (I + diag(β) E(k, k) below the diagonal) W = diag(β) (V - e^g k S)        without β: W = V
    ///     O = E(q, k) W + e^g q S                S' = e^(g_L) S + (e^(g_L - g) k)ᵀ W
    private func chunk(_ matrix: Tensor) throws -> Result {
        let (q, k) = (try perHead(query).to(wide), try perHead(key).to(wide))
        var written = try value.to(wide)
        let gates = try ChunkGates(logGates, length: length, wide, value.device)
        if let beta {
            let beta = try beta.to(wide).unsqueezed(-1)
            let system = try gates.scores(k, k) * beta
            let expected = try written - gates.read(k).matmul(matrix)
            written = try system.solvingUnitLowerTriangular(expected * beta)
        }
        let output = try gates.scores(q, k).matmul(written) + gates.read(q).matmul(matrix)
        let next = try gates.carry(matrix) + gates.kept(k).transposed(-1, -2).matmul(written)
        return (try output.to(value.elementType), next)
    }
}

/// The gates of one chunk as differences of running sums, exponentiated only under the causal mask.
private struct ChunkGates {
    /// Running sums [B, H, L, 1] or [B, H, L, K] in float64; nil where nothing decays.
    private let sums: Tensor?
    private let future: Tensor
    private let type: ElementType

    init(_ logGates: Tensor?, length: Int, _ type: ElementType, _ device: Device) throws {
        // e^-1000 is 0 in every type, and sums of it stay exact.
        let logs = try logGates?.to(device == .mps ? .float32 : .float64).maximum(-1000)
        sums = try logs.map { try ($0.rank == 4 ? $0 : $0.unsqueezed(-1)).cumulativeSum(axis: 2) }
        future = try Tensor.ones([length, length], .float32, on: device).lowerTriangle().isEqual(to: 0)
        self.type = type
    }

    func scores(_ x: Tensor, _ y: Tensor) throws -> Tensor {
        guard let sums else { return try x.matmul(y.transposed(-1, -2)).maskFilled(future, 0) }
        // [B, H, L, L, 1 or K]
        let differences = try (sums.unsqueezed(3) - sums.unsqueezed(2))
            .maskFilled(future.unsqueezed(-1), -.infinity)
        let gates = try differences.to(type).exp()
        if sums.size(3) == 1 { return try x.matmul(y.transposed(-1, -2)) * gates.squeezed(-1) }
        return try (x.unsqueezed(3) * y.unsqueezed(2) * gates).sum([-1])
    }

    /// Returns e^g x: rows that read the state before the chunk.
    func read(_ x: Tensor) throws -> Tensor { try sums.map { try x * $0.to(type).exp() } ?? x }

    /// Returns e^(g_L - g) x: rows that write to the state after the chunk.
    func kept(_ x: Tensor) throws -> Tensor {
        try sums.map { try x * (last($0) - $0).to(type).exp() } ?? x
    }

    /// Returns e^(g_L) S.
    func carry(_ matrix: Tensor) throws -> Tensor {
        try sums.map { try matrix * last($0).to(type).exp().transposed(-1, -2) } ?? matrix
    }

    private func last(_ sums: Tensor) throws -> Tensor {
        try sums.sliced(2, sums.size(2) - 1..<sums.size(2))
    }
}
