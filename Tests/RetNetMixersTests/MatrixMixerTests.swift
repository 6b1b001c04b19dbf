import Foundation
import RetNetLayers
import RetNetMixers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// The layers over matrix recurrences: sizes, initial values and their particularities.
@Suite struct MatrixMixerTests {
    private func parameterCount(_ architecture: any MixerBuilding, without prefix: String = "\u{0}")
        throws -> Int
    {
        try architecture.parameterShapes(hiddenSize: 1024).filter { !$0.name.hasPrefix(prefix) }
            .reduce(0) { $0 + $1.shape.reduce(1, *) }
    }

    @Test func `Parameters are those of the published layers at a width of 1024`() throws {
        #expect(try parameterCount(GatedRetentionConfiguration(width: 1024, headCount: 4)) == 5_246_976)
        #expect(try parameterCount(Mamba2Configuration(width: 1024)) == 6_600_032)
        // The counts below leave out the norm's weight, one a value channel of a head.
        let attention = GatedLinearAttentionConfiguration(width: 1024, headCount: 4)
        #expect(try parameterCount(attention, without: "head_norm") == 4_219_392)
        #expect(try parameterCount(attention) == 4_219_392 + 256)
        let plain = GatedDeltaNetConfiguration.deltaNet(width: 1024, headCount: 4)
        #expect(try parameterCount(plain, without: "head_norm") == 4_210_688)
        let gated = GatedDeltaNetConfiguration(width: 1024, headCount: 4)
        #expect(try parameterCount(gated, without: "head_norm") == 6_311_944)
    }

    @Test func `States have the published sizes`() {
        func count(_ architecture: any MixerBuilding) -> Int {
            architecture.stateElementCount(tokenCount: 1000)
        }
        #expect(count(GatedRetentionConfiguration(width: 1024, headCount: 4)) == 4 * 256 * 256)
        #expect(count(GatedLinearAttentionConfiguration(width: 1024, headCount: 4)) == 1024 * 1024 / 8)
        #expect(count(Mamba2Configuration(width: 1024)) == 2048 * 128 + 3 * 2304)
        #expect(count(GatedDeltaNetConfiguration(width: 1024, headCount: 4)) == 4 * 192 * 384 + 3 * 3072)
    }

    private static let architectures: [any MixerBuilding] = [
        Mamba2Configuration(width: 512), GatedDeltaNetConfiguration(width: 512, headCount: 4),
    ]

