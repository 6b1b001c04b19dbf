/// Whether positions are added to the embeddings; rotating and decaying mixers need none.
public enum PositionEmbedding: String, Sendable, CaseIterable {
    /// Nothing is added.
    case none
    /// sin(p θⱼ) in the first half of the channels and cos(p θⱼ) in the second, θⱼ = 10000^(-2j/d).
    ///
    /// Source: Vaswani et al., arXiv 1706.03762, with the channels in halves.
    case sinusoidal
}
