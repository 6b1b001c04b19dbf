import RetNetLayers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct MuonTests {
    /// A matrix as rows.
    private typealias Rows = [[Double]]

    private func transposed(_ a: Rows) -> Rows { a[0].indices.map { j in a.map { $0[j] } } }

    private func product(_ a: Rows, _ b: Rows) -> Rows {
        a.map { row in b[0].indices.map { j in zip(row, b).reduce(0) { $0 + $1.0 * $1.1[j] } } }
    }

    private func sum(_ a: Rows, times x: Double, _ b: Rows, times y: Double) -> Rows {
        zip(a, b).map { zip($0, $1).map { $0 * x + $1 * y } }
    }

    /// The iteration as its author writes it.
    private func orthogonalized(_ matrix: Rows, iterations: Int) -> Rows {
        let isTall = matrix.count > matrix[0].count
        var x = isTall ? transposed(matrix) : matrix
        let norm = x.joined().reduce(0) { $0 + $1 * $1 }.squareRoot()
        x = x.map { $0.map { $0 / norm } }
        for _ in 0..<iterations {
            let gram = product(x, transposed(x))
            let factor = sum(gram, times: -4.7750, product(gram, gram), times: 2.0315)
            x = sum(x, times: 3.4445, product(factor, x), times: 1)
        }
        return isTall ? transposed(x) : x
    }

    /// Gradients that differ by update and place.
    private func gradient(_ rows: Int, _ columns: Int, update t: Int) -> Rows {
        (0..<rows).map { i in (0..<columns).map { j in Double((7 * i + 3 * j + 5 * t) % 11) / 5 - 1 } }
    }

    @Test(arguments: [[2, 3], [4, 2], [5, 5]], [true, false])
    func `Updates of matrices equal the formulas`(shape: [Int], nesterov: Bool) throws {
        let (rows, columns) = (shape[0], shape[1])
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let p = try store.root.parameter("p", shape, .constant(0.25))
        var configuration = OptimizerConfiguration(.muon)
        configuration.muon.usesNesterov = nesterov
        configuration.muon.scale = .shape
        configuration.muon.iterationCount = 4
        let optimizer = try Muon(store, configuration)
        var momentum = gradient(rows, columns, update: 0).map { $0.map { _ in 0.0 } }
        var expected = momentum.map { $0.map { _ in 0.25 } }
        for t in 0..<3 {
            let g = gradient(rows, columns, update: t)
            try p.setGradient(Tensor.from(Array(g.joined()), shape))
            try optimizer.step(learningRate: 0.02)
            momentum = sum(momentum, times: 0.95, g, times: 0.05)
            let direction = nesterov ? sum(momentum, times: 0.95, g, times: 0.05) : momentum
            let scale = max(1, Double(rows) / Double(columns)).squareRoot()
            expected = sum(
                expected, times: 1 - 0.02 * 0.05, orthogonalized(direction, iterations: 4),
                times: -0.02 * scale)
        }
        for (found, expected) in zip(try p.doubles(), expected.joined()) {
            #expect(abs(found - expected) < 1e-12)
        }
    }

    /// By `torch.optim.Muon(lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")` of PyTorch 2.13.0, which iterates in
    /// bfloat16.
    @Test(arguments: [
        ([2, 3], [-0.4936, -0.2479, 0.009, 0.255, 0.486, 0.7491]),
        ([4, 2], [-0.4908, -0.2459, 0.002, 0.2384, 0.5031, 0.7532, 0.9796, 1.2457]),
    ])
    func `Updates equal PyTorch's as far as bfloat16 reaches`(shape: [Int], expected: [Double]) throws {
        let count = shape[0] * shape[1]
        let store = ParameterStore(source: .random(seed: 1))
        let p = try store.root.parameter("p", shape, .values((0..<count).map { (Double($0) - 2) / 4 }))
        var configuration = OptimizerConfiguration(.muon)
        configuration.weightDecay = 0.1
        let optimizer = try Muon(store, configuration)
        for t in 0..<3 {
            let g = gradient(shape[0], shape[1], update: t).joined().map { Float($0) }
            try p.setGradient(Tensor.from(Array(g), shape))
            try optimizer.step(learningRate: 0.02)
        }
        for (found, expected) in zip(try p.doubles(), expected) { #expect(abs(found - expected) < 5e-4) }
    }

    @Test func `Stacked experts are matrices of their own; vectors and tables are AdamW's`() throws {
        func store() throws -> ParameterStore {
            let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
            _ = try store.root.parameter("experts", [2, 3, 2], .normal(standardDeviation: 1))
            _ = try store.root.parameter("table", [4, 2], .normal(standardDeviation: 1), decays: false)
            _ = try store.root.parameter("output", [4, 2], .normal(standardDeviation: 1), isHiddenMap: false)
            _ = try store.root.parameter("norm", [2], .constant(1))
            return store
        }
        let (stacked, plain) = (try store(), try store())
        let single = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let all = try #require(stacked["experts"]).doubles()
        let experts = try (0..<2).map {
            try single.root.parameter("e\($0)", [3, 2], .values(Array(all[$0 * 6..<$0 * 6 + 6])))
        }
        let muon = try Muon(stacked, OptimizerConfiguration(.muon))
        let adam = try AdamW(plain, OptimizerConfiguration())
        let each = try Muon(single, OptimizerConfiguration(.muon))
        for t in 0..<2 {
            let g = gradient(6, 2, update: t).joined()
            for store in [stacked, plain] {
                for entry in store.entries {
                    try entry.tensor.setGradient(
                        Tensor.from(Array(g.prefix(entry.tensor.elementCount)), entry.tensor.shape))
                }
            }
            for (index, expert) in experts.enumerated() {
                try expert.setGradient(Tensor.from(Array(g.dropFirst(index * 6).prefix(6)), [3, 2]))
            }
            for optimizer in [muon, adam, each] as [any Optimizer] { try optimizer.step(learningRate: 0.01) }
        }
        for name in ["table", "output", "norm"] {
            #expect(try #require(stacked[name]).doubles() == #require(plain[name]).doubles())
        }
        let found = try #require(stacked["experts"]).doubles()
        for (index, expert) in experts.enumerated() {
            for (a, b) in zip(found.dropFirst(index * 6), try expert.doubles()) {
                #expect(abs(a - b) < 1e-12)
            }
        }
        #expect(
            muon.state.map(\.name) == [
                "momentum.experts", "first_moment.table", "second_moment.table", "first_moment.output",
                "second_moment.output", "first_moment.norm", "second_moment.norm",
            ])
        #expect(muon.stepCount == 2)
    }
}
