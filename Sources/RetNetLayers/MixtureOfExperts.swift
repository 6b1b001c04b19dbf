import Foundation
import RetNetTorch

/// A sparse mixture of feed-forwards: a router dispatches every token to a few of them.
///
///     p = softmax(W_r x)        y = Σ_e g_e E_e(x)        over the experts that take the token
///
/// g is p, or p divided by its sum over the chosen experts. Tokens beyond an expert's capacity are dropped: its
/// output for them is 0. Capacities hold in training only, except with expert choice, which requires one; so the
/// output of a causal model is the same for a whole text and token by token. A capacity per sequence, as published
/// models of Transformers have, holds at inference too: it counts the tokens of one pass, so that a text in one pass
/// drops tokens that single steps keep. N tokens, E experts.
///
/// Sources: Switch (arXiv 2101.03961), GShard (2006.16668), V-MoE (2106.05974), expert choice (2202.09368).
public struct MixtureOfExperts: FeedForwardLayer {
    /// Sizes and choices.
    public struct Options {
        /// The shape of one expert.
        public var expert: FeedForward.Options
        /// E.
        public var expertCount: Int
        /// The number of experts per token.
        public var choices: Int
        /// The order of routing: by token or by expert.
        public var order: FusedOperators.RoutingOrder
        /// The capacity of an expert as a multiple of an equal share of all choices; nil for no limit.
        public var capacityFactor: Double?
        /// The places of an expert for the tokens of one sequence, also at inference; nil for the capacity factor.
        public var sequenceCapacity: Int?
        /// True if the gates of a token's chosen experts are normalized to sum to 1.
        public var normalizesGates: Bool
        /// The coefficient of the balance loss E Σ f_e P_e.
        public var balanceLoss: Double
        /// The coefficient of the mean squared log-sum-exp of the router's logits.
        public var zLoss: Double
        /// The spread of the factors U(1 - jitter, 1 + jitter) of router inputs in training.
        public var jitter: Double

        /// All choices.
        public init(
            expert: FeedForward.Options, expertCount: Int, choices: Int, order: FusedOperators.RoutingOrder,
            capacityFactor: Double?, sequenceCapacity: Int? = nil, normalizesGates: Bool, balanceLoss: Double,
            zLoss: Double,
            jitter: Double
        ) {
            self.expert = expert
            self.expertCount = expertCount
            self.choices = choices
            self.order = order
            self.capacityFactor = capacityFactor
            self.sequenceCapacity = sequenceCapacity
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

    /// Returns the same experts with matrices in an element type, for many calls in that type.
    public func converted(to type: ElementType) throws -> MixtureOfExperts {
        MixtureOfExperts(options: options, router: router, experts: try experts.converted(to: type))
    }

    /// The names of the losses whose coefficients are not zero.
    public var auxiliaryLossNames: [String] {
        (balances ? [Self.balanceLossName] : []) + (options.zLoss > 0 ? [Self.zLossName] : [])
    }

    private var balances: Bool { options.balanceLoss > 0 && options.order != .byExpert }

    /// Maps x [B, T, D] → [B, T, D].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try self(x, at: nil, context)
    }

    /// Maps the given places of all B · T, int64 [M]; the others pass through no expert, and their outputs are zeros.
    ///
    /// Padding that is left out takes no capacity and enters no loss.
    public func callAsFunction(_ x: Tensor, at places: Tensor?, _ context: ForwardContext) throws -> Tensor {
        let all = try x.reshaped([-1, x.size(-1)])
        let mixed = try mix(
            try places.map { try all.indexSelected(0, $0) } ?? all, try sequences(of: x, at: places), context)
        let spread = try places.map { try FusedOperators.spread(mixed, to: $0, count: all.size(0)) } ?? mixed
        return try spread.reshaped(x.shape)
    }

    /// Returns the sequence of every place, for capacities per sequence alone.
    private func sequences(of x: Tensor, at places: Tensor?) throws -> [Int64]? {
        guard options.sequenceCapacity != nil, options.order != .byExpert, x.rank > 2 else { return nil }
        let length = Int64(x.size(-2))
        let all = try places?.values(as: Int64.self) ?? Array(0..<Int64(x.elementCount / x.size(-1)))
        return all.map { $0 / length }
    }

    /// Rows [N, D] → [N, D].
    private func mix(_ rows: Tensor, _ sequences: [Int64]?, _ context: ForwardContext) throws -> Tensor {
        let count = rows.size(0)
        let logits = try route(rows, context)
        let probabilities = try logits.softmax(axis: -1)
        let routes = try FusedOperators.route(
            probabilities, order: options.order, choices: options.choices,
            capacity: capacity(tokenCount: count, context), sequences: sequences,
            granule: granule(tokenCount: count, rows.device))
        let sent = try FusedOperators.dispatch(rows, routes)
        let outputs = try experts(sent, counts: routes.counts, context)
        let mixed = try FusedOperators.collect(
            outputs, gates: gates(probabilities, routes), routes, tokenCount: count)
        if context.isTraining, let losses = context.auxiliaryLosses {
            try addLosses(to: losses, logits, probabilities, routes)
        }
        return mixed
    }

