/// By what embeddings are multiplied before the first layer.
public enum EmbeddingScale: String, Sendable, CaseIterable {
    /// Nothing.
    case none
    /// The root of the model width: fairseq's default, which brings embeddings of variance 1/d to variance 1.
    case squareRoot = "square_root"

    /// The factor for a model width.
    public func factor(hiddenSize: Int) -> Double {
        switch self {
        case .none: 1
        case .squareRoot: Double(hiddenSize).squareRoot()
        }
    }
}
