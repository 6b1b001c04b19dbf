import Foundation
import RetNetSettings

/// Sizes and choices of one gated multi-scale retention layer.
public struct RetentionConfiguration: Sendable, Equatable {
    /// h, the number of heads.
    public var headCount: Int
    /// The number of key and value heads, which divides ``headCount``; nil means as many.
    public var keyValueHeadCount: Int?
    /// a, the width of one head's queries and keys.
    public var keySize: Int
    /// b, the width of one head's values.
    public var valueSize: Int
    /// The decay of each head per position.
    public var decay: DecaySchedule
    /// The rotation of queries and keys by position.
    public var rotation: RotationKind
    /// The number of positions over which xPos damps pair j of queries and keys by ζⱼ = (2j/A + 0.4)/1.4; nil for no damping.
    ///
    /// In addition to ``decay``. Only Jamie-Stirling/RetNet has it, with 512.
    public var xPosScaleBase: Double?
    /// The positive numbers by which scores are divided before the head norm.
    public var normalization: ScoreNormalization
    /// The norm over the values of one head at one position.
    public var headNorm: HeadNormConfiguration
    /// The activation of the gate, or none for a layer without a gate.
    public var gate: GateActivation
    /// True if the five projections have biases.
    public var biases: Bool

    /// A layer of RetNet as torchscale builds it by default.
    public init(
        headCount: Int, keyValueHeadCount: Int? = nil, keySize: Int, valueSize: Int,
        decay: DecaySchedule = .standard, rotation: RotationKind = .interleaved, xPosScaleBase: Double? = nil,
        normalization: ScoreNormalization = .decay, headNorm: HeadNormConfiguration = .init(),
        gate: GateActivation = .swish, biases: Bool = false
    ) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.keySize = keySize
        self.valueSize = valueSize
        self.decay = decay
        self.rotation = rotation
        self.xPosScaleBase = xPosScaleBase
        self.normalization = normalization
        self.headNorm = headNorm
        self.gate = gate
        self.biases = biases
    }
}

extension RetentionConfiguration: DeclaredSettings {
    /// One head without particular sizes: head count and sizes must be given.
    public static let standard = RetentionConfiguration(headCount: 1, keySize: 2, valueSize: 2)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of heads."),
            .int(
                "key_value_head_count", \.keyValueHeadCount, in: MixerSizes.heads,
                "Number of key and value heads, which divides the number of heads; as many by default."),
            .int(
                "key_size", \.keySize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's queries and keys."),
            .int(
                "value_size", \.valueSize, in: MixerSizes.heads, isRequired: true,
                "Width of one head's values."),
            DecaySchedule.setting("decay", \.decay),
            .choice("rotation", \.rotation, "Rotation of queries and keys by position."),
            .double(
                "xpos_scale_base", \.xPosScaleBase, in: 0.125...1e6,
                "Number of positions of xPos's damping; no damping by default."),
            .choice(
                "normalization", \.normalization, "Normalization of the scores before the head norm."),
            .headNorm(\.headNorm),
            .choice("gate", \.gate, "Activation of the gate on the output; none for a layer without one."),
            .bool("biases", \.biases, "Biases in the five projections."),
        ]
    }

    /// Reports heads that do not fit each other, the rotation or the list of decays.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportGroups("key_value_head_count", headCount: headCount, groupCount: keyValueHeadCount)
        reader.reportOddSize("key_size", keySize, rotation: rotation.rawValue)
        if xPosScaleBase != nil, rotation == .none {
            reader.reportContradiction(
                "xpos_scale_base", "xPos damps rotated pairs; use the rotation 'interleaved' or 'halves'")
        }
        if xPosScaleBase != nil, normalization == .decaySumAbs {
            reader.reportContradiction(
                "xpos_scale_base", "damped scores are computed in pieces, which 'decay_sum_abs' cannot be")
        }
        if case .list(let gammas) = decay, gammas.count != headCount {
            reader.reportContradiction("decay", "one decay is needed for each of the \(headCount) heads")
        }
        reader.reportWidth("key_size", headCount: headCount, size: keySize, of: "key channels")
        reader.reportWidth("value_size", headCount: headCount, size: valueSize, of: "values")
    }
}

extension RetentionConfiguration: MixerSpecification {
    /// ``MixerConfiguration/retention(_:)``.
    public var configuration: MixerConfiguration { .retention(self) }

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

    /// True: decays and rotations are those of the positions between.
    public var honorsPositionStride: Bool { true }

    /// Returns a reason for forms with a state if scores are normalized by the sum of their absolute values.
    public func unsupportedReason(for form: MixerForm) -> String? {
        guard normalization == .decaySumAbs, form != .parallel else { return nil }
        return "normalization 'decay_sum_abs' needs every past key, which only the parallel form has;"
            + " use the normalization 'decay' or 'decay_abs_sum', or the form 'parallel'"
    }

    /// Numbers in the state's matrices S of one sequence: h · a · b.
    public var matrixElementCount: Int { headCount * keySize * valueSize }

    /// Numbers in the state in addition to S, for score normalization: h · a with `decay_abs_sum`.
    public var normalizerElementCount: Int { normalization == .decayAbsSum ? headCount * keySize : 0 }

