import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// The retention operator in its equal forms, for queries, keys and values that are already scaled and rotated.
///
/// B batch, H heads, T time, A key size, V value size. q, k [B, H, T, A], v [B, H, T, V], state [B, H, A, V];
/// one γ per head, 0 < γ ≤ 1, given as ln γ. Outputs are raw numerators: normalizers are applied by the head norm.
///
/// ``definition(_:_:_:state:logGammas:)`` is the specification; the other forms are tested against it.
public enum Retention {
    /// Outputs [B, H, T, V] and the state after the last position [B, H, A, V].
    public typealias Result = (output: Tensor, state: Tensor)

    /// oₙ = Σ_{m≤n} γ^(n-m) (qₙ·kₘ) vₘ + γ^(n+1) qₙ S, term by term: the defining sum (paper equation 3).
    public static func definition(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double]
    ) throws -> Result {
        let length = q.size(2)
        let type = q.elementType.accumulator
        func power(_ exponent: Int) throws -> Tensor {
            try powers([Double(exponent)], logGammas, type, q.device)
        }
        var outputs: [Tensor] = []
        for n in 0..<length {
            let query = try q.sliced(2, n..<n + 1)
            var sum: Tensor?
            for m in 0...n {
                let score = try (query * k.sliced(2, m..<m + 1)).sum([-1], keepingAxes: true)
                let term = try score * v.sliced(2, m..<m + 1) * power(n - m)
                sum = try sum.map { try $0 + term } ?? term
            }
            if let state {
                let carried = try query.to(type).matmul(state) * power(n + 1)
                sum = try sum.map { try $0 + carried } ?? carried
            }
            outputs.append(try sum.orThrow())
        }
        var final = try state.map { try $0 * power(length) }
        for m in 0..<length {
            let outer = try k.sliced(2, m..<m + 1).transposed(-1, -2).to(type).matmul(
                v.sliced(2, m..<m + 1).to(type))
            let term = try outer * power(length - 1 - m)
            final = try final.map { try $0 + term } ?? term
        }
        return (try Tensor.concatenated(outputs, axis: 2), try final.orThrow())
    }

    /// O = (Q Kᵀ ⊙ D) V, with D[n, m] = γ^(n-m) for n ≥ m and 0 elsewhere (paper equation 5).
    public static func parallel(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double]
    ) throws -> Result {
        try chunk(q, k, v, state: state, logGammas: logGammas)
    }

    /// Sₙ = γ Sₙ₋₁ + kₙᵀ vₙ, oₙ = qₙ Sₙ, one position after another (paper equation 6).
    public static func recurrent(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double]
    ) throws -> Result {
        let type = q.elementType.accumulator
        let gamma = try powers([1], logGammas, type, q.device)
        var matrix = try state ?? zeroState(q, v)
        var outputs: [Tensor] = []
        for n in 0..<q.size(2) {
            let (query, key) = (try q.sliced(2, n..<n + 1).to(type), try k.sliced(2, n..<n + 1).to(type))
            let value = try v.sliced(2, n..<n + 1).to(type)
            matrix = try matrix * gamma + key.transposed(-1, -2).matmul(value)
            outputs.append(try query.matmul(matrix).to(v.elementType))
        }
        return (try Tensor.concatenated(outputs, axis: 2), matrix)
    }

    /// Parallel inside chunks, recurrent from one chunk to the next (paper equation 7).
    ///
    /// The last chunk may be shorter: its exponents use its own length.
    public static func chunkwise(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double], chunkLength: Int
    ) throws -> Result {
        var matrix = state
        var outputs: [Tensor] = []
        for start in stride(from: 0, to: q.size(2), by: chunkLength) {
            let range = start..<Swift.min(start + chunkLength, q.size(2))
            let part = try chunk(
                q.sliced(2, range), k.sliced(2, range), v.sliced(2, range), state: matrix,
                logGammas: logGammas)
            outputs.append(part.output)
            matrix = part.state
        }
        return (try Tensor.concatenated(outputs, axis: 2), try matrix.orThrow())
    }

    /// One chunk: O_r = ((Q Kᵀ ⊙ D) V)_r + ξ_r Q_r R and R' = γ^L R + Kᵀ diag(ζ) V, ξ_r = γ^(r+1), ζ_s = γ^(L-1-s).
    private static func chunk(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double]
    ) throws -> Result {
        let length = q.size(2)
        let type = q.elementType.accumulator
        let decay = try decayMask(length: length, logGammas, type, q.device)
        let scores = try q.matmul(k.transposed(-1, -2)).to(type) * decay
        var output = try scores.to(v.elementType).matmul(v)
        let zeta = try powers((0..<length).map { Double(length - 1 - $0) }, logGammas, type, q.device)
        var next = try k.transposed(-1, -2).to(type).matmul(v.to(type) * zeta)
        if let state {
            let xi = try powers((0..<length).map { Double($0 + 1) }, logGammas, type, q.device)
            output = try output + (q.to(type) * xi).matmul(state).to(v.elementType)
            next = try next + state * powers([Double(length)], logGammas, type, q.device)
        }
        return (output, next)
    }

    /// The factors of a forest: γ^(dₙ-dₘ) between the depths of a token and its ancestors, 0 elsewhere, [B, H, T, T], and
    /// γ^(dₙ+1) towards a state, [B, H, T, 1].
    static func branchDecays(
        _ forest: TokenForest, hidden: Tensor, _ logGammas: [Double], _ type: ElementType
    ) throws -> (between: Tensor, reach: Tensor) {
        let device = hidden.device
        let depths = try forest.depthTensor().to(on: device)
        let logs = try Tensor.from(logGammas, [1, logGammas.count, 1, 1]).to(on: device)
        let distances = try depths - depths.transposed(2, 3)
        return (
            try (distances * logs).exp().maskFilled(hidden, 0).to(type),
            try ((depths + 1) * logs).exp().to(type)
        )
    }

    /// The parallel form over trees of tokens: O = (Q Kᵀ ⊙ D) V + ξ Q S with the factors of ``branchDecays(_:hidden:_:_:)``.
    ///
    /// S is [B or 1, H, A, V]. Returns the outputs and the scores Q Kᵀ ⊙ D [B, H, T, T]; there is no state after a tree.
    static func branching(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, _ decays: (between: Tensor, reach: Tensor)
    ) throws -> (output: Tensor, scores: Tensor) {
        let type = q.elementType.accumulator
        let scores = try q.matmul(k.transposed(-1, -2)).to(type) * decays.between
        var output = try scores.to(v.elementType).matmul(v)
        if let state {
            output = try output + (q.to(type) * decays.reach).matmulRows(state).to(v.elementType)
        }
        return (output, scores)
    }

    /// Returns Σ_m |(q·kₘ) γ^(n-m)| of every row, [B, H, T]: the normalizer that only the parallel form can compute.
    public static func absoluteScoreSums(_ q: Tensor, _ k: Tensor, logGammas: [Double]) throws -> Tensor {
        let type = q.elementType.accumulator
        let decay = try decayMask(length: q.size(2), logGammas, type, q.device)
        return try (q.matmul(k.transposed(-1, -2)).to(type) * decay).abs().sum([-1])
    }

    /// D [1, H, T, T], built by a select: arithmetic on γ^∞ would leak the future once γ has rounded to 1.
    static func decayMask(length: Int, _ logGammas: [Double], _ type: ElementType, _ device: Device) throws
        -> Tensor
    {
        let position = try Tensor.range(to: Double(length), .float64)
        let distance = try position.unsqueezed(1) - position.unsqueezed(0)
        let logs = try Tensor.from(logGammas, [1, logGammas.count, 1, 1])
        let past = try distance.isAtLeast(0)
        return try (distance * logs).exp().maskFilled(past.not(), 0).to(type, on: device)
    }

    /// γ^e for every head and exponent, [1, H, E, 1], computed in float64.
    static func powers(_ exponents: [Double], _ logGammas: [Double], _ type: ElementType, _ device: Device)
        throws
        -> Tensor
    {
        let values = logGammas.flatMap { log in exponents.map { exp($0 * log) } }
        return try Tensor.from(values, [1, logGammas.count, exponents.count, 1]).to(type, on: device)
    }

    static func zeroState(_ q: Tensor, _ v: Tensor) throws -> Tensor {
        try Tensor.zeros(
            [q.size(0), q.size(1), q.size(3), v.size(3)], q.elementType.accumulator, on: q.device)
    }
}

