/// The activation of the gate that multiplies the normalised heads.
public enum GateActivation: String, Sendable, CaseIterable {
    /// x · sigmoid(x): the paper and every implementation.
    case swish
    /// x · Φ(x), exact.
    case gelu
    /// No gate and no gate projection.
    case none
}
