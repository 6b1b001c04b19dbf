import Foundation
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct StateSpaceTests {
    /// A system with the initial values of a layer: Δ from 1e-3 to 1e-1, S4D-Lin.
    private func system(
        channels: Int, stateSize: Int = 16, _ discretization: Discretization = .zeroOrderHold,
        initialization: StateSpaceInitialization = .linear, steps: ClosedRange<Double> = 1e-3...1e-1,
        seed: UInt64 = 2
    ) throws -> DiagonalSystem {
        let generator = try Generator(seed: seed)
        let modes = stateSize / 2
        let logSteps = (0..<channels).map {
            log(steps.lowerBound)
                + (log(steps.upperBound) - log(steps.lowerBound)) * Double($0) / Double(max(1, channels - 1))
        }
        let frequencies = initialization.frequencies(stateSize: stateSize)
        return try DiagonalSystem(
            logStep: Tensor.from(logSteps), logDecay: Tensor.full([channels, modes], log(0.5), .float64),
            frequency: Tensor.from((0..<channels).flatMap { _ in frequencies }, [channels, modes]),
            input: nil,
            readout: ComplexTensor(
                real: generator.normal([channels, modes], .float64),
                imaginary: generator.normal([channels, modes], .float64)),
            skip: generator.normal([channels], .float64), discretization: discretization)
    }

    @Test(arguments: [1, 2, 5, 40, 129], Discretization.allCases)
    func `All forms equal the definition`(length: Int, discretization: Discretization) throws {
        let generator = try Generator(seed: 3)
        let system = try system(channels: 5, discretization, initialization: .inverse)
        let u = try generator.normal([2, length, 5], .float64)
        for state in [nil, try generator.normal([2, 5, 2, 8], .float64)] {
            let expected = try StateSpace.definition(u, system, state: state)
            var found = [
                try StateSpace.parallel(u, system, state: state),
                try StateSpace.recurrent(u, system, state: state),
            ]
            for chunk in [1, 3, 16, 64, 200] {
                found.append(try StateSpace.chunkwise(u, system, state: state, chunkLength: chunk))
            }
            for result in found {
                #expect(try relativeError(result.output, expected.output) < 1e-12)
                #expect(try relativeError(result.state, expected.state) < 1e-12)
            }
        }
    }

    @Test(arguments: Discretization.allCases)
    func `Filters equal the sum of powers`(discretization: Discretization) throws {
        let system = try system(channels: 3, discretization)
        let kernel = try system.kernel(length: 200, .float64)
        // The response to an impulse, without D.
        var impulse = [Double](repeating: 0, count: 200 * 3)
        for channel in 0..<3 { impulse[channel] = 1 }
        let response = try StateSpace.definition(Tensor.from(impulse, [1, 200, 3]), system, state: nil).output
        let first = try response.sliced(1, 0..<1) - system.skip.reshaped([1, 1, 3])
        let expected = try Tensor.concatenated([first, response.sliced(1, 1..<200)], axis: 1)
        #expect(try relativeError(kernel.transposed(0, 1).unsqueezed(0), expected) < 1e-12)
    }

    @Test func `One real mode is a scalar decay`() throws {
        let gamma = 0.93
        let real = { (value: Double) in
            ComplexTensor(
                real: try Tensor.full([1, 1], value, .float64), imaginary: try Tensor.zeros([1, 1], .float64))
        }
        let system = DiagonalSystem(
            logTransition: try real(log(gamma)), input: try real(1), readout: try real(0.5),
            skip: try Tensor.zeros([1], .float64))
        let u = try Generator(seed: 3).normal([1, 50, 1], .float64)
        let values = try u.doubles()
        var (sum, expected) = (0.0, [Double]())
        for value in values {
            sum = gamma * sum + value
            expected.append(sum)
        }
        let outputs = try Tensor.from(expected, [1, 50, 1])
        #expect(try relativeError(StateSpace.parallel(u, system, state: nil).output, outputs) < 1e-12)
        #expect(
            try relativeError(StateSpace.chunkwise(u, system, state: nil, chunkLength: 8).output, outputs)
                < 1e-12)
    }

    @Test(arguments: [1e-3, 1e-6, 0.1])
    func `Inputs of small steps keep their digits`(step: Double) throws {
        // One mode at A = -½ in float32 parameters, against expm1 in float64: (e^(ΔA) - 1) / A.
        let zeros = try Tensor.zeros([1, 1])
        let system = try DiagonalSystem(
            logStep: Tensor.from([Float(log(step))]), logDecay: Tensor.full([1, 1], log(0.5)),
            frequency: zeros,
            input: nil, readout: ComplexTensor(real: Tensor.ones([1, 1]), imaginary: zeros),
            skip: Tensor.zeros([1]),
            discretization: .zeroOrderHold)
        let exact = expm1(-0.5 * step) / -0.5
        #expect(abs(try system.input.real.item() / exact - 1) < 1e-6)
        #expect(abs(try system.input.imaginary.item()) < 1e-15)
    }

    @Test(arguments: [ElementType.float32, .bfloat16], Discretization.allCases)
    func `Long sequences stay exact in narrow types`(type: ElementType, discretization: Discretization) throws
    {
        let length = 16_384
        let system = try system(channels: 4, stateSize: 64, discretization)
        let u = try Generator(seed: 3).normal([1, length, 4], .float64).to(type)
        let exact = try StateSpace.parallel(u.to(.float64), system, state: nil)
        // Outputs are float32 whatever the input, so both types have the limit of float32.
        for result in [
            try StateSpace.parallel(u, system, state: nil),
            try StateSpace.chunkwise(u, system, state: nil, chunkLength: 256),
        ] {
            #expect(result.output.elementType == .float32)
            #expect(try relativeError(result.output, exact.output) < 1e-5)
            #expect(try relativeError(result.state, exact.state) < 1e-5)
        }
    }

    @Test func `Long recurrences drift no further than rounding`() throws {
        let configuration = S4DConfiguration(channelCount: 8, stateSize: 64)
        let (exact, narrow) = (
            ParameterStore(source: .random(seed: 1), elementType: .float64),
            ParameterStore(source: .random(seed: 1))
        )
        let context = LayerContext(hiddenSize: 8)
        let (wide, small) = (
            try configuration.makeMixer(exact.root, context),
            try configuration.makeMixer(narrow.root, context)
        )
        for entry in narrow.entries {
            try #require(exact[entry.name]).copy(from: entry.tensor)
        }
        let x = try Generator(seed: 3).normal([1, 16_384, 8], .float64)
        let expected = try runPieces(wide, x, [(16_384, .parallel)])
        let found = try withoutGradients { try runPieces(small, x.to(.float32), [(16_384, .recurrent)]) }
        #expect(try relativeError(found.output, expected.output) < 1e-5)
        #expect(try relativeError(found.state.tensors[0].tensor, expected.state.tensors[0].tensor) < 1e-5)
    }

    @Test func `Parameters are those of the budget`() throws {
        func count(_ configuration: S4DConfiguration) throws -> Int {
            try configuration.parameterShapes(hiddenSize: 1024).reduce(0) { $0 + $1.shape.reduce(1, *) }
        }
        #expect(try count(S4DConfiguration(channelCount: 1024)) == 2_232_320)
        #expect(try count(S4DConfiguration(channelCount: 1024, block: .gated)) == 3_278_848)
        #expect(S4DConfiguration(channelCount: 1024).stateElementCount(tokenCount: 9) * 16 == 1_048_576)
    }

    @Test func `Initial values are those of the papers`() throws {
        let store = ParameterStore(source: .random(seed: 5))
        _ = try S4DConfiguration(channelCount: 300).makeMixer(store.root, LayerContext(hiddenSize: 300))
        let steps = try #require(store["state_space.log_step"]).exp()
        #expect(try steps.min().item() >= 1e-3 * 0.999 && steps.max().item() <= 1e-1 * 1.001)
        #expect(try abs(steps.log().mean().item() - log(1e-2)) < 0.3)
        let frequencies = try #require(store["state_space.frequency"]).doubles()
        #expect(abs(frequencies[33] - .pi) < 1e-5)
        let readout = try #require(store["state_space.readout"])
        #expect(try abs((readout * readout).mean().item() - 0.5) < 0.03)
        for name in ["log_step", "log_decay", "frequency"] {
            let entry = try #require(store.entries.first { $0.name == "state_space.\(name)" })
            #expect(entry.maximumLearningRate == 1e-3 && !entry.decays)
        }
        let inverse = StateSpaceInitialization.inverse.frequencies(stateSize: 64)
        #expect(abs(inverse[0] - 64 / .pi * 63) < 1e-9 && abs(inverse[1] - 64 / .pi * (64.0 / 3 - 1)) < 1e-9)
    }

    @Test func `The block glu needs the width of the model`() throws {
        let store = ParameterStore(source: .random(seed: 5))
        #expect(throws: MixerError.wrongWidth(mixer: "s4d", expected: 8, found: 12)) {
            _ = try S4DConfiguration(channelCount: 8).makeMixer(store.root, LayerContext(hiddenSize: 12))
        }
    }
}
