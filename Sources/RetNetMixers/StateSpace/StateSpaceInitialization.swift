/// First values of the diagonal A of a state space with N real dimensions (S4D, arXiv 2206.11893).
public enum StateSpaceInitialization: String, Sendable, CaseIterable {
    /// S4D-Lin: -½ + iπn.
    case linear
    /// S4D-Inv: -½ + i (N/π) (N/(2n+1) - 1).
    case inverse

    /// Im A of the N/2 modes; Re A is -½ in both.
    public func frequencies(stateSize: Int) -> [Double] {
        let size = Double(stateSize)
        return (0..<max(0, stateSize / 2)).map { index in
            let n = Double(index)
            switch self {
            case .linear: return .pi * n
            case .inverse: return size / .pi * (size / (2 * n + 1) - 1)
            }
        }
    }
}
