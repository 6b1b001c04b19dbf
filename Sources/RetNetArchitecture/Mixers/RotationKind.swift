import Foundation

/// The rotation of queries and keys by their absolute position.
///
/// The two rotations use different angles, so trained weights of one do not work with the other.
public enum RotationKind: String, Sendable, CaseIterable {
    /// Pairs (2j, 2j+1) by 10000^(-j/(a/2-1)): torchscale. The last angle is exactly 1e-4.
    case interleaved
    /// Pairs (j, j+a/2) by 10000^(-2j/a): rotary embeddings as in fla and Llama.
    case halves
    /// No rotation.
    case none

    /// Returns the a/2 angles in radians per position; none for ``none``.
    public func angles(keySize: Int) -> [Double] {
        let pairs = max(0, keySize / 2)
        switch self {
        case .none: return []
        case .interleaved:
            // A single pair has the first angle, as in torch.linspace(0, 1, 1).
            let steps = Double(max(1, pairs - 1))
            return (0..<pairs).map { pow(10000, -Double($0) / steps) }
        case .halves:
            return (0..<pairs).map { pow(10000, -2 * Double($0) / Double(keySize)) }
        }
    }
}

/// The number by which the scores of one position and head are divided before the head norm.
///
/// w is the sum of the decays of all positions seen, and R the scores with decay, divided by the root of w.
public enum ScoreNormalization: String, Sendable, CaseIterable {
    /// 1, as in fla.
    case none
    /// √w.
    case decay
    /// √w · max(|Σ R|, 1): the arXiv paper. It keeps one vector of the key size per head in the state.
    case decayAbsSum = "decay_abs_sum"
    /// √w · max(Σ |R|, 1): torchscale's parallel form. It needs every past key.
    case decaySumAbs = "decay_sum_abs"

    /// True if a state of fixed size suffices, so that all three forms exist.
    public var streams: Bool { self != .decaySumAbs }
}

extension ScoreNormalization {
    /// wₙ = Σ_{j≤n} γʲ = (1 - γ^(n+1)) / (1 - γ), and n + 1 for γ = 1. (Paper section 2.4, factor 2.)
    public static func decaySum(logGamma: Double, index: Int) -> Double {
        logGamma == 0 ? Double(index + 1) : expm1(Double(index + 1) * logGamma) / expm1(logGamma)
    }
}
