import RetNetLayers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

/// The mix of streams around one layer: hand-computed numbers, gradients, precision.
@Suite struct AltUpTests {
    static func error(_ a: Tensor, _ b: Tensor) throws -> Double {
        let (x, y) = (try a.detached().to(.float64), try b.detached().to(.float64))
        guard x.shape == y.shape, try x.allFinite() else { return .infinity }
        return try (x - y).abs().max().item() / Swift.max(1, y.abs().max().item())
    }

    @Test func `The example computed by hand`() throws {
        let streams = try [Tensor.from([1.0, 2], [1, 1, 2]), Tensor.from([3.0, 4], [1, 1, 2])]
        let p = try Tensor.from([1.0, 0.5, -0.5, 2], [2, 2])
        let g = try Tensor.from([0.5, 0.25])
        func layer(_ x: Tensor) throws -> Tensor { try x * 2 + 1 }
        let written = try AltUp.definition(streams, prediction: p, correction: g, active: 1, layer)
        let fused = try FusedOperators.altUpMix(
            streams, layerOutput: layer(streams[1]), prediction: p, correction: g, active: 1)
        for result in [written, fused] {
            #expect(try result[0].doubles() == [3.25, 5])
            #expect(try result[1].doubles() == [5.875, 7.5])
        }
        let predicted = try FusedOperators.altUpPrediction(streams, prediction: p, active: 1)
        #expect(try predicted.doubles() == [5.5, 7])
    }

