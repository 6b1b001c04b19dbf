import Foundation
import RetNetLayers
import RetNetSettings

/// Sizes and choices of one causal self-attention layer.
public struct AttentionConfiguration: Sendable, Equatable {
    /// h, the number of query heads.
    public var headCount: Int
    /// The number of key and value heads, which divides ``headCount``; nil means as many, 1 is multi-query.
    public var keyValueHeadCount: Int?
    /// The width of one head's queries, keys and values.
    public var headSize: Int
    /// The rotation of queries and keys by position.
    public var rotation: AttentionRotation
    /// The base of the rotation's angles.
    public var rotaryBase: Double
    /// The number of positions over which xPos damps pair j by ζⱼ = (2j/A + 0.4)/1.4; nil for no damping.
    ///
    /// The paper and its implementations take 512. Source: A Length-Extrapolatable Transformer (arXiv 2212.10554).
    public var xPosScaleBase: Double?
    /// True if the four projections have biases.
    public var biases: Bool

    /// Multi-head attention with rotary positions by default.
    public init(
        headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int,
        rotation: AttentionRotation = .interleaved, rotaryBase: Double = 10_000, xPosScaleBase: Double? = nil,
        biases: Bool = false
    ) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize
        self.rotation = rotation
        self.rotaryBase = rotaryBase
        self.xPosScaleBase = xPosScaleBase
        self.biases = biases
    }

    /// G, the number of key and value heads.
    var groupCount: Int { keyValueHeadCount ?? headCount }
}

/// The channels of queries and keys that the rotary position embedding turns together.
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

    /// Returns the A/2 angles in radians per position; none for ``none``.
    ///
    /// Unlike retention's (``RotationKind``), the last angle is not exactly 1/base.
    public func angles(headSize: Int, base: Double) -> [Double] {
        guard self != .none else { return [] }
        return (0..<max(0, headSize / 2)).map { pow(base, -2 * Double($0) / Double(headSize)) }
    }
}

extension AttentionConfiguration: DeclaredSettings {
    /// One head; count and size must be given.
    public static let standard = AttentionConfiguration(headCount: 1, headSize: 2)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of query heads."),
            .int(
                "key_value_head_count", \.keyValueHeadCount, in: MixerSizes.heads,
                "Number of key and value heads, which divides the number of heads; as many by default."),
            .int(
                "head_size", \.headSize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's queries, keys and values."),
            .choice("rotation", \.rotation, "Rotation of queries and keys by position."),
            .double("rotary_base", \.rotaryBase, in: 1...1e12, "Base of the rotation's angles."),
            .double(
                "xpos_scale_base", \.xPosScaleBase, in: 0.125...1e6,
                "Number of positions of xPos's damping; no damping by default."),
            .bool("biases", \.biases, "Biases in the four projections."),
        ]
    }

    /// Reports heads that do not fit each other, the rotation or xPos.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportGroups("key_value_head_count", headCount: headCount, groupCount: keyValueHeadCount)
        reader.reportOddSize("head_size", headSize, rotation: rotation.rawValue)
        if xPosScaleBase != nil, rotation == .none {
            reader.reportContradiction(
                "xpos_scale_base", "xPos damps rotated pairs; use the rotation 'interleaved' or 'halves'")
        }
        reader.reportWidth("head_size", headCount: headCount, size: headSize)
    }
}

extension AttentionConfiguration: MixerSpecification {
    /// ``MixerConfiguration/attention(_:)``.
    public var configuration: MixerConfiguration { .attention(self) }

    /// Returns causal self-attention: 4 d² parameters where the heads fill the width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try SelfAttention(scope, self, context)
    }

    /// True: rotations are those of the positions between.
    public var honorsPositionStride: Bool { true }

    /// Keys and values of every token seen: 2 · G · A per token.
    public func stateElementCount(tokenCount: Int) -> Int {
        2 * groupCount * headSize * Self.bounded(tokenCount)
    }

    /// Scores and weighted sum over all tokens seen and the new one: 4 · h · A per token.
    public func recurrentFLOPs(position: Int) -> Int {
        4 * headCount * headSize * (Self.bounded(position) + 1)
    }

    /// The part within one tile, full squares: tiles do the same work as all positions at once.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        4 * headCount * headSize * Self.bounded(chunkLength)
    }

    /// Five products of tiles instead of two: the backward pass computes the scores again.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        10 * headCount * headSize * Self.bounded(chunkLength)
    }

    /// Lengths beyond any sequence count as 2^36, so that products of them do not overflow.
    private static func bounded(_ length: Int) -> Int { min(max(0, length), 1 << 36) }
}
