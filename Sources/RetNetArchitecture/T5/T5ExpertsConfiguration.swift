import RetNetSettings

extension T5Configuration {
    /// The feed-forward of the layers, under the names of `feed_forward_proj` in Hugging Face's configurations.
    public enum FeedForwardKind: String, Sendable, CaseIterable {
        /// wo · relu(wi x): T5 v1.0.
        case relu
        /// wo · gelu(wi x), with the exact GELU.
        case gelu
        /// wo · silu(wi x).
        case silu
        /// wo · (relu(wi_0 x) ⊙ wi_1 x).
        case gatedRelu = "gated-relu"
        /// wo · (gelu(wi_0 x) ⊙ wi_1 x), with GELU by its tanh approximation: T5 v1.1.
        case gatedGelu = "gated-gelu"
        /// wo · (silu(wi_0 x) ⊙ wi_1 x).
        case gatedSilu = "gated-silu"

        /// True if a linear branch multiplies the activated one.
        public var isGated: Bool { rawValue.hasPrefix("gated") }
    }
}

/// Experts in the feed-forwards of a T5, in every layer or every few layers.
public struct T5ExpertsConfiguration: Sendable, Equatable {
    /// The sides that have experts.
    public enum Sides: String, Sendable, CaseIterable {
        /// Encoder and decoder.
        case both
        /// The encoder alone.
        case encoder
        /// The decoder alone.
        case decoder

        /// True if the encoder has experts.
        package var hasEncoder: Bool { self != .decoder }
        /// True if the decoder has experts.
        package var hasDecoder: Bool { self != .encoder }
    }

    /// The layer of each group that has experts.
    public enum Place: String, Sendable, CaseIterable {
        /// The last one.
        case last
        /// The second one, of index i with i % period = 1: the published Switch models, with their `sparse_step`.
        case second
    }

    /// The experts of a feed-forward.
    public var experts: ExpertsConfiguration
    /// The sides that have experts.
    public var sides: Sides
    /// Size of the groups of layers of which one has experts: 2 in Switch, 1 for all layers.
    public var period: Int
    /// The layer of each group that has experts; the same one in groups of 1 or 2.
    public var place: Place

    /// By default experts are in every second layer of both sides, as in Switch (arXiv 2101.03961).
    public init(
        _ experts: ExpertsConfiguration, sides: Sides = .both, period: Int = 2, place: Place = .last
    ) {
        self.experts = experts
        self.sides = sides
        self.period = period
        self.place = place
    }

    /// Returns the experts of a layer of one side; nil if it has none.
    package func experts(layer: Int, isDecoder: Bool) -> ExpertsConfiguration? {
        let hasSide = isDecoder ? sides.hasDecoder : sides.hasEncoder
        return hasSide && layer % max(1, period) == firstLayer ? experts : nil
    }

    /// The index of the first layer with experts.
    package var firstLayer: Int { place == .last ? max(1, period) - 1 : min(1, max(1, period) - 1) }
}

extension T5ExpertsConfiguration: DeclaredSettings {
    /// Experts in every second layer of both sides.
    public static let standard = T5ExpertsConfiguration(.standard)

    /// The settings of ``ExpertsConfiguration``, and the layers with experts.
    public static var declarations: [Setting<Self>] {
        Setting.inline(\.experts) + [
            .choice("sides", \.sides, "Sides of the model with experts."),
            .int(
                "period", \.period, in: 1...10_000,
                "Size of the groups of layers of which one has experts: 1 for all layers."),
            .choice(
                "place", \.place,
                "Layer of each group that has experts; second is that of the published Switch models."),
        ]
    }

    /// Reports experts that do not fit their routing, and experts that choose tokens in the decoder.
    public func reportContradictions(to reader: SettingsReader) {
        experts.reportContradictions(to: reader)
        if let reason = experts.unsupportedReasonInCausalModels, sides.hasDecoder {
            reader.reportContradiction("routing", reason + ", or sides: encoder")
        }
    }
}
