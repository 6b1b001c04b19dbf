import Foundation
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// AFT against its formula, and its relation to WKV.
@Suite struct AFTTests {
    /// A bias [T, T] that is zero outside a window, as by-token biases and whole.
    private static func bias(_ length: Int, window: Int, deviation: Double = 1) throws -> Tensor {
        let full = try Generator(seed: 3).normal([length, length], standardDeviation: deviation, .float64)
        return try full.lowerTriangle() - full.lowerTriangle(diagonal: -window)
    }

    @Test(arguments: [1, 2, 7, 40], [1, 3, 8, 64])
    func `Windows equal the formula`(length: Int, window: Int) throws {
        let x = try AverageInputs(length: length, channels: 70, keyDeviation: 3)
        let bias = try Self.bias(length, window: window)
        let exact = try AFT.definition(x.key, x.value, bias: bias)
        let context = AFT.Context(bias: .byToken(try bias.unsqueezed(0)), window: window)
        #expect(try relativeError(AFT.fused(x.key, x.value, context).output, exact) < 1e-12)
        #expect(try relativeError(AFT.recurrent(x.key, x.value, context).output, exact) < 1e-12)
        let simple = try AFT.definition(x.key, x.value, bias: nil)
        #expect(try relativeError(AFT.fused(x.key, x.value, .init()).output, simple) < 1e-12)
        #expect(
            try relativeError(
                AFT.recurrent(x.key, x.value, .init(bias: nil, window: 1)).output, simple) < 1e-12)
    }

    @Test func `WKV without decay and bonus is AFT-simple`() throws {
        let x = try AverageInputs(length: 33)
        let zero = try Tensor.zeros([5], .float64)
        let wkv = try WKV.definition(x.key, x.value, decay: zero, bonus: zero, sums: nil)
        #expect(try relativeError(AFT.definition(x.key, x.value, bias: nil), wkv.output) < 1e-13)
        #expect(try relativeError(AFT.fused(x.key, x.value, .init()).output, wkv.output) < 1e-12)
    }

    @Test func `AFT with biases of a decay and a bonus is WKV`() throws {
        let (length, decay, bonus) = (23, 0.3, -0.7)
        let x = try AverageInputs(length: length)
        let values = (0..<length).flatMap { t in
            (0..<length).map { i in i == t ? bonus : -Double(t - 1 - i) * decay }
        }
        let bias = try Tensor.from(values, [1, length, length])
        let wkv = try WKV.fused(
            x.key, x.value, decay: Tensor.full([5], decay, .float64),
            bonus: Tensor.full([5], bonus, .float64),
            sums: nil
        ).output
        #expect(try relativeError(AFT.definition(x.key, x.value, bias: bias.squeezed(0)), wkv) < 1e-12)
        let context = AFT.Context(bias: .byToken(bias), window: length, absorbs: false)
        #expect(try relativeError(AFT.fused(x.key, x.value, context).output, wkv) < 1e-12)
    }

    /// A history of rows with different pasts, with padding that must not be read.
    private static func history(_ channels: Int) throws -> FusedOperators.WindowHistory {
        let generator = try Generator(seed: 9)
        return FusedOperators.WindowHistory(
            key: try generator.normal([3, 6, channels], .float64),
            value: try generator.normal([3, 6, channels], .float64), ranges: [0..<6, 2..<2, 1..<4])
    }

    @Test(arguments: [true, false], [2, 5, 30])
    func `The kernel equals single steps from any past, gradients too`(byToken: Bool, window: Int) throws {
        let channels = 66
        func results(_ form: (Tensor, Tensor, AFT.Context) throws -> AFT.Result) throws -> [Tensor] {
            let x = try AverageInputs(batch: 3, length: 11, channels: channels, carried: true)
            var past = try Self.history(channels)
            past.key = try past.key.requiringGradient()
            past.value = try past.value.requiringGradient()
            let bias = try Generator(seed: 2).normal([byToken ? 3 : 1, 11, byToken ? 17 : window], .float64)
                .requiringGradient()
            let leaves = [x.key, x.value] + x.inputs.dropFirst(4)
            for leaf in leaves { try leaf.requiringGradient() }
            let r = try form(
                x.key, x.value,
                AFT.Context(
                    bias: byToken ? .byToken(bias) : .byLag(bias), window: window, history: past, sums: x.sums
                ))
            let outputs = [r.output, r.sums.numerator, r.sums.denominator, r.sums.exponent]
            let generator = try Generator(seed: 4)
            let seeds = try outputs.map { try generator.normal($0.shape, .float64) }
            let gradients = try Tensor.gradients(
                of: outputs, seeds: seeds, withRespectTo: leaves + [past.key, past.value, bias])
            return try outputs + gradients.map { try #require($0) }
        }
        let (found, expected) = (try results(AFT.fused), try results(AFT.recurrent))
        for (index, (a, b)) in zip(found, expected).enumerated() {
            #expect(try relativeError(a, b) < 1e-11, "\(index)")
        }
    }

    @Test func `Gradients of the kernel equal finite differences`() throws {
        let x = try AverageInputs(batch: 1, length: 5, channels: 2, carried: true)
        let generator = try Generator(seed: 7)
        let inputs =
            try [x.key, x.value] + x.inputs.dropFirst(4) + [
                generator.normal([1, 5, 3], .float64), generator.normal([1, 2, 2], .float64),
                generator.normal([1, 2, 2], .float64),
            ]
        for input in inputs { try input.requiringGradient() }
        try expectSlopes(of: inputs) { inputs in
            let r = try AFT.fused(
                inputs[0], inputs[1],
                AFT.Context(
                    bias: .byLag(inputs[5]), window: 3,
                    history: .init(key: inputs[6], value: inputs[7], ranges: [0..<2]),
                    sums: ExponentialSums(numerator: inputs[2], denominator: inputs[3], exponent: inputs[4])))
            return try (r.output * r.output).sum() + (r.sums.numerator * 0.7).sum() + r.sums.exponent.sum()
        }
    }

    @Test func `A key larger by 120 late in the sequence leaves earlier outputs exact`() throws {
        let generator = try Generator(seed: 2)
        var keys = try generator.normal([1, 60, 3], .float64)
        keys = try Tensor.concatenated([keys.sliced(1, 0..<50), keys.sliced(1, 50..<60) + 120], axis: 1)
        let v = try generator.normal([1, 60, 3], .float64)
        for (window, variant) in [(60, "full"), (4, "local"), (1, "simple")] {
            let bias = try Self.bias(60, window: window, deviation: 2)
            let simple = variant == "simple"
            let exact = try AFT.definition(keys, v, bias: simple ? nil : bias)
            let found = try AFT.fused(
                keys.to(.float32), v.to(.float32),
                .init(bias: simple ? nil : .byToken(bias.unsqueezed(0)), window: window)
            ).output
            #expect(try relativeError(found, exact) < 5e-6, "\(variant)")
            #expect(try relativeError(found.sliced(1, 0..<50), exact.sliced(1, 0..<50)) < 5e-6, "\(variant)")
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Local windows stay exact over 16,384 tokens`(type: ElementType) throws {
        let variant = AFTVariant.local(window: 9, bias: .relative)
        let subject = Subject("aft", .aft(AFTConfiguration(channelCount: 6, variant: variant)), hiddenSize: 6)
        let (exact, narrow) = (try subject.make().mixer, try subject.make(.float32).mixer)
        let x = try Generator(seed: 8).normal([1, 16384, 6], .float64).to(type)
        let expected = try runPieces(exact, x.to(.float64), [(16384, .parallel)])
        let found = try runPieces(narrow, x, [(16384, .parallel)])
        #expect(try relativeError(found.output, expected.output) < (type == .float32 ? 1e-5 : 1e-2))
    }

    @Test func `Positions beyond the biases are refused with what to do`() throws {
        for variant in [
            AFTVariant.full(rank: 2, maximumLength: 8),
            .local(window: 3, bias: .factorized(rank: 2, maximumLength: 8)),
        ] {
            let subject = Subject(
                "aft", .aft(AFTConfiguration(channelCount: 4, variant: variant)), hiddenSize: 4)
            let mixer = try subject.make().mixer
            let x = try Generator(seed: 8).normal([1, 6, 4], .float64)
            let first = try runPieces(mixer, x, [(6, .parallel)])
            let error = #expect(throws: MixerError.self) {
                _ = try runPieces(mixer, x, [(6, .parallel)], state: first.state, positions: first.positions)
            }
            #expect(error?.description.contains("reaches position 12") == true)
            #expect(error?.description.contains("maximum_length") == true)
            // Rebasing does not make room: biases stay those of the positions that tokens had.
            let moved = try mixer.rebased(first.state, by: [6])
            #expect(
                errorText(MixerError.self) {
                    _ = try runPieces(
                        mixer, x, [(6, .parallel)], state: moved,
                        positions: [SequencePosition(position: 0, count: 6)])
                }.contains("reaches position 12 but was made for 8 positions"))
        }
    }

    @Test func `Parameters fit the budget of a block`() throws {
        func count(_ variant: AFTVariant) throws -> Int {
            try AFTConfiguration(channelCount: 1024, variant: variant).parameterShapes(hiddenSize: 1024)
                .reduce(0) { $0 + $1.shape.reduce(1, *) }
        }
        #expect(try count(.simple) == 4_194_304)
        #expect(try count(.full(rank: 128, maximumLength: 2048)) == 4_718_592)
        #expect(try count(.local(window: 32, bias: .factorized(rank: 128, maximumLength: 2048))) == 4_718_592)
        #expect(try count(.local(window: 32, bias: .relative)) == 4_194_304 + 32)
        let local = AFTConfiguration(channelCount: 8, variant: .local(window: 4, bias: .relative))
        #expect(local.stateElementCount(tokenCount: 100) == 9 * 8 + 1)
        let full = AFTConfiguration(channelCount: 8, variant: .full(rank: 2, maximumLength: 64))
        #expect(full.stateElementCount(tokenCount: 10) == 161)
        #expect(full.stateGrows)
        #expect(!local.stateGrows)
    }
}