extension Retention {
    /// Computes the same results by the native kernels: what models run.
    ///
    /// Parallel is one chunk of the whole length. Recurrent steps without gradients use the fused step, which
    /// touches the state once, and writes over it if told to; with gradients they use ``recurrent(_:_:_:state:logGammas:)``.
    /// Without `keepsState` the state that is returned means nothing. In training, also in passes without gradients that are
    /// computed again with them, and wherever there are gradients, other kernels run, which differ in rounding.
    ///
    /// With a `sequence`, q, k and v are those of this rank's part, and states those of the whole: the states that the parts
    /// leave are exchanged before any output is computed.
    public static func fused(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double], form: MixerForm,
        overwritesState: Bool = false, keepsState: Bool = true, isTraining: Bool = false,
        sequence: SequencePart? = nil
    ) throws -> Result {
        guard q.size(2) > 0 else { throw MixerError.emptySequence }
        if let sequence {
            let own = try FusedOperators.retentionEndState(key: k, value: v, logGammas: logGammas)
            let merged = try sequence.merged(own, from: state, by: .powers(logGammas))
            let result = try fused(
                q, k, v, state: merged.entering, logGammas: logGammas, form: form, keepsState: false,
                isTraining: isTraining)
            return (result.output, merged.end)
        }
        let hasGradients = gradientsAreEnabled && [q, k, v, state].contains { $0?.requiresGradient == true }
        let trains = isTraining || hasGradients
        switch form {
        case .parallel:
            return try FusedOperators.retention(
                query: q, key: k, value: v, state: state, logGammas: logGammas, chunkLength: q.size(2),
                keepsState: keepsState, trains: trains)
        case .chunkwise(let length):
            return try FusedOperators.retention(
                query: q, key: k, value: v, state: state, logGammas: logGammas, chunkLength: length,
                keepsState: keepsState, trains: trains)
        case .recurrent:
            if hasGradients {
                return try recurrent(q, k, v, state: state, logGammas: logGammas)
            }
            return try steps(
                q, k, v, state: state, logGammas: logGammas, overwritesState: overwritesState)
        }
    }

    private static func steps(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double], overwritesState: Bool
    ) throws -> Result {
        // One copy at the start keeps the caller's state intact; the steps then work in place.
        let type = q.elementType.accumulator
        let matrix = try state?.forSteps(type, overwrites: overwritesState) ?? zeroState(q, v)
        var outputs: [Tensor] = []
        for n in 0..<q.size(2) {
            let step = try FusedOperators.retentionStep(
                query: q.selected(2, n), key: k.selected(2, n), value: v.selected(2, n), state: matrix,
                logGammas: logGammas, inPlace: true)
            outputs.append(step.output)
        }
        return (try Tensor.stacked(outputs, axis: 2), matrix)
    }
}

extension Optional {
    /// The value; an empty sequence is the only way there is none.
    fileprivate func orThrow() throws -> Wrapped {
        guard let self else { throw MixerError.emptySequence }
        return self
    }
}
