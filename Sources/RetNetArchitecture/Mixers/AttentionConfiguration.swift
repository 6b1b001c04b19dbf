import Foundation
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
    /// R, the number of channels of a head that are rotated, the first ones; nil means all.
    ///
    /// GPT-NeoX rotates a quarter. The others take no part in positions.
    public var rotarySize: Int?
    /// A change of the angles for sequences longer than those of the first training; nil for none.
    public var rotaryScaling: RotaryScaling?
    /// The number of positions over which xPos damps pair j by ζⱼ = (2j/A + 0.4)/1.4; nil for no damping.
    ///
    /// The paper and its implementations take 512. Source: A Length-Extrapolatable Transformer (arXiv 2212.10554).
    public var xPosScaleBase: Double?
    /// True if the four projections have biases.
    public var biases: Bool
    /// True if the last projection has biases; nil means as ``biases``.
    public var outputBiases: Bool?

    /// Multi-head attention with rotary positions by default.
    public init(
        headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int,
        rotation: AttentionRotation = .interleaved, rotaryBase: Double = 10_000, rotarySize: Int? = nil,
        rotaryScaling: RotaryScaling? = nil, xPosScaleBase: Double? = nil, biases: Bool = false,
        outputBiases: Bool? = nil
    ) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize
        self.rotation = rotation
        self.rotaryBase = rotaryBase
        self.rotarySize = rotarySize
        self.rotaryScaling = rotaryScaling
        self.xPosScaleBase = xPosScaleBase
        self.biases = biases
        self.outputBiases = outputBiases
    }

    /// G, the number of key and value heads.
    package var groupCount: Int { keyValueHeadCount ?? headCount }

    /// The angles in radians per position of the rotated pairs.
    package var angles: [Double] {
        let plain = rotation.angles(headSize: rotarySize ?? headSize, base: rotaryBase)
        return rotaryScaling.map { plain.map($0.scaled) } ?? plain
    }
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

/// A change of the angles of rotary positions, so that a trained model reads longer sequences.
public struct RotaryScaling: Sendable, Equatable {
    /// The rule for one angle.
    public enum Kind: String, Sendable, CaseIterable {
        /// Every angle is divided by the factor: position interpolation (arXiv 2306.15595).
        case linear
        /// Slow angles are divided by the factor, fast ones are kept, and those between are mixed: Llama 3.1.
        case llama3
    }

    /// The rule for one angle.
    public var kind: Kind
    /// The divisor of angles.
    public var factor: Double
    /// L, the length of sequences in the first training in tokens.
    public var originalLength: Int
    /// Angles that turn less often than this in L tokens are divided.
    public var lowFrequencyFactor: Double
    /// Angles that turn more often than this in L tokens are kept.
    public var highFrequencyFactor: Double

    /// A rule with Llama 3.1's limits by default.
    public init(
        kind: Kind = .linear, factor: Double, originalLength: Int = 8192, lowFrequencyFactor: Double = 1,
        highFrequencyFactor: Double = 4
    ) {
        self.kind = kind
        self.factor = factor
        self.originalLength = originalLength
        self.lowFrequencyFactor = lowFrequencyFactor
        self.highFrequencyFactor = highFrequencyFactor
    }

    /// Returns the changed angle.
    ///
    /// Source of the rule of Llama 3.1: `apply_scaling` in meta-llama/llama-models, models/llama3/model.py.
    func scaled(_ angle: Double) -> Double {
        guard kind == .llama3 else { return angle / factor }
        let turns = Double(originalLength) * angle / (2 * Double.pi)
        if turns < lowFrequencyFactor { return angle / factor }
        if turns > highFrequencyFactor { return angle }
        let kept = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
        return (1 - kept) * angle / factor + kept * angle
    }
}

extension RotaryScaling: DeclaredSettings {
    /// Linear scaling without a factor, which must be given.
    public static let standard = RotaryScaling(factor: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        let ofLlama: [Setting<Self>] = [
            .int(
                "original_length", \.originalLength, in: 1...1 << 40,
                "Length of sequences in the first training in tokens."),
            .double(
                "low_frequency_factor", \.lowFrequencyFactor, in: SettingsRange.positive,
                "Angles that turn less often in the original length are divided."),
            .double(
                "high_frequency_factor", \.highFrequencyFactor, in: SettingsRange.positive,
                "Angles that turn more often in the original length are kept."),
        ]
        return [
            .choice("kind", \.kind, "Rule for the angles."),
            .double("factor", \.factor, in: 1...1e6, isRequired: true, "Divisor of the angles."),
        ] + ofLlama.map { $0.when("kind: llama3", { $0.kind == .llama3 }) }
    }

    /// Reports limits in the wrong order.
    public func reportContradictions(to reader: SettingsReader) {
        guard kind == .llama3, highFrequencyFactor <= lowFrequencyFactor else { return }
        reader.reportContradiction(
            "high_frequency_factor", "it must be larger than the low_frequency_factor \(lowFrequencyFactor)")
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
            .int(
                "rotary_size", \.rotarySize, in: MixerSizes.heads,
                "Number of channels of a head that are rotated, the first ones; all by default."),
            .object("rotary_scaling", \.rotaryScaling),
            .double(
                "xpos_scale_base", \.xPosScaleBase, in: 0.125...1e6,
                "Number of positions of xPos's damping; no damping by default."),
            .bool("biases", \.biases, "Biases in the four projections."),
            .bool(
                "output_biases", \.outputBiases, "Biases in the last projection; as 'biases' by default."),
        ]
    }

    /// Reports heads that do not fit each other, the rotation or xPos.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportGroups("key_value_head_count", headCount: headCount, groupCount: keyValueHeadCount)
        if let rotarySize {
            reader.reportOddSize("rotary_size", rotarySize, rotation: rotation.rawValue)
            if rotarySize > headSize {
                reader.reportContradiction("rotary_size", "a head has only \(headSize) channels")
            }
            if xPosScaleBase != nil, rotarySize != headSize {
                reader.reportContradiction("rotary_size", "xPos damps whole heads; leave out one of the two")
            }
        } else {
            reader.reportOddSize("head_size", headSize, rotation: rotation.rawValue)
        }
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

    /// The heads, and those of keys and values where they are fewer.
    public var dividedCounts: [(setting: String, count: Int)]? {
        [("head_count", headCount)]
            + (keyValueHeadCount.map { [("key_value_head_count", $0)] } ?? [])
    }

    /// Returns the part with an equal number of heads.
    public func divided(between rankCount: Int) -> Self {
        var result = self
        result.headCount /= rankCount
        result.keyValueHeadCount = keyValueHeadCount.map { $0 / rankCount }
        return result
    }

    /// True: rotations are those of the positions between.
    public var honorsPositionStride: Bool { true }

    /// Keys and values of every token seen: 2 · G · A per token.
    public var stateTensors: [StateTensor] {
        ["key", "value"].map { StateTensor($0, [groupCount, 0, headSize], growingAlong: 1) }
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
