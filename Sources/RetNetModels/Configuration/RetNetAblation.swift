import RetNetMixers

/// RetNet without one of its parts: the rows of Table 6 (arXiv 2307.08621), by configuration alone.
public enum RetNetAblation: String, Sendable, CaseIterable {
    /// No swish gate; values shrink to the width and the feed-forward grows to 4d, as in a Transformer.
    case noGate = "no-gate"
    /// No norm of the heads.
    case noHeadNorm = "no-head-norm"
    /// γ = 1: nothing is forgotten.
    case noDecay = "no-decay"
    /// γ = 127/128 for all heads.
    case oneDecay = "one-decay"
    /// Four times as many heads of a quarter of the size.
    case smallHeads = "small-heads"

    /// The name in tables.
    public var title: String { rawValue.split(separator: "-").joined(separator: " ") }

    /// The model without the part.
    ///
    /// Without the head norm nothing takes the scale of scores away, so they are normalised by the decay alone, as in
    /// `ScoreNormalization.decay`. Throws ``PresetError/unsuitable(reason:)`` if the model is no RetNet of equal
    /// blocks, or its heads cannot be divided.
    public func applied(to model: LanguageModelConfiguration) throws -> LanguageModelConfiguration {
        guard model.pattern.count == 1, case .retention(var retention) = model.mixer else {
            throw PresetError.unsuitable(reason: "the ablations need a RetNet of equal blocks")
        }
        var result = model
        switch self {
        case .noGate:
            retention.gate = .none
            retention.valueSize = model.hiddenSize / retention.headCount
            result.feedForward.innerSize = 4 * model.hiddenSize
        case .noHeadNorm:
            retention.headNorm = HeadNormConfiguration(kind: .none, epsilon: retention.headNorm.epsilon)
            if retention.normalization == .none { retention.normalization = .decay }
        case .noDecay:
            retention.decay = .uniform(1)
        case .oneDecay:
            retention.decay = .uniform(127.0 / 128)
        case .smallHeads:
            guard retention.keySize % 8 == 0, retention.valueSize % 4 == 0 else {
                throw PresetError.unsuitable(
                    reason:
                        "heads of \(retention.keySize) and \(retention.valueSize) cannot be divided by four")
            }
            retention.headCount *= 4
            retention.keySize /= 4
            retention.valueSize /= 4
        }
        result.mixer = .retention(retention)
        return result
    }
}
