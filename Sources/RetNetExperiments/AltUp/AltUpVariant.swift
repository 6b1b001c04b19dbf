import RetNetModels

/// The families of models that AltUp is applied to.
enum AltUpFamily: String, CaseIterable, Sendable {
    /// Multi-scale retention, decoder-only.
    case retnet
    /// Softmax attention with rotary positions, decoder-only.
    case transformer
    /// T5 v1.1, encoder-decoder.
    case t5

    /// The name in tables and plots.
    var title: String {
        switch self {
        case .retnet: "RetNet"
        case .transformer: "Transformer"
        case .t5: "T5"
        }
    }

    /// The name of the accuracy.
    var accuracyTitle: String {
        self == .t5 ? "accuracy of the tokens of masked spans" : "accuracy of the next byte"
    }

    /// The unit of the loss.
    var lossTitle: String { self == .t5 ? "nats/token" : "nats/byte" }
}

/// Changes to a dense model in the comparisons of AltUp.
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

    /// A description for the report.
    var explanation: String {
        switch self {
        case .dense: "the unmodified model"
        case .altUp:
            "2 streams (blocks in the paper), alternating, with an embedding and an output matrix of twice the width"
        case .recycled: "2 streams that start as copies of one embedding and are added at the end"
        case .sum: "an embedding of twice the width whose halves are added, followed by the unmodified model"
        case .dense2x: "the model with a residual stream of twice the width and all inner widths unchanged"
        case .altUpSame: "AltUp with all layers on the first stream"
        case .altUpFour: "AltUp with 4 streams"
        case .altUpFourSame: "AltUp with 4 streams and all layers on the first stream"
        case .sumFour: "an embedding of four times the width whose quarters are added"
        case .sequence:
            "all layers but the first and the last read every 4th token; the others are predicted from it and corrected by its"
                + " update"
        case .skip: "all layers but the first and the last read every 4th token; the others remain unchanged"
        case .pool: "groups of 4 tokens are replaced by their mean before the first layer of the encoder"
        case .experts:
            "every second feed-forward network consists of 4 experts, one of which is chosen for each token (Switch)"
        case .expertsAltUp: "experts with AltUp"
        case .partial:
            "experts of width 16 in addition to every feed-forward network, one of which is chosen for each token"
        case .partialAltUp: "partial experts with AltUp"
        }
    }

    /// The configuration of AltUp; nil for variants without it.
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

    /// Experts in place of feed-forward networks.
    private static let sparse = ExpertsConfiguration(count: 4)

    /// Returns experts in addition to feed-forward networks, for a model of some width.
    private static func partial(width: Int) -> ExpertsConfiguration {
        ExpertsConfiguration(
            routing: .partial, count: width < 512 ? 16 : 128, capacityFactor: nil, innerSize: 16)
    }

    /// Returns the variant of a decoder-only model; nil if it does not exist.
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
        case .partial, .partialAltUp: result.feedForward.experts = Self.partial(width: dense.hiddenSize)
        default: break
        }
        return result
    }

    /// Returns the variant of a T5.
    func applied(to dense: T5Configuration) -> T5Configuration {
        var result = dense
        if self == .dense2x { result.hiddenSize *= 2 }
        result.altUp = altUp
        switch self {
        case .experts, .expertsAltUp: result.experts = T5ExpertsConfiguration(Self.sparse)
        case .partial, .partialAltUp:
            result.experts = T5ExpertsConfiguration(Self.partial(width: dense.hiddenSize), period: 1)
        default: break
        }
        return result
    }
}
