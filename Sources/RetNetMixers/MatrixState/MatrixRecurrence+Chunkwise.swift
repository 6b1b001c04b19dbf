import Foundation
import RetNetTorch

extension MatrixRecurrence {
    /// One chunk of the whole length, with gradients; work and memory grow with the square of the length.
    public func parallel() throws -> Result { try chunkwise(length) }

    /// Parallel inside chunks, recurrent from one to the next, with gradients: a chain of plain operations.
    public func chunkwise(_ chunkLength: Int) throws -> Result {
        guard length > 0 else { throw MixerError.emptySequence }
        var memory = try startingState()
        var outputs: [Tensor] = []
        for start in stride(from: 0, to: length, by: max(1, chunkLength)) {
            let part = try sliced(start..<min(start + max(1, chunkLength), length), state: memory)
            let (output, next) = try part.chunk(memory)
            outputs.append(output)
            memory = next
        }
        return (try Tensor.concatenated(outputs, axis: 2), memory)
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
    private func chunk(_ memory: Tensor) throws -> Result {
        let (q, k) = (try perHead(query).to(wide), try perHead(key).to(wide))
        var written = try value.to(wide)
        let gates = try ChunkGates(logGates, length: length, wide, value.device)
        if let beta {
            let strength = try beta.to(wide).unsqueezed(-1)
            let system = try gates.scores(k, k) * strength
            let expected = try written - gates.read(k).matmul(memory)
            written = try system.solvingUnitLowerTriangular(expected * strength)
        }
        let output = try gates.scores(q, k).matmul(written) + gates.read(q).matmul(memory)
        let next = try gates.carry(memory) + gates.kept(k).transposed(-1, -2).matmul(written)
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

    /// e^g x: rows that read the state before the chunk.
    func read(_ x: Tensor) throws -> Tensor { try sums.map { try x * $0.to(type).exp() } ?? x }

    /// e^(g_L - g) x: rows that write to the state after the chunk.
    func kept(_ x: Tensor) throws -> Tensor {
        try sums.map { try x * (last($0) - $0).to(type).exp() } ?? x
    }

    /// e^(g_L) S.
    func carry(_ memory: Tensor) throws -> Tensor {
        try sums.map { try memory * last($0).to(type).exp().transposed(-1, -2) } ?? memory
    }

    private func last(_ sums: Tensor) throws -> Tensor {
        try sums.sliced(2, sums.size(2) - 1..<sums.size(2))
    }
}