    /// Returns the router's logits [N, E] in float32 or wider.
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

    /// Returns the capacity of each expert for a number of tokens or for one sequence, or nil for no limit.
    func capacity(tokenCount: Int, _ context: ForwardContext) -> Int? {
        if let capacity = options.sequenceCapacity, options.order != .byExpert { return max(1, capacity) }
        guard let factor = options.capacityFactor, context.isTraining || options.order == .byExpert else {
            return options.order == .byExpert
                ? max(1, (tokenCount + options.expertCount - 1) / options.expertCount) : nil
        }
        let share = factor * Double(tokenCount * options.choices) / Double(options.expertCount)
        return max(1, min(tokenCount, Int(min(share.rounded(.up), 1e15))))
    }

    /// Returns the multiple to which row counts are padded, by at most an eighth: few sizes of matrix products.
    private func granule(tokenCount: Int, _ device: Device) -> Int {
        guard device == .cpu else { return 1 }
        let share = tokenCount * options.choices / options.expertCount
        var granule = 1
        while granule < 128, granule * 8 <= share { granule *= 2 }
        return granule
    }

    /// Returns the weight of the output of every slot.
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
            // Choices before capacities: counted after drops, the loss would not counteract overload.
            var chosen = [Double](repeating: 0, count: options.expertCount)
            for expert in try routes.choices.selected(1, 0).values(as: Int64.self) {
                chosen[Int(expert)] += 1 / Double(tokenCount)
            }
            let shares = try Tensor.from(chosen).to(probabilities.elementType, on: probabilities.device)
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

/// The feed-forwards of all experts, each matrix as one parameter [E, out, in].
struct ExpertBank {
    private let up: Matrix
    private let gate: Matrix?
    private let down: Matrix
    private let options: FeedForward.Options

    /// One matrix per expert, with its bias.
    private struct Matrix {
        let weight: Tensor
        let bias: Tensor?

        init(
            _ scope: ParameterScope, count: Int, from inputSize: Int, to outputSize: Int, bias: Bool,
            initializer: Initializer
        ) throws {
            weight = try scope.parameter("weight", [count, outputSize, inputSize], initializer)
            self.bias =
                bias ? try scope.parameter("bias", [count, outputSize], .constant(0), decays: false) : nil
        }

        private init(weight: Tensor, bias: Tensor?) {
            self.weight = weight
            self.bias = bias
        }

        func converted(to type: ElementType) throws -> Matrix {
            Matrix(weight: try weight.to(type), bias: try bias?.to(type))
        }

        func callAsFunction(_ x: Tensor, _ counts: [Int]) throws -> Tensor {
            try FusedOperators.groupedLinear(
                x, weight: try weight.to(x.elementType), bias: try bias?.to(x.elementType), counts: counts)
        }
    }

    /// Declares `up`, `gate` and `down`.
    init(_ scope: ParameterScope, count: Int, _ options: FeedForward.Options) throws {
        self.options = options
        let (d, f) = (options.hiddenSize, options.innerSize)
        func matrix(_ name: String, from: Int, to: Int, _ initializer: Initializer) throws -> Matrix {
            try Matrix(
                scope.scope(name), count: count, from: from, to: to, bias: options.biases,
                initializer: initializer)
        }
        up = try matrix("up", from: d, to: f, options.initializer)
        gate = options.isGated ? try matrix("gate", from: d, to: f, options.gateInitializer) : nil
        down = try matrix("down", from: f, to: d, options.downInitializer ?? options.initializer)
    }

    private init(up: Matrix, gate: Matrix?, down: Matrix, options: FeedForward.Options) {
        self.up = up
        self.gate = gate
        self.down = down
        self.options = options
    }

    /// Returns the same with matrices in an element type.
    func converted(to type: ElementType) throws -> ExpertBank {
        ExpertBank(
            up: try up.converted(to: type), gate: try gate?.converted(to: type),
            down: try down.converted(to: type), options: options)
    }

    /// Maps rows [M, D], sorted by expert, → [M, D].
    func callAsFunction(_ x: Tensor, counts: [Int], _ context: ForwardContext) throws -> Tensor {
        var inner = try FusedOperators.gatedActivation(
            try up(x, counts), try gate?(x, counts), activation: options.activation)
        inner = try Dropout.apply(inner, probability: options.activationDropout, context)
        return try down(inner, counts)
    }
}

/// A feed-forward plus a sparse mixture of tiny experts.
///
///     y = FFN(x) + Σ_e g_e E_e(x)
///
/// Every token passes through the feed-forward; the experts add capacity for little work. Source: the partial experts of
/// AltUp's comparison (arXiv 2301.13310, appendix).
public struct PartialExperts: FeedForwardLayer {
    private let whole: any FeedForwardLayer
    private let experts: MixtureOfExperts

    /// Experts in addition to a feed-forward.
    public init(_ experts: MixtureOfExperts, beside whole: any FeedForwardLayer) {
        self.experts = experts
        self.whole = whole
    }

    /// The names of the losses of the experts.
    public var auxiliaryLossNames: [String] { experts.auxiliaryLossNames }

    /// Maps x [B, T, D] → [B, T, D].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        try whole(x, context) + experts(x, context)
    }
}
