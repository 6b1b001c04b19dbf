import RetNetTorch

extension Retention {
    /// The same results from the native kernels: what models run.
    ///
    /// Parallel is one chunk of the whole length. Recurrent steps without gradients use the fused step, which
    /// touches the state once; with gradients they use ``recurrent(_:_:_:state:logGammas:)``.
    public static func fused(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double], form: MixerForm
    ) throws -> Result {
        guard q.size(2) > 0 else { throw MixerError.emptySequence }
        switch form {
        case .parallel:
            return try FusedOperators.retention(
                query: q, key: k, value: v, state: state, logGammas: logGammas, chunkLength: q.size(2))
        case .chunkwise(let length):
            return try FusedOperators.retention(
                query: q, key: k, value: v, state: state, logGammas: logGammas, chunkLength: length)
        case .recurrent:
            if gradientsAreEnabled, [q, k, v, state].contains(where: { $0?.requiresGradient == true }) {
                return try recurrent(q, k, v, state: state, logGammas: logGammas)
            }
            return try steps(q, k, v, state: state, logGammas: logGammas)
        }
    }

    private static func steps(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, state: Tensor?, logGammas: [Double]
    ) throws -> Result {
        // One copy at the start keeps the caller's state intact; the steps then work in place.
        let memory = try state?.clone().contiguous() ?? zeroState(q, v)
        var outputs: [Tensor] = []
        for n in 0..<q.size(2) {
            let step = try FusedOperators.retentionStep(
                query: q.selected(2, n), key: k.selected(2, n), value: v.selected(2, n), state: memory,
                logGammas: logGammas, inPlace: true)
            outputs.append(step.output)
        }
        return (try Tensor.stacked(outputs, axis: 2), memory)
    }
}
