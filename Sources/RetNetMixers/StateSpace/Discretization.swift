/// How a continuous state space x' = A x + B u is turned into steps of length Δ.
public enum Discretization: String, Sendable, CaseIterable {
    /// Ā = e^(ΔA), B̄ = (e^(ΔA) - 1) / A · B: exact for inputs that stay constant between steps.
    case zeroOrderHold = "zoh"
    /// Ā = (1 + ΔA/2) / (1 - ΔA/2), B̄ = Δ / (1 - ΔA/2) · B.
    case bilinear
}
