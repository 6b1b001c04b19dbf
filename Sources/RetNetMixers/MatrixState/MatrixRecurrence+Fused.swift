import RetNetArchitecture
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
