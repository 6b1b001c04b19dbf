import Foundation

/// How queries and keys are rotated by their absolute position.
///
/// The two rotations use different angles, so trained weights of one do not work with the other.
public enum RotationKind: String, Sendable, CaseIterable {
    /// Pairs (2j, 2j+1) by 10000^(-j/(a/2-1)): torchscale. The last angle is exactly 1e-4.
    case interleaved
    /// Pairs (j, j+a/2) by 10000^(-2j/a): rotary embeddings as in fla and Llama.
    case halves
    /// No rotation.
    case none

    /// The a/2 angles in radians per position; none for ``none``.
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
