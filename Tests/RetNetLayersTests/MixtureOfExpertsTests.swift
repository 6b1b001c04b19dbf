import RetNetLayers
import RetNetTorch
import Testing

/// Routing by hand-made probabilities, the way to experts and back, and the layer against plain loops.
@Suite struct MixtureOfExpertsTests {
    static func probabilities(_ rows: [[Double]]) throws -> Tensor {
        try Tensor.from(rows.flatMap { $0 }, [rows.count, rows[0].count])
    }

    func tokens(_ routes: FusedOperators.Routes) throws -> [[Int64]] {
        var rest = try routes.slotTokens.values(as: Int64.self)[...]
        return routes.counts.map { count in
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
    }

    @Test func `Places go to the first tokens, or to the most certain ones`() throws {
        let p = try Self.probabilities([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
        func route(_ order: FusedOperators.RoutingOrder, _ choices: Int, _ capacity: Int?) throws -> [[Int64]]
        {
            try tokens(FusedOperators.route(p, order: order, choices: choices, capacity: capacity))
        }
        #expect(try route(.byPosition, 1, nil) == [[0, 1, 2], [3]])
        #expect(try route(.byPosition, 1, 2) == [[0, 1], [3]])
        #expect(try route(.byPriority, 1, 2) == [[1, 2], [3]])
        // First choices come before all second ones: token 3 keeps its place at expert 1.
        #expect(try route(.byPosition, 2, 3) == [[0, 1, 2], [0, 1, 3]])
        #expect(try route(.byPriority, 2, 3) == [[0, 1, 2], [1, 2, 3]])
        #expect(try route(.byExpert, 1, 2) == [[1, 2], [0, 3]])
    }

    @Test func `Places per sequence go to the first tokens of each`() throws {
        let p = try Self.probabilities([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.8, 0.2]])
        func route(_ order: FusedOperators.RoutingOrder, _ choices: Int, _ sequences: [Int64]) throws
            -> [[Int64]]
        {
            try tokens(
                FusedOperators.route(p, order: order, choices: choices, capacity: 1, sequences: sequences))
        }
        #expect(try route(.byPosition, 1, [0, 0, 0, 0, 0]) == [[0], [3]])
        #expect(try route(.byPosition, 1, [0, 0, 1, 1, 2]) == [[0, 2, 4], [3]])
        #expect(try route(.byPriority, 1, [0, 0, 1, 1, 1]) == [[1, 4], [3]])
        #expect(try route(.byPosition, 2, [0, 0, 1, 1, 2]) == [[0, 2, 4], [0, 3, 4]])
        #expect(throws: TorchError.self) { _ = try route(.byPosition, 1, [0, 0, 1]) }
        #expect(throws: TorchError.self) { _ = try route(.byPosition, 1, [0, 0, 1, 1, -1]) }
    }

    @Test func `Empty slots fill up every expert and change nothing`() throws {
        let p = try Self.probabilities([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]).requiringGradient()
        let x = try Generator(seed: 1).normal([4, 6], .float64).requiringGradient()
        let weight = try Generator(seed: 2).normal([2, 5, 6], .float64).requiringGradient()
        func run(_ granule: Int) throws -> (routes: FusedOperators.Routes, values: [[Double]]) {
            let routes = try FusedOperators.route(
                p, order: .byPosition, choices: 1, capacity: nil, granule: granule)
            let gates = try p.reshaped([-1]).indexSelected(0, routes.slotEntries)
            let answers = try FusedOperators.groupedLinear(
                FusedOperators.dispatch(x, routes), weight: weight, bias: nil, counts: routes.counts)
            let y = try FusedOperators.collect(answers, gates: gates, routes, tokenCount: 4)
            let gradients = try Tensor.gradients(
                of: [y], seeds: [y.detached()], withRespectTo: [p, x, weight])
            return (routes, try [y.doubles()] + gradients.map { try #require($0).doubles() })
        }
        let (plain, filled) = (try run(1), try run(4))
        #expect(plain.routes.counts == [3, 1])
        #expect(filled.routes.counts == [4, 4])
        #expect(try filled.routes.slotTokens.values(as: Int64.self) == [0, 1, 2, -1, 3, -1, -1, -1])
        #expect(try filled.routes.slotEntries.values(as: Int64.self) == [0, 2, 4, 0, 7, 0, 0, 0])
        for (a, b) in zip(plain.values, filled.values) {
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-13 })
        }
    }

    @Test func `Equal probabilities go to the first expert, and slots know their entries`() throws {
        let p = try Self.probabilities([[0.5, 0.5], [0.5, 0.5]])
        let routes = try FusedOperators.route(p, order: .byPosition, choices: 1, capacity: nil)
        #expect(routes.counts == [2, 0])
        #expect(try routes.slotEntries.values(as: Int64.self) == [0, 2])
        #expect(throws: TorchError.self) {
            try FusedOperators.route(p, order: .byPosition, choices: 3, capacity: nil)
        }
    }

    func options(
        _ order: FusedOperators.RoutingOrder, _ change: (inout MixtureOfExperts.Options) -> Void = { _ in }
    )
        -> MixtureOfExperts.Options
    {
        let expert = FeedForward.Options(
            hiddenSize: 6, innerSize: 10, isGated: true, activation: .swish, biases: true, subNorm: nil,
            activationDropout: 0, initializer: .normal(standardDeviation: 0.5),
            gateInitializer: .normal(standardDeviation: 0.5))
        var options = MixtureOfExperts.Options(
            expert: expert, expertCount: 4, choices: 2, order: order, capacityFactor: nil,
            normalizesGates: false, balanceLoss: 0.01, zLoss: 0.001, jitter: 0)
        change(&options)
        return options
    }

    /// The layer with one matrix product a token.
    func plain(_ x: Tensor, _ store: ParameterStore, _ o: MixtureOfExperts.Options) throws -> Tensor {
        func parameter(_ name: String) throws -> Tensor { try #require(store[name]) }
        let rows = try x.reshaped([-1, x.size(-1)])
        let p = try rows.linear(parameter("router.weight")).softmax(axis: -1)
        let outputs = try (0..<rows.size(0)).map { n in
            let row = try rows.selected(0, n)
            let values = try p.selected(0, n).doubles()
            let chosen = values.indices.sorted { values[$0] > values[$1] }.prefix(o.choices)
            var gates = try chosen.map { try p.selected(0, n).selected(0, $0) }
            if o.normalizesGates {
                let sum = try gates.dropFirst().reduce(gates[0]) { try $0 + $1 }
                gates = try gates.map { try $0 / sum }
            }
            var total = try row * 0
            for (gate, e) in zip(gates, chosen) {
                func linear(_ x: Tensor, _ name: String) throws -> Tensor {
                    try x.linear(
                        parameter("experts.\(name).weight").selected(0, e),
                        bias: parameter("experts.\(name).bias").selected(0, e))
                }
                let inner = try linear(row, "up").silu() * linear(row, "gate")
                total = try total + linear(inner, "down") * gate
            }
            return total
        }
        return try Tensor.stacked(outputs, axis: 0).reshaped(x.shape)
    }

    @Test(arguments: [false, true])
    func `The layer equals one product a token, in values and gradients`(normalizes: Bool) throws {
        let o = options(.byPosition) { $0.normalizesGates = normalizes }
        let store = ParameterStore(source: .random(seed: 4), elementType: .float64)
        let layer = try MixtureOfExperts(store.root, o)
        try store.setRequiresGradient(true)
        let generator = try Generator(seed: 1)
        try withoutGradients {
            for entry in store.entries where entry.name.hasSuffix("bias") || entry.name.hasPrefix("router") {
                try entry.tensor.add(generator.normal(entry.tensor.shape, .float64))
            }
        }
        let x = try generator.normal([2, 9, 6], .float64).requiringGradient()
        let (found, expected) = (try layer(x, .inference), try plain(x, store, o))
        #expect(try (found - expected).abs().max().item() < 1e-12)
        let inputs = [x] + store.tensors
        let seed = try generator.normal([2, 9, 6], .float64)
        let a = try Tensor.gradients(of: [expected], seeds: [seed], withRespectTo: inputs)
        let b = try Tensor.gradients(of: [found], seeds: [seed], withRespectTo: inputs)
        for (x, y) in zip(a, b) {
            #expect(try (#require(x) - #require(y)).abs().max().item() < 1e-11)
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Narrow types stay close`(type: ElementType) throws {
        let o = options(.byPosition)
        func make(_ type: ElementType) throws -> MixtureOfExperts {
            try MixtureOfExperts(ParameterStore(source: .random(seed: 4), elementType: type).root, o)
        }
        let x = try Generator(seed: 1).normal([3, 40, 6], .float32).to(type)
        let expected = try make(.float64)(x.to(.float64), .inference)
        let found = try make(.float32)(x, .inference)
        #expect(found.elementType == type)
        #expect(try (found.to(.float64) - expected).abs().max().item() < (type == .float32 ? 1e-5 : 5e-2))
    }

    @Test func `Capacity drops tokens in training only, and losses are those of the formulas`() throws {
        let o = options(.byPosition) {
            $0.choices = 1
            $0.capacityFactor = 0.5
        }
        let store = ParameterStore(source: .random(seed: 4), elementType: .float64)
        let layer = try MixtureOfExperts(store.root, o)
        let x = try Generator(seed: 2).normal([4, 8, 6], .float64)
        let losses = AuxiliaryLosses()
        let trained = try layer(x, ForwardContext(isTraining: true, auxiliaryLosses: losses))
        let whole = try layer(x, ForwardContext(auxiliaryLosses: losses))
        #expect(losses.terms.map(\.name) == layer.auxiliaryLossNames)
        let silent = try trained.reshaped([32, 6]).abs().sum([1]).doubles().filter { $0 == 0 }.count
        // 0.5 · 32 / 4 places an expert.
        #expect(silent >= 16)
        #expect(try whole.reshaped([32, 6]).abs().sum([1]).doubles().allSatisfy { $0 > 0 })
        let summary = Dictionary(
            uniqueKeysWithValues: try losses.summary().map { ($0.name, $0.value) })
        #expect(summary["dropped_share"] == Double(silent) / 32)

        let logits = try x.reshaped([32, 6]).linear(#require(store["router.weight"]))
        let p = try logits.softmax(axis: -1).doubles()
        var (shares, means, z) = ([0.0, 0, 0, 0], [0.0, 0, 0, 0], 0.0)
        let exponentials = try logits.exp().sum([1]).log().doubles()
        for n in 0..<32 {
            let row = Array(p[n * 4..<n * 4 + 4])
            for e in 0..<4 { means[e] += row[e] / 32 }
            shares[row.indices.max { row[$0] < row[$1] } ?? 0] += 1 / 32.0
            z += exponentials[n] * exponentials[n] / 32
        }
        let balance = 0.01 * 4 * zip(shares, means).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(abs(try #require(summary["balance_loss"]) - balance) < 1e-12)
        #expect(abs(try #require(summary["router_z_loss"]) - 0.001 * z) < 1e-12)
    }

    @Test func `A capacity per sequence drops the same tokens at inference and in training`() throws {
        let o = options(.byPosition) {
            $0.choices = 1
            $0.capacityFactor = 0.1
            $0.sequenceCapacity = 2
        }
        let store = ParameterStore(source: .random(seed: 4), elementType: .float64)
        let layer = try MixtureOfExperts(store.root, o)
        let x = try Generator(seed: 2).normal([4, 8, 6], .float64)
        let chosen = try x.reshaped([32, 6]).linear(#require(store["router.weight"])).doubles()
        var (places, dropped) = ([Int: Int](), [Int]())
        for token in 0..<32 {
            let row = Array(chosen[token * 4..<token * 4 + 4])
            let expert = row.indices.max { row[$0] < row[$1] } ?? 0
            places[token / 8 * 4 + expert, default: 0] += 1
            if places[token / 8 * 4 + expert, default: 0] > 2 { dropped.append(token) }
        }
        #expect(!dropped.isEmpty)
        func silent(_ y: Tensor) throws -> [Int] {
            try y.reshaped([-1, 6]).abs().sum([1]).doubles().enumerated().filter { $1 == 0 }.map(\.offset)
        }
        #expect(try silent(layer(x, .inference)) == dropped)
        #expect(try silent(layer(x, ForwardContext(isTraining: true))) == dropped)
        // Places that are left out take no capacity: from position 2 on, as if the rows began there.
        let places2 = try Tensor.from((0..<32).filter { $0 % 8 >= 2 }.map(Int64.init))
        let part = try layer(x, at: places2, .inference).sliced(1, 2..<8).contiguous()
        #expect(
            try (part - layer(x.sliced(1, 2..<8).contiguous(), .inference)).abs().max().item() < 1e-13)
    }

    @Test func `Jitter changes training alone and follows its generator`() throws {
        let layer = try MixtureOfExperts(
            ParameterStore(source: .random(seed: 4), elementType: .float64).root,
            options(.byPosition) { $0.jitter = 0.3 })
        let x = try Generator(seed: 2).normal([2, 8, 6], .float64)
        func run(_ seed: UInt64) throws -> [Double] {
            try layer(x, ForwardContext(isTraining: true, generator: Generator(seed: seed))).doubles()
        }
        #expect(try run(1) == run(1))
        #expect(try run(1) != run(2))
        #expect(try layer(x, .inference).doubles() == layer(x, .inference).doubles())
    }

    @Test func `Experts that choose take equally many tokens each`() throws {
        let layer = try MixtureOfExperts(
            ParameterStore(source: .random(seed: 4), elementType: .float64).root,
            options(.byExpert) {
                $0.choices = 1
                $0.capacityFactor = 1
            })
        let x = try Generator(seed: 2).normal([2, 8, 6], .float64)
        let losses = AuxiliaryLosses()
        _ = try layer(x, ForwardContext(isTraining: true, auxiliaryLosses: losses))
        #expect(losses.terms.map(\.name) == ["router_z_loss"])
    }

    @Test func `Tiny experts are added to a whole feed-forward`() throws {
        let store = ParameterStore(source: .random(seed: 4), elementType: .float64)
        let o = options(.byPosition) {
            $0.choices = 1
            $0.expert.innerSize = 2
            $0.expert.isGated = false
        }
        let shared = options(.byPosition).expert
        let layer = PartialExperts(
            try MixtureOfExperts(store.root, o), beside: try FeedForward(store.root, shared))
        let names = store.entries.map(\.name)
        #expect(names.contains("up.weight") && names.contains("experts.up.weight"))
        #expect(!names.contains("experts.gate.weight"))
        let x = try Generator(seed: 2).normal([2, 8, 6], .float64)
        let before = try layer(x, .inference)
        try withoutGradients { try #require(store["experts.down.weight"]).scale(by: 0) }
        try withoutGradients { try #require(store["experts.down.bias"]).scale(by: 0) }
        let alone = try FeedForward(
            ParameterStore(
                source: .provided { name, _ in try #require(store[name]) }, elementType: .float64
            ).root, shared)
        #expect(try (layer(x, .inference) - alone(x, .inference)).abs().max().item() < 1e-14)
        #expect(try (before - alone(x, .inference)).abs().max().item() > 1e-3)
    }
}
