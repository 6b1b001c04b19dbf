import RetNetSettings

/// Experts in the feed-forwards of a T5, in every layer or every few.
public struct T5ExpertsConfiguration: Sendable, Equatable {
    /// The sides that have experts.
    public enum Sides: String, Sendable, CaseIterable {
        /// Encoder and decoder.
        case both
        /// The encoder alone.
        case encoder
        /// The decoder alone.
        case decoder

        /// Whether the encoder has experts.
        var hasEncoder: Bool { self != .decoder }
        /// Whether the decoder has experts.
        var hasDecoder: Bool { self != .encoder }
    }

    /// What a feed-forward has.
    public var experts: ExpertsConfiguration
    /// The sides that have experts.
    public var sides: Sides
    /// One layer in so many has experts, the last of each group: 2 in Switch, 1 for all layers.
    public var period: Int

    /// Experts in every second layer of both sides, as in Switch (arXiv 2101.03961), unless told otherwise.
    public init(_ experts: ExpertsConfiguration, sides: Sides = .both, period: Int = 2) {
        self.experts = experts
        self.sides = sides
        self.period = period
    }

    /// The experts of a layer of one side; nil where it has none.
    func experts(layer: Int, isDecoder: Bool) -> ExpertsConfiguration? {
        let hasSide = isDecoder ? sides.hasDecoder : sides.hasEncoder
        return hasSide && (layer + 1) % max(1, period) == 0 ? experts : nil
    }
}

extension T5ExpertsConfiguration: SettingsRepresentable {
    /// Reads what ``ExpertsConfiguration`` reads, and `sides` and `period`.
    public init(reading reader: SettingsReader) {
        self.init(
            ExpertsConfiguration(reading: reader), sides: reader.enumeration("sides", default: .both),
            period: reader.int("period", in: 1...10_000, default: 2))
        if let reason = experts.causalObstacle, sides.hasDecoder {
            reader.reportContradiction("routing", reason + ", or sides: encoder")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        experts.settings.merging(["sides": .string(sides.rawValue), "period": .int(period)])
    }
}
