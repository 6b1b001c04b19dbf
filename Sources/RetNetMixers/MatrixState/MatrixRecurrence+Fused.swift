import RetNetArchitecture
import RetNetLayers
import RetNetTorch

extension MatrixRecurrence {
    /// The longest chunk with gates per key channel: products of gates are formed step by step within it.
    public static let channelChunkLength = MixerCosts.channelChunkLength
    /// The longest chunk with β: the system to be solved grows with the square of it.
    public static let deltaChunkLength = MixerCosts.deltaChunkLength

    /// Computes the same results by the native kernels: what models run.
    ///
    /// Parallel is one chunk, but never longer than ``channelChunkLength`` or ``deltaChunkLength`` where they
    /// apply: longer ones would cost more operations and digits and save nothing. Recurrent steps without
    /// gradients touch the state once, and write over it if told to; with gradients they are ``recurrent()``. On devices and types without
    /// kernels the chain of ``chunkwise(_:)`` takes their place. In training with 16-bit values, products of the delta rule with
    /// states are made in 16 bits.
    public func fused(_ form: MixerForm, overwritesState: Bool = false, isTraining: Bool = false) throws
        -> Result
    {
        guard length > 0 else { throw MixerError.emptySequence }
        switch form {
        case .parallel: return try native(length, isTraining)
        case .chunkwise(let chunkLength): return try native(max(1, chunkLength), isTraining)
        case .recurrent:
            let inputs = [query, key, value, logGates, beta, state]
            let records = gradientsAreEnabled && inputs.contains { $0?.requiresGradient == true }
            return records || !hasKernels ? try recurrent() : try steps(overwritesState)
        }
    }

    /// Computes this rank's part of sequences that lie on several ranks; states are those of the whole.
    ///
    /// Outputs are linear in the state before: every part is computed without one, and what the entering state adds is read with
    /// the decay since the part began. Erasing mixes key channels, so with β the state is carried through the part as K more
    /// columns, which begin as the identity and are never written to.
    func fused(
        _ form: MixerForm, in sequence: SequencePart?, overwritesState: Bool = false, isTraining: Bool = false
    ) throws -> Result {
        guard let sequence else {
            return try fused(form, overwritesState: overwritesState, isTraining: isTraining)
        }
        guard beta == nil else { return try fusedErasing(form, in: sequence, isTraining) }
        let own = try MatrixRecurrence(query: query, key: key, value: value, logGates: logGates).fused(form)
        // Running sums [B, H, T, K or 1]; e^-1000 is 0 in every type, and sums of it stay exact.
        let sums = try logGates.map { gates in
            try (gates.rank == 4 ? gates : gates.unsqueezed(-1)).to(wide).maximum(-1000).cumulativeSum(
                axis: 2)
        }
        let whole = try sums.map { try $0.sliced(2, length - 1..<length).transposed(-1, -2) }
        let merged = try sequence.merged(
            own.state, from: state,
            by: whole.map { .gates($0) } ?? .powers([Double](repeating: 0, count: value.size(1))))
        var reading = try perHead(query).to(wide)
        if let sums { reading = try reading * sums.exp() }
        let output = try own.output + reading.matmul(merged.entering).to(own.output.elementType)
        return (output, merged.end)
    }

    private func fusedErasing(_ form: MixerForm, in sequence: SequencePart, _ isTraining: Bool) throws
        -> Result
    {
        let (rows, heads, keys, values) = (value.size(0), value.size(1), query.size(3), value.size(3))
        let lower = try Tensor.ones([keys, keys], wide, on: value.device).lowerTriangle()
        let identity = try (lower * lower.transposed(0, 1)).expanded([rows, heads, keys, keys])
        let unwritten = try Tensor.zeros(
            Array(value.shape.dropLast()) + [keys], value.elementType, on: value.device)
        let result = try MatrixRecurrence(
            query: query, key: key, value: Tensor.concatenated([value, unwritten], axis: 3),
            logGates: logGates, beta: beta,
            state: Tensor.concatenated(
                [Tensor.zeros([rows, heads, keys, values], wide, on: value.device), identity], axis: 3)
        ).fused(form, isTraining: isTraining)
        let columns = values..<values + keys
        let merged = try sequence.merged(
            result.state.sliced(3, 0..<values), from: state, by: .matrix(result.state.sliced(3, columns)))
        let read = try result.output.sliced(3, columns).to(wide).matmul(merged.entering)
        let output = try result.output.sliced(3, 0..<values) + read.to(value.elementType)
        return (output, merged.end)
    }

    private var hasKernels: Bool { hasKernel(for: .matrixState) }

    private func hasKernel(for operation: FusedOperators.Operator) -> Bool {
        FusedOperators.hasKernel(for: operation, value.elementType, on: value.device)
    }

    private func native(_ chunkLength: Int, _ isTraining: Bool) throws -> Result {
        let channelGates = logGates?.rank == 4
        let limit =
            beta != nil ? Self.deltaChunkLength : channelGates ? Self.channelChunkLength : length
        let chunkLength = min(chunkLength, limit)
        let operation =
            beta == nil && !channelGates ? FusedOperators.Operator.gatedRetention : .matrixState
        guard hasKernel(for: operation), beta == nil || !channelGates else {
            return try chunkwise(chunkLength)
        }
        if let beta {
            return try FusedOperators.deltaRule(
                query: perHead(query), key: perHead(key), value: value, logGates: logGates,
                beta: beta, state: state, chunkLength: chunkLength, trains: isTraining)
        }
        let gates =
            try logGates
            ?? Tensor.zeros(Array(value.shape.dropLast()), wide, on: value.device)
        if channelGates {
            return try FusedOperators.channelGatedRetention(
                query: perHead(query), key: perHead(key), value: value, logGates: gates, state: state,
                chunkLength: chunkLength)
        }
        return try FusedOperators.gatedRetention(
            query: query, key: key, value: value, logGates: gates, state: state, chunkLength: chunkLength)
            ?? chunkwise(chunkLength)
    }

    private func steps(_ overwritesState: Bool) throws -> Result {
        // One copy at the start keeps the caller's state intact; the steps then work in place.
        let matrix = try state?.forSteps(wide, overwrites: overwritesState) ?? startingState()
        // The delta rule has wide queries and keys: rounded ones would no longer have the length 1.
        let output = try FusedOperators.matrixRecurrence(
            query: query, key: key, value: value.to(query.elementType), logGates: logGates,
            beta: beta, state: matrix)
        return (try output.to(value.elementType), matrix)
    }
}