    @Test(arguments: [1, 2, 3, 4, 5, 7], [ElementType.float64, .float32, .bfloat16])
    func `One pass equals three steps, in values and gradients`(k: Int, type: ElementType) throws {
        let generator = try Generator(seed: UInt64(k))
        let shape = [3, 5, 331]
        let exact = try (0..<k + 1).map { _ in
            try generator.normal(shape, .float64).to(type).to(.float64).requiringGradient()
        }
        let narrow = try exact.map { try $0.detached().to(type).requiringGradient() }
        let p = try generator.normal([k, k], .float64).to(.float32).to(.float64)
        let g = try generator.normal([k], .float64).to(.float32).to(.float64)
        let active = k / 2
        func pair(_ type: ElementType) throws -> [Tensor] {
            try [p, g].map { try $0.clone().to(type).requiringGradient() }
        }
        let (wide, mixed) = (try pair(.float64), try pair(type.accumulator))
        let expected = try AltUp.definition(
            Array(exact.prefix(k)), prediction: wide[0], correction: wide[1], active: active
        ) { _ in exact[k] }
        let found = try FusedOperators.altUpMix(
            Array(narrow.prefix(k)), layerOutput: narrow[k], prediction: mixed[0], correction: mixed[1],
            active: active)
        let limit = type == .float64 ? 1e-12 : type == .float32 ? 3e-6 : 2e-2
        for (a, b) in zip(found, expected) { #expect(try Self.error(a, b) < limit) }
        let seeds = try expected.map { try generator.normal($0.shape, .float64).to(type).to(.float64) }
        let a = try Tensor.gradients(of: expected, seeds: seeds, withRespectTo: exact + wide)
        let b = try Tensor.gradients(
            of: found, seeds: seeds.map { try $0.to(type) }, withRespectTo: narrow + mixed)
        for (index, (x, y)) in zip(a, b).enumerated() {
            let (x, y) = (try #require(x), try #require(y))
            // Sums over all elements are of the exact inputs: they do not suffer from a narrow type.
            #expect(try Self.error(y, x) < (index > k ? Swift.min(limit, 1e-4) : limit), "gradient \(index)")
        }
    }

    @Test func `Gradients of p, g and the streams are finite differences`() throws {
        let generator = try Generator(seed: 8)
        let inputs =
            try [generator.normal([2, 2], .float64), generator.normal([2], .float64)]
            + (0..<2).map { _ in try generator.normal([1, 3, 4], .float64) }
        func loss(_ t: [Tensor], _ input: AltUpConfiguration.LayerInput) throws -> Tensor {
            let read =
                input == .old
                ? t[2] : try FusedOperators.altUpPrediction([t[2], t[3]], prediction: t[0], active: 0)
            let mixed = try FusedOperators.altUpMix(
                [t[2], t[3]], layerOutput: read.tanh() * 3, prediction: t[0], correction: t[1], active: 0)
            return try (mixed[0] * mixed[0]).sum() + (mixed[1].sin() * mixed[0]).sum()
        }
        for input in AltUpConfiguration.LayerInput.allCases {
            try expectFiniteDifferences(of: { try loss($0, input) }, at: inputs)
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `With p = I and g = 1 equal streams stay equal and become the layer's output, bit for bit`(
        type: ElementType
    ) throws {
        let generator = try Generator(seed: 4)
        let x = try generator.normal([2, 3, 100]).to(type)
        let y = try (x + generator.normal([2, 3, 100]).to(type)).to(type)
        for k in 1...5 {
            let p = try Tensor.from((0..<k * k).map { $0 / k == $0 % k ? Float(1) : 0 }, [k, k])
            let mixed = try FusedOperators.altUpMix(
                [Tensor](repeating: x, count: k), layerOutput: y, prediction: p,
                correction: Tensor.ones([k]), active: k - 1)
            for stream in mixed { #expect(try stream.doubles() == y.doubles()) }
        }
    }

    @Test func `Gradients of p and g are the same bit for bit with any number of threads`() throws {
        let generator = try Generator(seed: 6)
        let streams = try (0..<3).map { _ in try generator.normal([8, 64, 129]) }
        let p = try generator.normal([2, 2]).requiringGradient()
        let g = try generator.normal([2]).requiringGradient()
        func gradients() throws -> [[Double]] {
            let mixed = try FusedOperators.altUpMix(
                [streams[0], streams[1]], layerOutput: streams[2], prediction: p, correction: g, active: 1)
            let loss = try (mixed[0] * mixed[1]).sum()
            return try Tensor.gradients(of: [loss], seeds: [nil], withRespectTo: [p, g])
                .map { try $0?.doubles() ?? [] }
        }
        let first = try gradients()
        for _ in 0..<3 { #expect(try gradients() == first) }
    }

    @Test func `Streams of different shapes are refused`() throws {
        let (a, b) = (try Tensor.ones([1, 2, 3]), try Tensor.ones([1, 2, 4]))
        let (p, g) = (try Tensor.ones([2, 2]), try Tensor.ones([2]))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.altUpMix([a, b], layerOutput: a, prediction: p, correction: g, active: 0)
            }.contains("blocks must have one shape and type"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.altUpMix([a, a], layerOutput: a, prediction: p, correction: g, active: 2)
            }.contains("there is no block 2 among 2"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.altUpMix([a], layerOutput: a, prediction: p, correction: g, active: 0)
            }.contains("mixing 1 blocks needs p [K, K] and g [K]"))
    }

    @Test func `A stack of plain layers takes every kind`() throws {
        let d = 8
        for configuration in [
            AltUpConfiguration(), AltUpConfiguration(kind: .recycled, streamCount: 4),
            AltUpConfiguration(kind: .sum, streamCount: 3), AltUpConfiguration(kind: .gemma, streamCount: 4),
            AltUpConfiguration(selection: .same, layerInput: .predicted, initialization: .averaging),
            .sequence(SequenceReductionConfiguration(stride: 2)),
            AltUpConfiguration(sequence: SequenceReductionConfiguration(mode: .skip, stride: 3)),
        ] {
            let store = ParameterStore(source: .random(seed: 1))
            let stack = try AltUpStack(
                configuration, hiddenSize: d, layerCount: 3, scope: store.root,
                layerScope: { store.root.scope("layers.\($0)") })
            let generator = try Generator(seed: 2)
            let x = try generator.normal([2, 7, configuration.embeddingWidth(hiddenSize: d)])
            var streams = try stack.expand(x)
            var lengths: [Int] = []
            for layer in 0..<3 {
                streams = try stack.layer(layer, streams) { x, stride in
                    lengths.append(x.size(1))
                    #expect(x.size(1) == (7 + stride - 1) / stride && x.size(2) == d && x.isContiguous)
                    return try x + x.tanh()
                }
            }
            let stride = configuration.sequence?.stride ?? 1
            #expect(lengths == [7, (7 + stride - 1) / stride, 7])
            let output = try stack.collapse(streams)
            #expect(output.shape == [2, 7, configuration.outputWidth(hiddenSize: d)])
            #expect(try output.allFinite())
            let declared = store.entries.map { "\($0.name) \($0.tensor.shape)" }
            let counted =
                (0..<3).flatMap { layer in
                    expectedParameters(configuration, layer, of: 3, d)
                        .map { "layers.\(layer).\($0.name) \($0.shape)" }
                } + expectedParameters(configuration, d).map { "\($0.name) \($0.shape)" }
            #expect(declared.sorted() == counted.sorted())
        }
    }
}
