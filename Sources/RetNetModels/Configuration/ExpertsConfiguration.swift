import RetNetLayers
import RetNetSettings
import RetNetTorch

/// A sparse mixture of experts in place of a feed-forward.
public struct ExpertsConfiguration: Sendable, Equatable {
    /// Which experts a token reaches.
    public enum Routing: String, Sendable, CaseIterable {
        /// The most probable expert, places in order of positions (Switch, arXiv 2101.03961).
        case `switch`
        /// The two most probable, gates made to sum to 1, places in order of positions (GShard, arXiv 2006.16668).
        case top2 = "top_2"
        /// The most probable few, places to the most certain tokens first (V-MoE, arXiv 2106.05974).
        case prioritized
        /// Experts choose tokens, which needs all tokens at once (arXiv 2202.09368).
        case expertChoice = "expert_choice"
        /// The whole feed-forward for all, and one tiny expert beside it (AltUp, arXiv 2301.13310).
        case partial
    }

    /// Which experts a token reaches.
    public var routing: Routing
    /// The number of experts.
    public var count: Int
    /// How many experts a token chooses: 1 with `switch` and `partial`, 2 with `top_2`.
    public var choices: Int
    /// Places of an expert in training as a multiple of an equal share; nil for no limit.
    public var capacityFactor: Double?
    /// The coefficient of the balance loss.
    public var balanceLoss: Double
    /// The coefficient of the loss that keeps the router's logits small.
    public var zLoss: Double
    /// By how much router inputs are changed at random in training, as a fraction.
    public var jitter: Double
    /// The inner width of an expert beside a whole feed-forward; otherwise experts have the feed-forward's.
    public var innerSize: Int?

    /// Experts with the usual coefficients, unless told otherwise.
    public init(
        routing: Routing = .switch, count: Int, choices: Int? = nil, capacityFactor: Double? = 1.25,
        balanceLoss: Double = 0.01, zLoss: Double = 1e-3, jitter: Double = 0.01, innerSize: Int? = nil
    ) {
        self.routing = routing
        self.count = count
        self.choices = choices ?? routing.choices ?? 2
        self.capacityFactor = capacityFactor
        self.balanceLoss = balanceLoss
        self.zLoss = zLoss
        self.jitter = jitter
        self.innerSize = innerSize
    }

    /// Why a causal model cannot have the routing, or nil when it can.
    public var causalObstacle: String? {
        guard routing == .expertChoice else { return nil }
        return "with expert choice the tokens that come later decide whether an expert takes a token, which a"
            + " causal model must not see: take switch, top_2, prioritized or partial"
    }

    /// Experts that one token passes on average, as a fraction of all; what FLOPs depend on.
    var activeShare: Double {
        let perToken = routing == .expertChoice ? min(capacityFactor ?? 1, Double(count)) : Double(choices)
        return perToken / Double(count)
    }

    /// Whether a whole feed-forward stays beside the experts.
    var keepsFeedForward: Bool { routing == .partial }

    /// The inner width of one expert.
    func expertInnerSize(_ feedForward: Int) -> Int { routing == .partial ? innerSize ?? 16 : feedForward }
}

extension ExpertsConfiguration {
    /// The layer's options, given those of the feed-forward that it stands for.
    func options(beside feedForward: FeedForward.Options) -> MixtureOfExperts.Options {
        var expert = feedForward
        expert.innerSize = expertInnerSize(feedForward.innerSize)
        expert.subNorm = nil
        if routing == .partial { expert.isGated = false }
        return MixtureOfExperts.Options(
            expert: expert, expertCount: count, choices: choices, order: routing.order,
            capacityFactor: capacityFactor, normalizesGates: routing == .top2, balanceLoss: balanceLoss,
            zLoss: zLoss, jitter: jitter)
    }
}

extension ExpertsConfiguration.Routing {
    /// The number of choices that the routing fixes.
    var choices: Int? {
        switch self {
        case .switch, .partial, .expertChoice: 1
        case .top2: 2
        case .prioritized: nil
        }
    }

    var order: FusedOperators.RoutingOrder {
        switch self {
        case .switch, .top2, .partial: .byPosition
        case .prioritized: .byPriority
        case .expertChoice: .byExpert
        }
    }
}

extension ExpertsConfiguration: SettingsRepresentable {
    /// Reads `count`, and everything else with the defaults of the initialiser; `capacity_factor` 0 is no limit.
    ///
    /// Without it, partial experts take every token, and experts that choose take two a token on average.
    public init(reading reader: SettingsReader) {
        let standard = ExpertsConfiguration(count: 2)
        let routing = reader.enumeration("routing", default: standard.routing)
        let usual: Double =
            switch routing {
            case .partial: 0
            case .expertChoice: 2
            case .switch, .top2, .prioritized: 1.25
            }
        let capacity = reader.double("capacity_factor", in: 0...1e6, default: usual)
        let choices = reader.optionalInt("choices", in: 1...4096)
        self.init(
            routing: routing, count: reader.int("count", in: 2...65_536), choices: choices,
            capacityFactor: capacity > 0 ? capacity : nil,
            balanceLoss: reader.double("balance_loss", in: 0...1e3, default: standard.balanceLoss),
            zLoss: reader.double("z_loss", in: 0...1e3, default: standard.zLoss),
            jitter: reader.double("jitter", in: SettingsRange.belowOne, default: standard.jitter),
            innerSize: reader.optionalInt("inner_size", in: 1...1 << 22))
        guard !reader.hasProblems else { return }
        if let fixed = routing.choices, let choices, choices != fixed {
            reader.reportContradiction("choices", "'\(routing.rawValue)' is \(fixed) a token")
        }
        if self.choices > count {
            reader.reportContradiction("choices", "there are only \(count) experts")
        }
        if innerSize != nil, routing != .partial {
            reader.reportContradiction(
                "inner_size", "experts of '\(routing.rawValue)' have the feed-forward's own")
        }
        if routing == .expertChoice, capacity == 0 {
            reader.reportContradiction("capacity_factor", "experts that choose need a number of places")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = [
            "routing": .string(routing.rawValue), "count": .int(count), "choices": .int(choices),
            "capacity_factor": .double(capacityFactor ?? 0), "balance_loss": .double(balanceLoss),
            "z_loss": .double(zLoss), "jitter": .double(jitter),
        ]
        if let innerSize { object["inner_size"] = .int(innerSize) }
        return .object(object)
    }
}