    /// S and the normalizer, for any number of tokens.
    public var stateTensors: [StateTensor] {
        [StateTensor("memory", [headCount, keySize, valueSize])]
            + (normalization == .decayAbsSum ? [StateTensor("key_sum", [headCount, keySize])] : [])
    }

    /// 4abh for reading and updating S at any position.
    public func recurrentFLOPs(position: Int) -> Int { 4 * matrixElementCount }

    /// 2C(a+b)h + 4abh, full squares.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        MixerCosts.chunkwise(chunkLength, headCount: headCount, keySize: keySize, valueSize: valueSize)
    }

    /// 2C(3a+2b)h + 8abh, and 2abh more if states are computed again instead of kept.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        MixerCosts.backward(
            chunkLength, headCount: headCount, keySize: keySize, valueSize: valueSize,
            recomputesStates: recomputesStates)
    }
}

// MARK: Decays

/// The decay of every head: the factor by which a head's state shrinks from one position to the next.
///
/// A head of decay g sees a window of about 1 / (1 - g) positions. The values are the same in every layer and
/// never trained.
public enum DecaySchedule: Sendable, Equatable {
    /// 1 - 2^(-5-i): the paper's Eq. 8, torchscale and fla. Windows 32, 64, 128, and so on.
    case standard
    /// 1 - exp(linspace(ln 1/32, ln 1/512, h)): the paper's experiments. Windows from 32 to 512.
    case experiment
    /// 1 - 2^(-5-i/4): the small-head ablation of the NeurIPS paper.
    case quarterSteps
    /// The same decay for every head; 1 never forgets.
    case uniform(Double)
    /// One decay per head, in head order.
    case list([Double])

    /// Returns the decay of every head; a list is returned as it is, whatever its length.
    public func gammas(headCount: Int) -> [Double] {
        switch self {
        case .uniform(let gamma): Array(repeating: gamma, count: max(0, headCount))
        case .list(let gammas): gammas
        case .standard, .experiment, .quarterSteps: forgetting(headCount: headCount).map { 1 - $0 }
        }
    }

    /// Returns the natural logarithm of every head's decay, exact to rounding however close to 1 the decay is.
    public func logGammas(headCount: Int) -> [Double] {
        switch self {
        case .uniform, .list: gammas(headCount: headCount).map { log($0) }
        case .standard, .experiment, .quarterSteps: forgetting(headCount: headCount).map { log1p(-$0) }
        }
    }

    /// 1 - g of every head, which keeps its digits where g itself has rounded to 1.
    private func forgetting(headCount: Int) -> [Double] {
        let heads = 0..<max(0, headCount)
        switch self {
        case .uniform(let gamma): return heads.map { _ in 1 - gamma }
        case .list(let gammas): return gammas.map { 1 - $0 }
        case .standard: return heads.map { exp2(-5 - Double($0)) }
        case .quarterSteps: return heads.map { exp2(-5 - Double($0) / 4) }
        case .experiment:
            // Powers of two: ln 1/32 … ln 1/512 is -5 ln 2 … -9 ln 2, so both ends come out exact.
            let steps = Double(max(1, headCount - 1))
            return heads.map { exp2(-5 - 4 * Double($0) / steps) }
        }
    }
}

extension DecaySchedule {
    /// The named schedules with their names in configuration files.
    private static let named: [(name: String, schedule: DecaySchedule)] = [
        ("standard", .standard), ("experiment", .experiment), ("quarter_steps", .quarterSteps),
    ]

    private static var allowed: String {
        "one of " + named.map { "'\($0.name)'" }.joined(separator: ", ")
            + ", a number greater than 0 and at most 1, or a list of such numbers, one for each head"
    }

    /// A setting with a name, one number for all heads, or a list with a number for every head.
    static func setting<Root>(_ key: String, _ path: WritableKeyPath<Root, DecaySchedule>) -> Setting<Root> {
        Setting(
            key, values: allowed, "Decay of each head per position.",
            read: { reader, root in
                if let schedule = DecaySchedule(reading: reader, key) { root[keyPath: path] = schedule }
            }, write: { $0[keyPath: path].settings })
    }

    private init?(reading reader: SettingsReader, _ key: String) {
        switch reader.tree(key) {
        case nil: return nil
        case .string(let name)?:
            guard let schedule = Self.named.first(where: { $0.name == name })?.schedule else {
                let nearest = NameMatcher.nearest(to: name, in: Self.named.map(\.name))
                reader.report(key, allowed: Self.allowed, suggestion: nearest)
                return nil
            }
            self = schedule
        case .array?: self = .list(reader.doubles(key, in: SettingsRange.positiveFraction))
        case .int?, .double?: self = .uniform(reader.double(key, in: SettingsRange.positiveFraction))
        case .bool?, .object?, .null?:
            reader.report(key, allowed: Self.allowed)
            return nil
        }
    }

    /// A name, a number or a list, as the setting is read.
    public var settings: SettingsTree {
        switch self {
        case .uniform(let gamma): .double(gamma)
        case .list(let gammas): .array(gammas.map { .double($0) })
        case .standard, .experiment, .quarterSteps:
            .string(Self.named.first { $0.schedule == self }?.name ?? "standard")
        }
    }
}
