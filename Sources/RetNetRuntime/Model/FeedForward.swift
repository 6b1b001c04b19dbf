import Foundation
import RetNetArchitecture
import RetNetKernels

/// A position-wise layer: every row is transformed independently of all others.
protocol RuntimeFeedForward {
    func callAsFunction(_ x: Rows, _ pass: Pass) throws -> Rows
}

/// The position-wise feed-forward: down(act(up x)), or the gated down(act(up x) · gate x).
struct FeedForward: RuntimeFeedForward {
    private let up: Matrix
    private let gate: Matrix?
    private let subNorm: Norm?
    private let down: Matrix
    private let activation: rn_function

    init(up: Matrix, gate: Matrix?, subNorm: Norm?, down: Matrix, activation: rn_function) {
        self.up = up
        self.gate = gate
        self.subNorm = subNorm
        self.down = down
        self.activation = activation
    }

    func callAsFunction(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let (u, g) = (products.add(up), products.add(gate))
        products.run()
        var inner = pass.apply(activation, u, times: g)
        if let subNorm { inner = subNorm(inner, pass) }
        return pass.multiply(inner, down)
    }
}

/// A sparse mixture of feed-forwards: a router dispatches every row to a few of them.
///
///     p = softmax(W_r x)        y = Σ_e g_e E_e(x)        over the experts with the largest p
///
/// g is p, or p divided by its sum over the chosen experts. No row is dropped: capacities hold in training only. Rows of
/// one expert are computed together, which reads its weights once.
struct Experts: RuntimeFeedForward {
    /// The matrix [experts, d] of the router.
    private let router: Matrix
    private let experts: [FeedForward]
    private let choices: Int
    private let normalizesGates: Bool
    /// The feed-forward of all rows that is added to the experts'; nil for experts alone.
    private let whole: FeedForward?

    init(
        router: Matrix, experts: [FeedForward], choices: Int, normalizesGates: Bool, whole: FeedForward?
    ) {
        self.router = router
        self.experts = experts
        self.choices = choices
        self.normalizesGates = normalizesGates
        self.whole = whole
    }

    func callAsFunction(_ x: Rows, _ pass: Pass) -> Rows {
        let y = whole?(x, pass) ?? zeros(like: x, pass)
        let logits = pass.multiply(x, router)
        // The rows of each expert, in their order, with their gates.
        var rows = [[(row: Int, gate: Float)]](repeating: [], count: experts.count)
        for row in 0..<x.count {
            for (expert, gate) in route(logits.data + row * logits.stride) {
                rows[expert].append((row, gate))
            }
        }
        for (expert, chosen) in rows.enumerated() where !chosen.isEmpty {
            let mark = pass.workspace.mark
            let input = pass.rows(x.width, count: chosen.count)
            for (index, choice) in chosen.enumerated() {
                (input.data + index * x.width).update(from: x.data + choice.row * x.stride, count: x.width)
            }
            let output = experts[expert](input, pass)
            for (index, choice) in chosen.enumerated() {
                let to = Rows(y.data + choice.row * y.stride, count: 1, width: y.width)
                let from = Rows(output.data + index * output.stride, count: 1, width: y.width)
                pass.add(from, times: Double(choice.gate), to: to)
            }
            pass.workspace.release(to: mark)
        }
        return y
    }

    /// The experts of one row, the most probable first, the lower of equal ones first.
    private func route(_ logits: UnsafePointer<Float>) -> [(expert: Int, gate: Float)] {
        let values = (0..<experts.count).map { logits[$0] }
        let largest = values.max() ?? 0
        let exponentials = values.map { exp($0 - largest) }
        let total = exponentials.reduce(0, +)
        let order = values.indices.sorted {
            values[$0] == values[$1] ? $0 < $1 : values[$0] > values[$1]
        }
        let chosen = order.prefix(choices)
        let divisor = normalizesGates ? chosen.reduce(0) { $0 + exponentials[$1] } : total
        return chosen.map { ($0, exponentials[$0] / divisor) }
    }

    private func zeros(like x: Rows, _ pass: Pass) -> Rows {
        let y = pass.rows(x.width, count: x.count)
        y.data.update(repeating: 0, count: x.count * x.width)
        return y
    }
}

extension FeedForwardConfiguration {
    /// Returns the layer, whose names begin with the builder's prefix.
    func makeLayer(_ builder: inout ModelBuilder, _ c: LanguageModelConfiguration) throws
        -> any RuntimeFeedForward
    {
        guard let experts else { return try whole(&builder, c) }
        return try experts.makeLayer(
            &builder, hiddenSize: c.hiddenSize, innerSize: innerSize, isGated: kind == .gated, biases: biases,
            activation: activation.kernel, whole: experts.keepsFeedForward ? try whole(&builder, c) : nil)
    }

    private func whole(_ builder: inout ModelBuilder, _ c: LanguageModelConfiguration) throws -> FeedForward {
        FeedForward(
            up: try builder.linear("up", from: c.hiddenSize, to: innerSize, bias: biases),
            gate: kind == .gated
                ? try builder.linear("gate", from: c.hiddenSize, to: innerSize, bias: biases) : nil,
            subNorm: subNorm
                ? try Norm(&builder, "sub_norm", size: innerSize, c.norm, affine: true) : nil,
            down: try builder.linear("down", from: innerSize, to: c.hiddenSize, bias: biases),
            activation: activation.kernel)
    }
}

extension ExpertsConfiguration {
    /// Returns the layer under `router` and `experts` of the builder's prefix.
    ///
    /// `innerSize` is that of the feed-forward in whose place the experts are, or beside which they are as `whole`.
    func makeLayer(
        _ builder: inout ModelBuilder, hiddenSize: Int, innerSize: Int, isGated: Bool, biases: Bool,
        activation: rn_function, whole: FeedForward?
    ) throws -> Experts {
        if routing == .expertChoice || sequenceCapacity != nil {
            throw RuntimeError.unsupported(part: "experts with capacities at inference")
        }
        let router = try builder.linear("router", from: hiddenSize, to: count)
        let inner = expertInnerSize(innerSize)
        func matrices(_ name: String, from: Int, to: Int) throws -> [Matrix] {
            try builder.weights.linears(
                builder.path("experts.\(name)"), count: count, from: from, to: to, bias: biases)
        }
        let up = try matrices("up", from: hiddenSize, to: inner)
        let gate =
            isGated && routing != .partial ? try matrices("gate", from: hiddenSize, to: inner) : nil
        let down = try matrices("down", from: inner, to: hiddenSize)
        return Experts(
            router: router,
            experts: up.indices.map {
                FeedForward(
                    up: up[$0], gate: gate?[$0], subNorm: nil, down: down[$0], activation: activation)
            }, choices: choices, normalizesGates: routing == .top2, whole: whole)
    }
}

extension FeedForwardConfiguration.Activation {
    var kernel: rn_function {
        switch self {
        case .gelu: RN_GELU
        case .geluTanh: RN_GELU_TANH
        case .swish: RN_SWISH
        case .relu: RN_RELU
        }
    }
}
