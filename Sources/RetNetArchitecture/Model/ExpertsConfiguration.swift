import RetNetSettings

/// A sparse mixture of experts in place of a feed-forward.
public struct ExpertsConfiguration: Sendable, Equatable {
    /// The assignment of tokens to experts.
    public enum Routing: String, Sendable, CaseIterable {
        /// The most probable expert, places in order of position (Switch, arXiv 2101.03961).
        case `switch`
        /// The two most probable, gates normalized to sum to 1, places in order of position (GShard, arXiv 2006.16668).
        case top2 = "top_2"
        /// The most probable ones, places to tokens of highest probability first (V-MoE, arXiv 2106.05974).
        case prioritized
        /// Experts choose tokens among all tokens of a batch (arXiv 2202.09368).
        case expertChoice = "expert_choice"
        /// The whole feed-forward for all tokens, plus one tiny expert per token (AltUp, arXiv 2301.13310).
        case partial
    }

    /// Assignment of tokens to experts.
    public var routing: Routing
    /// Number of experts.
    public var count: Int
    /// Experts per token: 1 with `switch` and `partial`, 2 with `top_2`.
    public var choices: Int
    /// Capacity of an expert in training as a multiple of an equal share; nil for no limit.
    public var capacityFactor: Double?
    /// Places of an expert for the tokens of one sequence, in training and at inference, as `expert_capacity` of
    /// Transformers' Switch; nil for the capacity factor, and no dropped tokens at inference.
    public var sequenceCapacity: Int?
    /// Coefficient of the balance loss.
    public var balanceLoss: Double
    /// Coefficient of the z-loss, which keeps the router's logits small.
    public var zLoss: Double
    /// Random change of router inputs in training, as a fraction.
    public var jitter: Double
    /// Inner width of the experts with `partial`; otherwise experts have that of the feed-forward.
    public var innerSize: Int?

    /// Experts, by default with the usual coefficients.
    public init(
        routing: Routing = .switch, count: Int, choices: Int? = nil, capacityFactor: Double? = 1.25,
        sequenceCapacity: Int? = nil, balanceLoss: Double = 0.01, zLoss: Double = 1e-3, jitter: Double = 0.01,
        innerSize: Int? = nil
    ) {
        self.routing = routing
        self.count = count
        self.choices = choices ?? routing.choices ?? 2
        self.capacityFactor = capacityFactor
        self.sequenceCapacity = sequenceCapacity
        self.balanceLoss = balanceLoss
        self.zLoss = zLoss
        self.jitter = jitter
        self.innerSize = innerSize
    }

    /// The reason why a causal model cannot have the routing; nil if it can.
    public var unsupportedReasonInCausalModels: String? {
        guard routing == .expertChoice else { return nil }
        return
            "with expert choice the experts of a token depend on later tokens, which a causal model excludes:"
            + " use switch, top_2, prioritized or partial"
    }

    /// Fraction of all experts that one token passes on average.
    package var activeShare: Double {
        let perToken = routing == .expertChoice ? min(capacityFactor ?? 1, Double(count)) : Double(choices)
        return perToken / Double(count)
    }

    /// True if the whole feed-forward is kept in addition to the experts.
    package var keepsFeedForward: Bool { routing == .partial }

    /// Returns the inner width of one expert.
    package func expertInnerSize(_ feedForward: Int) -> Int {
        routing == .partial ? innerSize ?? 16 : feedForward
    }
}

extension ExpertsConfiguration.Routing {
    /// Experts per token where the routing determines them.
    package var choices: Int? {
        switch self {
        case .switch, .partial, .expertChoice: 1
        case .top2: 2
        case .prioritized: nil
        }
    }
}

extension ExpertsConfiguration: DeclaredSettings {
    /// Experts as in Switch, without a number, which must be given.
    public static let standard = ExpertsConfiguration(count: 2)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .choice("routing", \.routingWithDefaults, "Assignment of tokens to experts."),
            .int("count", \.count, in: 2...65_536, isRequired: true, "Number of experts."),
            .int(
                "choices", \.choices, in: 1...4096,
                "Experts per token: 1 with switch and partial, 2 with top_2, 2 by default with prioritized."),
            .double(
                "capacity_factor", \.capacityOrZero, in: 0...1e6,
                "Capacity of an expert in training as a multiple of an equal share; 0 for no limit."
                    + " By default 0 with partial and 2 with expert_choice."),
            .int(
                "expert_capacity", \.sequenceCapacity, in: 1...1 << 24,
                "Places of an expert for one sequence, at inference too, instead of capacity_factor, as in published"
                    + " Switch models; none by default."),
            .double("balance_loss", \.balanceLoss, in: 0...1e3, "Coefficient of the balance loss."),
            .double("z_loss", \.zLoss, in: 0...1e3, "Coefficient of the router's z-loss."),
            .double(
                "jitter", \.jitter, in: SettingsRange.belowOne,
                "Random change of router inputs in training, as a fraction."),
            .int(
                "inner_size", \.innerSize, in: 1...1 << 22,
                "Inner width of the experts with partial, 16 by default."),
        ]
    }

    /// Reports numbers that do not fit the routing.
    public func reportContradictions(to reader: SettingsReader) {
        if let fixed = routing.choices, choices != fixed {
            reader.reportContradiction("choices", "'\(routing.rawValue)' has \(fixed) per token")
        }
        if choices > count {
            reader.reportContradiction("choices", "there are only \(count) experts")
        }
        if innerSize != nil, routing != .partial {
            reader.reportContradiction(
                "inner_size", "experts of '\(routing.rawValue)' have that of the feed-forward")
        }
        if routing == .expertChoice, sequenceCapacity != nil {
            reader.reportContradiction(
                "expert_capacity", "experts that choose tokens have a capacity_factor")
        }
        if routing == .expertChoice, capacityFactor == nil {
            reader.reportContradiction(
                "capacity_factor", "experts that choose tokens have a limited capacity: give a number above 0"
            )
        }
    }

    /// The routing, whose change sets its defaults of choices and capacity.
    private var routingWithDefaults: Routing {
        get { routing }
        set {
            routing = newValue
            choices = newValue.choices ?? 2
            switch newValue {
            case .partial: capacityFactor = nil
            case .expertChoice: capacityFactor = 2
            case .switch, .top2, .prioritized: capacityFactor = 1.25
            }
        }
    }

    /// The capacity factor, with 0 for no limit as in configuration files.
    private var capacityOrZero: Double {
        get { capacityFactor ?? 0 }
        set { capacityFactor = newValue > 0 ? newValue : nil }
    }
}
