import Foundation
import RetNetTorch

/// A sparse mixture of feed-forwards: a router sends every token to a few of them.
///
///     p = softmax(W_r x)        y = Σ_e g_e E_e(x)        over the experts that take the token
///
/// g is p, or p divided by its sum over the chosen experts. Tokens beyond an expert's capacity are dropped: they
/// get nothing from it. Capacities hold in training only, but for expert choice, which is nothing without one; so a
/// causal model gives the same whether it reads a text whole or token by token. N tokens, E experts.
///
/// Sources: Switch (arXiv 2101.03961), GShard (2006.16668), V-MoE (2106.05974), expert choice (2202.09368).
public struct MixtureOfExperts: FeedForwardLayer {
    /// Sizes and choices.
    public struct Options {
        /// The shape of one expert.
        public var expert: FeedForward.Options
        /// E.
        public var expertCount: Int
        /// How many experts a token chooses.
        public var choices: Int
        /// Who chooses, and in which order.
        public var order: FusedOperators.RoutingOrder
        /// Places of an expert as a multiple of an equal share of all choices; nil for no limit.
        public var capacityFactor: Double?
        /// Whether the gates of a token's chosen experts are made to sum to 1.
        public var normalizesGates: Bool
        /// The coefficient of the balance loss E Σ f_e P_e.
        public var balanceLoss: Double
        /// The coefficient of the mean squared log-sum-exp of the router's logits.
        public var zLoss: Double
        /// Router inputs are multiplied by U(1 - jitter, 1 + jitter) in training.
        public var jitter: Double

        /// All choices.
        public init(
            expert: FeedForward.Options, expertCount: Int, choices: Int, order: FusedOperators.RoutingOrder,
            capacityFactor: Double?, normalizesGates: Bool, balanceLoss: Double, zLoss: Double,
            jitter: Double
        ) {
            self.expert = expert
            self.expertCount = expertCount
            self.choices = choices
            self.order = order
            self.capacityFactor = capacityFactor
            self.normalizesGates = normalizesGates
            self.balanceLoss = balanceLoss
            self.zLoss = zLoss
            self.jitter = jitter
        }
    }

    /// The name of the balance loss in records.
    public static let balanceLossName = "balance_loss"
    /// The name of the router's z-loss in records.
    public static let zLossName = "router_z_loss"
    /// The name of the share of dropped choices in records.
    public static let droppedName = "dropped_share"

    private let options: Options
    private let router: Tensor
    private let experts: ExpertBank

    /// Declares `router` and `experts`.
    public init(_ scope: ParameterScope, _ options: Options) throws {
        self.options = options
        router = try scope.scope("router").parameter(
            "weight", [options.expertCount, options.expert.hiddenSize], .normal(standardDeviation: 0.02),
            decays: false)
        experts = try ExpertBank(scope.scope("experts"), count: options.expertCount, options.expert)
    }

    private init(options: Options, router: Tensor, experts: ExpertBank) {
        self.options = options
        self.router = router
        self.experts = experts
    }

    /// The same experts with matrices in an element type, for many calls in that type.
    public func converted(to type: ElementType) throws -> MixtureOfExperts {
        MixtureOfExperts(options: options, router: router, experts: try experts.converted(to: type))
    }

    /// The losses whose coefficients are not zero.
    public var auxiliaryLossNames: [String] {
        (balances ? [Self.balanceLossName] : []) + (options.zLoss > 0 ? [Self.zLossName] : [])
    }

    private var balances: Bool { options.balanceLoss > 0 && options.order != .byExpert }

