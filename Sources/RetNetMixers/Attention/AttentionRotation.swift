import Foundation

/// Which channels of queries and keys the rotary position embedding turns together.
///
/// Pair j of A/2 turns by position · base^(-2j/A) in both layouts; they differ by an order of channels, which matters
/// only for trained weights of other projects. Source: RoFormer (arXiv 2104.09864).
public enum AttentionRotation: String, Sendable, CaseIterable {
    /// Pairs (2j, 2j+1): RoFormer.
    case interleaved
    /// Pairs (j, j+A/2): Llama and GPT-NeoX.
    case halves
    /// No rotation: positions must come from elsewhere.
    case none

    /// The A/2 angles in radians per position; none for ``none``.
    ///
    /// Unlike retention's (``RotationKind``), the last angle is not exactly 1/base.
    public func angles(headSize: Int, base: Double) -> [Double] {
        guard self != .none else { return [] }
        return (0..<max(0, headSize / 2)).map { pow(base, -2 * Double($0) / Double(headSize)) }
    }
}
