import Foundation
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct HyenaTests {
    private func layer(
        _ configuration: HyenaConfiguration = HyenaConfiguration(
            channelCount: 6, maximumLength: 64, featureCount: 5, filterSize: 8), type: ElementType = .float64
    ) throws -> (mixer: any TokenMixer, store: ParameterStore) {
        let store = ParameterStore(source: .random(seed: 6), elementType: type)
        return (try configuration.makeMixer(store.root, LayerContext(hiddenSize: 6)), store)
    }

    @Test func `Without filters it is a product of three projections`() throws {
        let (mixer, store) = try layer()
        try #require(store["filter.layer_3.weight"]).copy(from: Tensor.zeros([1], .float64))
        try #require(store["filter.bias"]).copy(from: Tensor.ones([1], .float64))
        let x = try Generator(seed: 3).normal([2, 9, 6], .float64)
        let all = try x.linear(#require(store["input.weight"]), bias: store["input.bias"])
        let padded = try Tensor.concatenated([Tensor.zeros([2, 2, 18], .float64), all], axis: 1)
        let taps = try #require(store["short.weight"])
        var short = try #require(store["short.bias"]).reshaped([1, 1, 18])
        for j in 0..<3 { short = try short + padded.sliced(1, j..<j + 9) * taps.selected(1, j) }
        let product = try short.sliced(2, 0..<6) * short.sliced(2, 6..<12) * short.sliced(2, 12..<18)
        let y = try product.linear(#require(store["output.weight"]), bias: store["output.bias"])
        for form in [MixerForm.parallel, .chunkwise(4), .recurrent] {
            #expect(try relativeError(runPieces(mixer, x, [(9, form)]).output, y) < 1e-12)
        }
    }

    @Test(arguments: [MixerForm.parallel, .chunkwise(1), .chunkwise(7), .recurrent])
    func `Filters act as the sum that defines them`(form: MixerForm) throws {
        let generator = try Generator(seed: 3)
        let z = try generator.normal([2, 40, 5], .float64)
        let (taps, bias) = (try generator.normal([40, 5], .float64), try generator.normal([5], .float64))
        for (starts, length) in [([0, 0], 40), ([3, 17], 20)] {
            let expected = try Hyena.filterDefinition(
                z, taps: taps, bias: bias, starts: starts, length: length)
            let found = try Hyena.filter(
                z, taps: taps, bias: bias, starts: starts, length: length, form: form)
            #expect(try relativeError(found, expected) < 1e-12)
        }
    }

    @Test func `Shorter sequences use a prefix of the same filters`() throws {
        let (mixer, _) = try layer()
        let x = try Generator(seed: 3).normal([1, 64, 6], .float64)
        let whole = try runPieces(mixer, x, [(64, .parallel)]).output
        for length in [1, 10, 33] {
            let part = try runPieces(mixer, x.sliced(1, 0..<length), [(length, .parallel)]).output
            #expect(try relativeError(part, whole.sliced(1, 0..<length)) < 1e-12)
        }
    }

    @Test func `Beyond its length it says what to do`() throws {
        let (mixer, _) = try layer()
        let x = try Generator(seed: 3).normal([1, 65, 6], .float64)
        #expect(
            errorText(MixerError.self) { _ = try runPieces(mixer, x, [(65, .parallel)]) }.contains(
                "reaches position 65 but was made for 64 positions"))
        let full = try runPieces(mixer, x, [(64, .parallel)])
        let error = #expect(throws: MixerError.self) {
            _ = try runPieces(
                mixer, x.sliced(1, 64..<65), [(1, .recurrent)], state: full.state, positions: full.positions)
        }
        guard case .tooLong(let name, 65, 64, let remedy) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name == "hyena" && remedy.contains("maximum_length"))
    }

    @Test func `Filters of a decoding follow the weights`() throws {
        let (mixer, store) = try layer()
        let x = try Generator(seed: 3).normal([1, 12, 6], .float64)
        try withoutGradients {
            _ = try runPieces(mixer, x, [(12, .recurrent)])
            for name in [
                "filter.sine", "filter.layer_1.weight", "filter.layer_2.bias", "filter.layer_3.weight",
            ] {
                try #require(store[name]).scale(by: 1.1)
                let found = try runPieces(mixer, x, [(11, .parallel), (1, .recurrent)]).output
                let (fresh, freshStore) = try layer()
                for entry in store.entries { try #require(freshStore[entry.name]).copy(from: entry.tensor) }
                #expect(
                    try relativeError(found, runPieces(fresh, x, [(12, .parallel)]).output) < 1e-12, "\(name)"
                )
            }
        }
    }

    @Test func `A long decoding appends in context and stays exact`() throws {
        let configuration = HyenaConfiguration(
            channelCount: 6, order: 3, maximumLength: 400, featureCount: 5, filterSize: 8)
        let (mixer, _) = try layer(configuration)
        let x = try Generator(seed: 3).normal([2, 300, 6], .float64)
        let expected = try runPieces(mixer, x, [(300, .parallel)]).output
        let found = try withoutGradients {
            try runPieces(mixer, x, [(100, .parallel)] + (0..<200).map { _ in (1, MixerForm.recurrent) })
                .output
        }
        #expect(try relativeError(found, expected) < 1e-12)
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Long sequences stay exact in narrow types`(type: ElementType) throws {
        let length = 16_384
        let generator = try Generator(seed: 3)
        let z = try generator.normal([1, length, 2], .float64).to(type)
        // The first filters of a layer: nearly white, with an L1 norm of tens.
        let decay = try (Tensor.range(to: Double(length), .float64) * (-4 / Double(length))).exp().unsqueezed(
            1)
        let taps = try generator.normal([length, 2], .float64) * decay * 0.1
        let bias = try Tensor.ones([2], .float64)
        let exact = try Hyena.filter(
            z.to(.float64), taps: taps, bias: bias, starts: [0], length: length, form: .parallel)
        for form in [MixerForm.parallel, .chunkwise(5000)] {
            let found = try Hyena.filter(
                z, taps: taps.to(.float32), bias: bias.to(.float32), starts: [0], length: length, form: form)
            #expect(try relativeError(found, exact) < (type == .float32 ? 5e-6 : 5e-3))
        }
    }

    @Test func `First filters are nearly white whatever the model's initialization`() throws {
        func filters(_ initialization: MixerInitialization) throws -> [Double] {
            let store = ParameterStore(source: .random(seed: 6))
            let context = LayerContext(hiddenSize: 6, initialization: initialization)
            _ = try HyenaConfiguration(channelCount: 6).makeMixer(store.root, context)
            return try #require(store["filter.layer_0.weight"]).doubles()
        }
        let own = try filters(MixerInitialization())
        #expect(try filters(MixerInitialization(override: .normal(standardDeviation: 0.02))) == own)
        #expect((own.max() ?? 0) > 0.15 && (own.max() ?? 0) < 1 / 33.0.squareRoot())
    }

    @Test func `Parameters are those of the budget`() throws {
        func count(_ configuration: HyenaConfiguration) throws -> Int {
            try configuration.parameterShapes(hiddenSize: 1024).reduce(0) { $0 + $1.shape.reduce(1, *) }
        }
        #expect(try count(HyenaConfiguration(channelCount: 1024)) == 4_287_808)
        #expect(try count(HyenaConfiguration(channelCount: 1024, trainsFeatures: true)) == 4_355_392)
        #expect(
            HyenaConfiguration(channelCount: 1024).stateElementCount(tokenCount: 2048) == 2048 * 1024 + 2
                * 3072)
    }
}