    /// x [B, T, D] → [B, T, D].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try self(x, at: nil, context)
    }

    /// The same for the given places of all B · T, int64 [M]: the others reach no expert and get zeros.
    ///
    /// Padding that is left out takes no place from a token and weighs in no loss.
    public func callAsFunction(_ x: Tensor, at places: Tensor?, _ context: ForwardContext) throws -> Tensor {
        let all = try x.reshaped([-1, x.size(-1)])
        let mixed = try mix(try places.map { try all.indexSelected(0, $0) } ?? all, context)
        let spread = try places.map { try FusedOperators.spread(mixed, to: $0, count: all.size(0)) } ?? mixed
        return try spread.reshaped(x.shape)
    }

    /// Rows [N, D] → [N, D].
    private func mix(_ rows: Tensor, _ context: ForwardContext) throws -> Tensor {
        let count = rows.size(0)
        let logits = try route(rows, context)
        let probabilities = try logits.softmax(axis: -1)
        let routes = try FusedOperators.route(
            probabilities, order: options.order, choices: options.choices,
            capacity: capacity(tokenCount: count, context), granule: granule(tokenCount: count, rows.device))
        let sent = try FusedOperators.dispatch(rows, routes)
        let answers = try experts(sent, counts: routes.counts, context)
        let mixed = try FusedOperators.collect(
            answers, gates: gates(probabilities, routes), routes, tokenCount: count)
        if context.isTraining, let losses = context.auxiliaryLosses {
            try addLosses(to: losses, logits, probabilities, routes)
        }
        return mixed
    }

    /// The router's logits [N, E] in float32 or wider.
    private func route(_ rows: Tensor, _ context: ForwardContext) throws -> Tensor {
        let type = rows.elementType.accumulator
        var input = try rows.to(type)
        if context.isTraining, options.jitter > 0, let generator = context.generator {
            input =
                try input
                * generator.uniform(input.shape, from: 1 - options.jitter, to: 1 + options.jitter, type)
        }
        return try input.linear(try router.to(type))
    }

    /// Places of each expert for so many tokens, or nil for no limit.
    func capacity(tokenCount: Int, _ context: ForwardContext) -> Int? {
        guard let factor = options.capacityFactor, context.isTraining || options.order == .byExpert else {
            return options.order == .byExpert
                ? max(1, (tokenCount + options.expertCount - 1) / options.expertCount) : nil
        }
        let share = factor * Double(tokenCount * options.choices) / Double(options.expertCount)
        return max(1, min(tokenCount, Int(min(share.rounded(.up), 1e15))))
    }

    /// What counts of rows are made a multiple of, at most an eighth more of them: few sizes of matrix products.
    private func granule(tokenCount: Int, _ device: Device) -> Int {
        guard device == .cpu else { return 1 }
        let share = tokenCount * options.choices / options.expertCount
        var granule = 1
        while granule < 128, granule * 8 <= share { granule *= 2 }
        return granule
    }

    /// The weight of every slot's answer.
    private func gates(_ probabilities: Tensor, _ routes: FusedOperators.Routes) throws -> Tensor {
        var gates = probabilities
        if options.normalizesGates {
            gates = try gates / gates.gathered(1, routes.choices).sum([1], keepingAxes: true)
        }
        return try gates.reshaped([-1]).indexSelected(0, routes.slotEntries)
    }

    private func addLosses(
        to losses: AuxiliaryLosses, _ logits: Tensor, _ probabilities: Tensor,
        _ routes: FusedOperators.Routes
    ) throws {
        let tokenCount = probabilities.size(0)
        if balances {
            // What tokens wanted, before capacities: with drops the loss would not push back.
            var wanted = [Double](repeating: 0, count: options.expertCount)
            for expert in try routes.choices.selected(1, 0).values(as: Int64.self) {
                wanted[Int(expert)] += 1 / Double(tokenCount)
            }
            let shares = try Tensor.from(wanted).to(probabilities.elementType, on: probabilities.device)
            let factor = options.balanceLoss * Double(options.expertCount)
            losses.add(Self.balanceLossName, try (shares * probabilities.mean([0])).sum() * factor)
        }
        if options.zLoss > 0 {
            let total = try logits.sliced(1, 0..<1) - logits.logSoftmax(axis: -1).sliced(1, 0..<1)
            losses.add(Self.zLossName, try (total * total).mean() * options.zLoss)
        }
        if options.order != .byExpert {
            let all = tokenCount * options.choices
            losses.observe(Self.droppedName, Double(all - routes.takenCount) / Double(max(1, all)))
        }
    }
}
