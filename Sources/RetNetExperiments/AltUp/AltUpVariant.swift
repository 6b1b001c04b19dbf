import RetNetModels

/// What is done to a dense model in the comparisons around AltUp.
enum AltUpVariant: String, CaseIterable, Sendable {
    case dense
    case altUp = "altup"
    case recycled
    case sum
    case dense2x
    case altUpSame = "altup-same"
    case altUpFour = "altup4"
    case altUpFourSame = "altup4-same"
    case sumFour = "sum4"
    case sequence
    case skip
    case pool
    case experts
    case expertsAltUp = "experts-altup"
    case partial
    case partialAltUp = "partial-altup"

    /// The name in tables and plots.
    var title: String {
        switch self {
        case .dense: "dense"
        case .altUp: "AltUp"
        case .recycled: "Recycled"
        case .sum: "Sum"
        case .dense2x: "Dense2X"
        case .altUpSame: "AltUp, same block"
        case .altUpFour: "AltUp K=4"
        case .altUpFourSame: "AltUp K=4, same block"
        case .sumFour: "Sum K=4"
        case .sequence: "Sequence-AltUp"
        case .skip: "stride-and-skip"
        case .pool: "average pooling"
        case .experts: "experts"
        case .expertsAltUp: "experts + AltUp"
        case .partial: "partial experts"
        case .partialAltUp: "partial + AltUp"
        }
    }

    /// What it is, for the foot of a report.
    var explanation: String {
        switch self {
        case .dense: "the plain model"
        case .altUp: "2 blocks, alternating, with an embedding and an output matrix of twice the width"
        case .recycled: "2 blocks that start as copies of one embedding and are summed at the end"
        case .sum: "an embedding of twice the width whose halves are summed, and the plain model after it"
        case .dense2x: "the plain model with a residual stream of twice the width, all inner widths unchanged"
        case .altUpSame: "AltUp whose layers all compute on the first block"
        case .altUpFour: "AltUp with 4 blocks"
        case .altUpFourSame: "AltUp with 4 blocks whose layers all compute on the first"
        case .sumFour: "an embedding of four times the width whose quarters are summed"
        case .sequence:
            "all layers but the first and the last see every 4th token, and the others take over what it learnt"
        case .skip: "the same layers see every 4th token, and the others pass unchanged"
        case .pool: "groups of 4 tokens are averaged before the first layer of the encoder, for good"
        case .experts: "every second feed-forward is 4 experts, of which a token passes one (Switch)"
        case .expertsAltUp: "the same with AltUp"
        case .partial: "tiny experts of width 16 beside every feed-forward, of which a token passes one"
        case .partialAltUp: "the same with AltUp"
        }
    }

    /// The blocks and the tokens that layers see; nil for none of AltUp.
    private var altUp: AltUpConfiguration? {
        switch self {
        case .dense, .dense2x, .experts, .partial: nil
        case .altUp, .expertsAltUp, .partialAltUp: AltUpConfiguration()
        case .recycled: AltUpConfiguration(kind: .recycled)
        case .sum: AltUpConfiguration(kind: .sum)
        case .altUpSame: AltUpConfiguration(selection: .same)
        case .altUpFour: AltUpConfiguration(streamCount: 4)
        case .altUpFourSame: AltUpConfiguration(streamCount: 4, selection: .same)
        case .sumFour: AltUpConfiguration(kind: .sum, streamCount: 4)
        case .sequence: .sequence(SequenceReductionConfiguration())
        case .skip: .sequence(SequenceReductionConfiguration(mode: .skip))
        case .pool: .sequence(SequenceReductionConfiguration(mode: .pool))
        }
    }

    /// Experts in place of feed-forwards.
    private static let sparse = ExpertsConfiguration(count: 4)

    /// Experts beside feed-forwards of a model of some width.
    private static func tiny(beside width: Int) -> ExpertsConfiguration {
        ExpertsConfiguration(
            routing: .partial, count: width < 512 ? 16 : 128, capacityFactor: nil, innerSize: 16)
    }

    /// The variant of a decoder-only model; nil where there is none.
    func applied(to dense: LanguageModelConfiguration) -> LanguageModelConfiguration? {
        guard self != .pool else { return nil }
        var result = self == .dense2x ? dense.widened(by: 2) : dense
        result.altUp = altUp
        switch self {
        case .experts, .expertsAltUp:
            guard let layer = result.pattern.first else { return nil }
            var sparse = layer
            sparse.feedForward.experts = Self.sparse
            result.pattern = [layer, sparse]
        case .partial, .partialAltUp:
            result.feedForward.experts = Self.tiny(beside: dense.hiddenSize)
        default: break
        }
        return result
    }

    /// The variant of a T5.
    func applied(to dense: T5Configuration) -> T5Configuration {
        var result = dense
        if self == .dense2x { result.hiddenSize *= 2 }
        result.altUp = altUp
        switch self {
        case .experts, .expertsAltUp: result.experts = T5ExpertsConfiguration(Self.sparse)
        case .partial, .partialAltUp:
            result.experts = T5ExpertsConfiguration(Self.tiny(beside: dense.hiddenSize), period: 1)
        default: break
        }
        return result
    }
}
