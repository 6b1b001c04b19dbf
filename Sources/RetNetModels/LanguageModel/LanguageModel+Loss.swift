import RetNetLayers
import RetNetMixers
import RetNetTorch

extension LanguageModel {
    /// How many logits are held at once when computing a loss.
    private static var logitBudget: Int { 1 << 25 }

    /// The summed cross entropy in nats of int64 targets [B, T], and the state after the last token.
    ///
    /// Targets of -100 do not count. Large vocabularies are scored in slices whose logits are computed again in
    /// the backward pass, so the memory of the logits stays bounded.
    public func lossSum(
        _ tokens: Tensor, targets: Tensor, state: LanguageModelState? = nil, form: MixerForm,
        context: ForwardContext = .inference
    ) throws -> (loss: Tensor, state: LanguageModelState) {
        let (x, next) = try hidden(tokens, state: state, form: form, context: context)
        let rows = try x.reshaped([-1, x.size(-1)])
        let labels = try targets.reshaped([-1])
        let count = rows.size(0)
        let slice = Swift.max(1, Self.logitBudget / configuration.vocabularySize)
        guard count > slice else {
            return (try logits(rows).crossEntropy(labels, reduction: .sum), next)
        }
        var total: Tensor?
        for start in stride(from: 0, to: count, by: slice) {
            let range = start..<Swift.min(start + slice, count)
            let part = try recomputing([rows.sliced(0, range)], outputCount: 1) { [self] inputs in
                [try logits(inputs[0]).crossEntropy(labels.sliced(0, range), reduction: .sum)]
            }[0]
            total = try total.map { try $0 + part } ?? part
        }
        guard let total else { throw MixerError.emptySequence }
        return (total, next)
    }

    /// The cross entropy in nats of every target, [B, T] float32; 0 where the target is -100.
    public func tokenLosses(
        _ tokens: Tensor, targets: Tensor, state: LanguageModelState? = nil, form: MixerForm
    ) throws -> (losses: Tensor, state: LanguageModelState) {
        let (x, next) = try hidden(tokens, state: state, form: form)
        let rows = try x.reshaped([-1, x.size(-1)])
        let labels = try targets.reshaped([-1])
        let slice = Swift.max(1, Self.logitBudget / configuration.vocabularySize)
        let parts = try stride(from: 0, to: rows.size(0), by: slice).map { start in
            let range = start..<Swift.min(start + slice, rows.size(0))
            return try logits(rows.sliced(0, range)).crossEntropy(labels.sliced(0, range), reduction: .none)
        }
        return (try Tensor.concatenated(parts, axis: 0).reshaped(tokens.shape), next)
    }
}
