import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct ShortConvolutionTests {
    private func make(_ type: ElementType = .float64) throws -> ShortConvolution {
        let store = ParameterStore(source: .random(seed: 2), elementType: type)
        return try ShortConvolution(
            store.root, channels: 6, width: 4, bias: true, initializer: .normal(standardDeviation: 0.5))
    }

    @Test(arguments: [1, 2, 3, 4, 9], [ElementType.float64, .float32, .bfloat16])
    func `The kernel equals the definition, in pieces too`(length: Int, type: ElementType) throws {
        let exact = try make()
        let convolution = try make(type == .float64 ? .float64 : .float32)
        let generator = try Generator(seed: 3)
        let x = try generator.normal([2, length, 6], .float64).to(type)
        let ring = try generator.normal([2, 3, 6], .float64).to(type.accumulator)
        for ring in [nil, ring] {
            let expected = try exact.definition(x.to(.float64), ring: ring?.to(.float64))
            let whole = try convolution(x, ring: ring)
            #expect(try relativeError(whole.output, expected.output) < tolerance(type))
            #expect(try relativeError(whole.ring, expected.ring) < tolerance(type))
            var (outputs, current) = ([Tensor](), ring)
            for position in 0..<length {
                let step = try convolution(x.sliced(1, position..<position + 1), ring: current)
                outputs.append(step.output)
                current = step.ring
            }
            #expect(
                try relativeError(Tensor.concatenated(outputs, axis: 1), expected.output) < tolerance(type))
        }
    }

    @Test(arguments: [1, 2])
    func `A pass leaves weights and inputs as they were`(length: Int) throws {
        let store = ParameterStore(source: .random(seed: 2))
        let convolution = try ShortConvolution(
            store.root, channels: 6, width: 4, bias: true, initializer: .normal(standardDeviation: 0.5))
        let x = try Generator(seed: 3).normal([1, length, 6])
        let ring = try Generator(seed: 4).normal([1, 3, 6])
        let before = try (store.tensors + [x, ring]).map { try $0.doubles() }
        let first = try withoutGradients { try convolution(x, ring: ring).output.doubles() }
        let second = try withoutGradients { try convolution(x, ring: ring).output.doubles() }
        #expect(first == second)
        #expect(try (store.tensors + [x, ring]).map { try $0.doubles() } == before)
    }

    @Test func `Gradients equal those of the definition`() throws {
        let generator = try Generator(seed: 3)
        let (x, ring) = (
            try generator.normal([2, 7, 6], .float64), try generator.normal([2, 3, 6], .float64)
        )
        let (g, h) = (try generator.normal([2, 7, 6], .float64), try generator.normal([2, 3, 6], .float64))
        func gradients(
            _ run: (ShortConvolution, Tensor, Tensor) throws -> (output: Tensor, ring: Tensor)
        ) throws -> [Tensor] {
            let store = ParameterStore(source: .random(seed: 2), elementType: .float64)
            let convolution = try ShortConvolution(store.root, channels: 6, width: 4, bias: true)
            try store.setRequiresGradient(true)
            let inputs = [try x.clone().requiringGradient(), try ring.clone().requiringGradient()]
            let result = try run(convolution, inputs[0], inputs[1])
            return try Tensor.gradients(
                of: [result.output, result.ring], seeds: [g, h], withRespectTo: inputs + store.tensors
            ).map { try #require($0) }
        }
        let expected = try gradients { try $0.definition($1, ring: $2) }
        for (a, b) in zip(try gradients({ try $0($1, ring: $2) }), expected) {
            #expect(try relativeError(a, b) < 1e-12)
        }
    }

    /// Widths, channels off the blocks of the kernel, rows that do not lie one after the other.
    @Test(
        arguments: [(1, 1, 5), (2, 9, 3), (4, 37, 130), (4, 2, 257), (7, 5, 16)],
        [ElementType.float64, .float32, .bfloat16])
    func `The kernel of training and its gradients equal the chain`(
        sizes: (width: Int, length: Int, channels: Int), type: ElementType
    ) throws {
        let (width, length, channels) = sizes
        for (activation, hasBias, carried) in [
            (FusedOperators.Activation.swish, true, true), (.none, false, false), (.gelu, false, true),
        ] {
            func run(_ type: ElementType, trains: Bool) throws -> [Tensor] {
                let generator = try Generator(seed: 3)
                func input(_ shape: [Int], _ wide: Bool) throws -> Tensor {
                    try generator.normal(shape, .float64).to(wide ? .float32 : .bfloat16)
                        .to(wide ? type.accumulator : type).detached().clone().requiringGradient()
                }
                let packed = try input([2, length, 2 * channels], false)
                let weight = try input([channels, width], true)
                let bias = hasBias ? try input([channels], true) : nil
                let ring = carried ? try input([2, width - 1, channels], true) : nil
                let result = try FusedOperators.shortConvolution(
                    packed.sliced(2, channels..<2 * channels), weight: weight, bias: bias, ring: ring,
                    activation: activation, trains: trains)
                let seeds = [
                    try generator.normal(result.output.shape, .float64).to(.bfloat16).to(type),
                    try generator.normal(result.ring.shape, .float64).to(type.accumulator),
                ]
                let inputs = [packed, weight] + [bias, width > 1 ? ring : nil].compactMap { $0 }
                let gradients = try Tensor.gradients(
                    of: [result.output, result.ring], seeds: seeds, withRespectTo: inputs)
                return try [result.output, result.ring] + gradients.map { try #require($0) }
            }
            let found = try run(type, trains: true)
            let expected = try FusedOperators.withoutKernels { try run(.float64, trains: false) }
            for (index, (a, b)) in zip(found, expected).enumerated() where b.elementCount > 0 {
                #expect(try relativeError(a, b) < tolerance(type), "\(index) \(activation)")
            }
        }
    }

    @Test func `Weights and biases start as those of PyTorch's depthwise convolutions`() throws {
        let store = ParameterStore(source: .random(seed: 2), elementType: .float64)
        _ = try ShortConvolution(store.root, channels: 400, width: 4, bias: true)
        for name in ["weight", "bias"] {
            let values = try #require(store[name]).doubles()
            // U(±1/√4): the bound and the deviation.
            #expect(values.allSatisfy { abs($0) <= 0.5 } && values.contains { abs($0) > 0.45 })
            let deviation = (values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot()
            #expect(abs(deviation - 1 / 12.0.squareRoot()) < 0.03)
        }
    }
}
