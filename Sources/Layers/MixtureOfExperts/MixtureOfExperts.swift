import Foundation
import Torch

/// A sparse mixture of feed-forwards: a router sends every token to a few of them.
///
///     p = softmax(W_r x)        y = [FFN(x)] + Σ_e g_e E_e(x)        over the experts that take the token
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
        /// A feed-forward that every token passes, beside the experts; nil for none.
        public var shared: FeedForward.Options?
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
            expert: FeedForward.Options, shared: FeedForward.Options? = nil, expertCount: Int, choices: Int,
            order: FusedOperators.RoutingOrder, capacityFactor: Double?, normalizesGates: Bool,
            balanceLoss: Double, zLoss: Double, jitter: Double
        ) {
            self.expert = expert
            self.shared = shared
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
    private let shared: FeedForward?

    /// Declares `router`, `experts` and, where there is a shared one, the feed-forward's own parameters.
    public init(_ scope: ParameterScope, _ options: Options) throws {
        self.options = options
        router = try scope.scope("router").parameter(
            "weight", [options.expertCount, options.expert.hiddenSize], .normal(standardDeviation: 0.02),
            decays: false)
        experts = try ExpertBank(scope.scope("experts"), count: options.expertCount, options.expert)
        shared = try options.shared.map { try FeedForward(scope, $0) }
    }

    /// The losses whose coefficients are not zero.
    public var auxiliaryLossNames: [String] {
        (balances ? [Self.balanceLossName] : []) + (options.zLoss > 0 ? [Self.zLossName] : [])
    }

    private var balances: Bool { options.balanceLoss > 0 && options.order != .byExpert }

    /// x [B, T, D] → [B, T, D].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        let rows = try x.reshaped([-1, x.size(-1)])
        let count = rows.size(0)
        let logits = try route(rows, context)
        let probabilities = try logits.softmax(axis: -1)
        let routes = try FusedOperators.route(
            probabilities, order: options.order, choices: options.choices,
            capacity: capacity(tokenCount: count, context))
        let sent = try FusedOperators.dispatch(rows, routes)
        let answers = try experts(sent, counts: routes.counts, context)
        let mixed = try FusedOperators.collect(
            answers, gates: gates(probabilities, routes), routes, tokenCount: count
        ).reshaped(x.shape)
        if context.isTraining, let losses = context.auxiliaryLosses {
            try addLosses(to: losses, logits, probabilities, routes)
        }
        guard let shared else { return mixed }
        return try shared(x, context) + mixed
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

    /// The weight of every slot's answer.
    private func gates(_ probabilities: Tensor, _ routes: FusedOperators.Routes) throws -> Tensor {
        let gates = try probabilities.reshaped([-1]).indexSelected(0, routes.slotEntries)
        guard options.normalizesGates else { return gates }
        let sums = try probabilities.gathered(1, routes.choices).sum([1])
        return try gates / sums.indexSelected(0, routes.slotTokens)
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
            losses.observe(Self.droppedName, Double(all - routes.slotCount) / Double(max(1, all)))
        }
    }
}
