import RetNetLayers
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct ParameterStoreTests {
    @Test func `Names are paths, in the order of declaration`() throws {
        let store = ParameterStore(source: .random(seed: 1))
        let options = FeedForward.Options(
            hiddenSize: 4, innerSize: 6, isGated: true, activation: .swish, biases: true,
            subNorm: (.layer, 1e-5),
            activationDropout: 0, initializer: .fanInUniform(scale: 1),
            gateInitializer: .fanInUniform(scale: 1))
        let layer = try FeedForward(store.root.scope("layers.0").scope("feed_forward"), options)
        #expect(
            store.entries.map(\.name)
                == [
                    "up.weight", "up.bias", "gate.weight", "gate.bias", "sub_norm.weight", "sub_norm.bias",
                    "down.weight",
                    "down.bias",
                ].map { "layers.0.feed_forward." + $0 })
        #expect(store.entries.filter(\.decays).map(\.name).allSatisfy { $0.hasSuffix(".weight") })
        #expect(store.parameterCount == 4 * 6 * 3 + 6 * 2 + 6 * 2 + 4)
        let x = try Tensor.ones([1, 2, 4])
        #expect(try layer(x, .inference).shape == [1, 2, 4])
    }

    @Test func `Initial values depend on seed and name alone`() throws {
        func draw(_ names: [String], seed: UInt64) throws -> ParameterStore {
            let store = ParameterStore(source: .random(seed: seed))
            for name in names {
                _ = try Linear(
                    store.root.scope(name), from: 3, to: 2, bias: false, initializer: .xavierUniform(gain: 1))
            }
            return store
        }
        let a = try draw(["x", "y"], seed: 1)
        let b = try draw(["y", "x"], seed: 1)
        let c = try draw(["x"], seed: 2)
        #expect(try a["x.weight"]?.doubles() == b["x.weight"]?.doubles())
        #expect(try a["x.weight"]?.doubles() != a["y.weight"]?.doubles())
        #expect(try a["x.weight"]?.doubles() != c["x.weight"]?.doubles())
    }

    @Test func `Duplicate names and wrong shapes are refused`() throws {
        let store = ParameterStore(source: .random(seed: 1))
        _ = try store.root.parameter("w", [2], .constant(0))
        #expect(
            errorText(TorchError.self) { try store.root.parameter("w", [2], .constant(0)) }.contains(
                "the parameter 'w' is declared twice"))
        let given = ParameterStore(source: .provided { _, _ in try Tensor.zeros([3]) })
        #expect(
            errorText(TorchError.self) { try given.root.parameter("w", [2], .constant(0)) }.contains(
                "the parameter 'w' needs shape [2], found [3]"))
    }

    @Test func `Shapes are recorded without memory or draws`() throws {
        let width = 1 << 20
        let shapes = try ParameterStore.shapes { scope in
            let layer = try Linear(
                scope.scope("up"), from: width, to: width, bias: true, initializer: .orthogonal(gain: 1))
            #expect(layer.weight.shape == [width, width])
            #expect(try layer.weight.reshaped([width / 2, 2, width]).sliced(1, 0..<1).size(2) == width)
            _ = try scope.parameter("table", [3], .values(unusedValues()))
        }
        #expect(shapes.map(\.name) == ["up.weight", "up.bias", "table"])
        #expect(shapes.map(\.shape) == [[width, width], [width], [3]])
    }

    private func unusedValues() throws -> [Double] {
        Issue.record("initial values were computed")
        return [0]
    }

    static let spreads: [(Initializer, Double)] = [
        (.xavierUniform(gain: 0.17678), 0.17678 * 0.0632456),  // gain · √(2 / (300 + 200))
        (.fanInUniform(scale: 1), 0.0408248),  // 1 / √(3 · 200)
        (.normal(standardDeviation: 0.02), 0.02),
    ]

    @Test(arguments: spreads)
    func `Initializers have the spread of their table`(initializer: Initializer, deviation: Double) throws {
        let store = ParameterStore(source: .random(seed: 1))
        let w = try store.root.parameter("w", [300, 200], initializer)
        let spread = try (w * w).mean().item().squareRoot()
        #expect(abs(spread / deviation - 1) < 0.02)
    }

    @Test func `Dropout keeps the mean, and does nothing in inference`() throws {
        let x = try Tensor.ones([64, 500])
        let context = ForwardContext(isTraining: true, generator: try Generator(seed: 1))
        let y = try Dropout.apply(x, probability: 0.25, context)
        #expect(abs(try y.mean().item() - 1) < 0.02)
        #expect(try Set(y.doubles()).count == 2)
        #expect(try Dropout.apply(x, probability: 0.25, .inference).doubles() == x.doubles())
        let rows = try Dropout.dropPath(x, probability: 0.5, context).mean([1]).doubles()
        #expect(Set(rows) == [0, 2])
    }
}