    @Test(arguments: [0, 1])
    func `Rates and steps start in their published ranges and do not decay`(index: Int) throws {
        let store = ParameterStore(source: .random(seed: 2), elementType: .float64)
        let architecture = Self.architectures[index]
        _ = try architecture.makeMixer(
            store.root,
            LayerContext(hiddenSize: 512, initialization: MixerInitialization(depthFactor: 0.3)))
        let steps = try #require(store["step_bias"]).softplus()
        #expect(try steps.min().item() >= 1e-3 * 0.9999 && steps.max().item() <= 0.1 * 1.0001)
        let rates = try #require(store["decay_log"]).exp()
        #expect(try rates.min().item() >= (index == 0 ? 1 : 1e-4) * 0.9999)
        #expect(try rates.max().item() <= 16.0001)
        for entry in store.entries where ["step_bias", "decay_log", "skip"].contains(entry.name) {
            #expect(!entry.decays, "\(entry.name)")
        }
        for entry in store.entries where entry.name.hasSuffix("output.weight") { #expect(entry.decays) }
    }

    /// A mixer with given parameters, random where none are given.
    private func make(
        _ architecture: any MixerBuilding, hiddenSize: Int, _ values: [String: Double], seed: UInt64 = 3
    ) throws -> any TokenMixer {
        let generator = try Generator(seed: seed)
        let store = ParameterStore(
            source: .provided { name, shape in
                if let value = values[name] { return try Tensor.full(shape, value, .float64) }
                return try generator.normal(shape, .float64) * (shape.count > 1 ? 0.4 : 1)
            }, elementType: .float64)
        return try architecture.makeMixer(store.root, LayerContext(hiddenSize: hiddenSize))
    }

    @Test func `Gated retention with a constant gate is multi-scale retention`() throws {
        let gated = GatedRetentionConfiguration(
            headCount: 2, keySize: 6, valueSize: 6, headNorm: HeadNormConfiguration(epsilon: 1e-5))
        // Zero logits: ln γ = ln ½ / 16.
        let plain = RetentionConfiguration(
            headCount: 2, keySize: 6, valueSize: 6, decay: .uniform(pow(0.5, 1.0 / 16)), normalization: .none,
            headNorm: HeadNormConfiguration(epsilon: 1e-5))
        let store = ParameterStore(source: .random(seed: 5), elementType: .float64)
        let retention = try plain.makeMixer(store.root, LayerContext(hiddenSize: 12))
        let own = ParameterStore(
            source: .provided { name, shape in
                try store[name] ?? Tensor.zeros(shape, .float64)
            }, elementType: .float64)
        let mixer = try gated.makeMixer(own.root, LayerContext(hiddenSize: 12))
        let x = try Generator(seed: 8).normal([2, 33, 12], .float64)
        let start = [SequencePosition(position: 7), SequencePosition(position: 7)]
        for form in [MixerForm.parallel, .chunkwise(8), .recurrent] {
            let found = try runPieces(mixer, x, [(20, form), (13, form)], positions: start)
            let expected = try runPieces(retention, x, [(20, form), (13, form)], positions: start)
            #expect(try relativeError(found.output, expected.output) < 1e-12, "\(form)")
        }
    }

    @Test(arguments: [1e-3, 0.1, 30])
    func `Mamba-2 equals its recurrence word for word`(step: Double) throws {
        let c = Mamba2Configuration(headCount: 2, headSize: 3, stateSize: 4, convolutionWidth: 1, epsilon: 0)
        // Without logits the softplus of the bias is the step itself.
        let bias = step + Foundation.log(-expm1(-step))
        let store = ParameterStore(
            source: .provided { name, shape in
                if name == "step_bias" { return try Tensor.full(shape, bias, .float64) }
                let values = try Generator(seed: UInt64(name.count)).normal(shape, .float64)
                guard name == "input.weight" else { return values }
                return try Tensor.concatenated(
                    [values.sliced(0, 0..<20), Tensor.zeros([2, 5], .float64)], axis: 0)
            }, elementType: .float64)
        let mixer = try c.makeMixer(store.root, LayerContext(hiddenSize: 5))
        let x = try Generator(seed: 8).normal([1, 12, 5], .float64)
        let projected = try x.linear(#require(store["input.weight"]))
        let active = try projected.sliced(2, 6..<20).silu()
        let rates = try #require(store["decay_log"]).exp().doubles()
        let skips = try #require(store["skip"]).doubles()
        var memory = [[[Double]]](
            repeating: .init(repeating: .init(repeating: 0, count: 3), count: 4), count: 2)
        var rows: [Double] = []
        let numbers = try active.doubles()
        for t in 0..<12 {
            let row = Array(numbers[t * 14..<(t + 1) * 14])
            for head in 0..<2 {
                for p in 0..<3 {
                    let value = row[head * 3 + p]
                    var sum = skips[head] * value
                    for n in 0..<4 {
                        memory[head][n][p] =
                            exp(-step * rates[head]) * memory[head][n][p] + step * row[6 + n] * value
                        sum += row[10 + n] * memory[head][n][p]
                    }
                    rows.append(sum)
                }
            }
        }
        let gated = try Tensor.from(rows, [1, 12, 6]) * projected.sliced(2, 0..<6).silu()
        let normal = try gated * (gated * gated).mean([-1], keepingAxes: true).rsqrt()
        let expected = try (normal * #require(store["norm.weight"])).linear(#require(store["output.weight"]))
        for form in [MixerForm.parallel, .chunkwise(5), .recurrent] {
            let found = try runPieces(mixer, x, [(12, form)]).output
            #expect(try relativeError(found, expected) < 1e-12, "\(form)")
        }
    }

    @Test(arguments: [1.0, 2])
    func `Equal tokens for a long time leave the delta rule's state bounded`(range: Double) throws {
        let c = GatedDeltaNetConfiguration.deltaNet(width: 8, headCount: 2, betaRange: range)
        // Logits of 40: β is its upper end to the last digit.
        let store = ParameterStore(
            source: .provided { name, shape in
                let values = try Generator(seed: UInt64(name.count)).normal(shape)
                return name == "strength.weight" ? try Tensor.full(shape, 40) : values
            }, elementType: .float32)
        let mixer = try c.makeMixer(store.root, LayerContext(hiddenSize: 8))
        let token = try Generator(seed: 8).normal([1, 1, 8]).abs()
        for type in [ElementType.float32, .bfloat16] {
            let x = try token.expanded([1, 4000, 8]).contiguous().to(type)
            for form in [MixerForm.chunkwise(64), .recurrent] {
                let result = try withoutGradients { try runPieces(mixer, x, [(4000, form)]) }
                #expect(try result.output.allFinite())
                let memory = try #require(result.state.tensors.first { $0.name == "memory" }).tensor
                #expect(try memory.abs().max().item() < 200, "\(type) \(form)")
            }
        }
    }

    @Test func `Contradictory settings are reported`() throws {
        for text in [
            #"{"kind": "gated_retention", "head_count": 2, "key_size": 3, "value_size": 2}"#,
            #"{"kind": "mamba2", "head_count": 4, "group_count": 3}"#,
            #"{"kind": "gated_delta_net", "head_count": 2, "key_size": 3, "value_size": 2, "beta_range": 3}"#,
            #"{"kind": "gated_linear_attention", "head_count": 60000, "key_size": 60000, "value_size": 2}"#,
        ] {
            let reader = try SettingsDocument(json: text).reader
            _ = MixerConfiguration(reading: reader)
            #expect(throws: (any Error).self, "\(text)") { try reader.finish() }
        }
    }
}
