/// How linear attention keeps the scale of its outputs.
public enum LinearAttentionNormalizer: String, Sendable, CaseIterable {
    /// Divided by φ(q)·Σφ(k): the Linear Transformer.
    case sum
    /// Not divided; an RMS norm over each head's values instead. Retention without decay.
    case rms
}
