import Foundation
import RetNetLayers
import RetNetMixers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// The time mixing of RWKV-4: formula of the layer, initial values, accounting and settings.
@Suite struct RWKVTests {
    private func store(_ configuration: RWKVConfiguration, layer: Int, layers: Int) throws -> ParameterStore {
        let store = ParameterStore(source: .random(seed: 1))
        let context = LayerContext(hiddenSize: configuration.channelCount, layer: layer, layerCount: layers)
        _ = try configuration.makeMixer(store.root, context)
        return store
    }

    @Test func `The layer is its formula`() throws {
        let subject = Subject("rwkv", .rwkv(RWKVConfiguration(channelCount: 6)), hiddenSize: 6)
        let (mixer, store) = try subject.make()
        let x = try Generator(seed: 8).normal([2, 11, 6], .float64)
        func parameter(_ name: String) throws -> Tensor { try #require(store[name]) }
        let past = try Tensor.concatenated(
            [Tensor.zeros([2, 1, 6], .float64), x.sliced(1, 0..<10)], axis: 1)
        func shifted(_ mix: String, _ matrix: String) throws -> Tensor {
            let m = try parameter("time_mix_\(mix)")
            return try (x * m + past * (1 - m)).linear(parameter("\(matrix).weight"))
        }
        let wkv = try WKV.definition(
            shifted("key", "key"), shifted("value", "value"), decay: parameter("time_decay").exp(),
            bonus: parameter("time_first"), sums: nil)
        let expected = try (shifted("receptance", "receptance").sigmoid() * wkv.output).linear(
            parameter("output.weight"))
        #expect(try relativeError(runPieces(mixer, x, [(11, .parallel)]).output, expected) < 1e-12)
    }

    @Test func `Channel mixing is its formula`() throws {
        let configuration = RWKVChannelMixConfiguration(channelCount: 6, innerSize: 9)
        let (mixer, store) = try Subject("mix", .rwkvChannelMix(configuration), hiddenSize: 6).make()
        let x = try Generator(seed: 8).normal([2, 11, 6], .float64)
        func parameter(_ name: String) throws -> Tensor { try #require(store[name]) }
        let past = try Tensor.concatenated(
            [Tensor.zeros([2, 1, 6], .float64), x.sliced(1, 0..<10)], axis: 1)
        func shifted(_ name: String) throws -> Tensor {
            let m = try parameter("time_mix_\(name)")
            return try (x * m + past * (1 - m)).linear(parameter("\(name).weight"))
        }
        let inner = try shifted("key").maximum(0).power(2)
        let expected = try shifted("receptance").sigmoid() * inner.linear(parameter("value.weight"))
        #expect(try relativeError(runPieces(mixer, x, [(11, .parallel)]).output, expected) < 1e-12)
    }

    @Test func `Initial values depend on the layer as published`() throws {
        let c = RWKVConfiguration(channelCount: 8)
        let s = try store(c, layer: 2, layers: 5)
        let (r, t) = (0.5, 0.6)
        func values(_ name: String) throws -> [Double] { try #require(s[name]).doubles() }
        for i in 0..<8 {
            let x = Double(i) / 8
            #expect(abs(try values("time_decay")[i] - (-5 + 8 * pow(Double(i) / 7, 0.7 + 1.3 * r))) < 1e-5)
            #expect(abs(try values("time_first")[i] - (log(0.3) + 0.5 * Double((i + 1) % 3 - 1))) < 1e-6)
            #expect(abs(try values("time_mix_key")[i] - pow(x, t)) < 1e-6)
            #expect(abs(try values("time_mix_value")[i] - (pow(x, t) + 0.3 * r)) < 1e-6)
            #expect(abs(try values("time_mix_receptance")[i] - pow(x, 0.5 * t)) < 1e-6)
        }
        for name in ["key", "receptance", "output"] {
            #expect(try values("\(name).weight").allSatisfy { $0 == 0 })
        }
        let v = try #require(s["value.weight"]).to(.float64)
        let square = try v.matmul(v.transposed(0, 1)).doubles()
        for i in 0..<64 { #expect(abs(square[i] - (i % 9 == 0 ? 1 : 0)) < 1e-5) }
    }

    @Test func `A single layer and a single channel have finite initial values`() throws {
        for (channels, layers) in [(8, 1), (1, 1), (1, 3)] {
            let s = try store(RWKVConfiguration(channelCount: channels), layer: 0, layers: layers)
            for entry in s.entries { #expect(try entry.tensor.allFinite(), "\(entry.name)") }
        }
        let model = try store(RWKVConfiguration(channelCount: 8, initialization: .model), layer: 0, layers: 1)
        #expect(try #require(model["output.weight"]).abs().max().item() > 0.1)
    }

    @Test func `Parameters and state are counted to the number`() throws {
        let c = RWKVConfiguration(channelCount: 1024)
        let count = try c.parameterShapes(hiddenSize: 1024).reduce(0) { $0 + $1.shape.reduce(1, *) }
        #expect(count == 4_199_424)
        #expect(c.stateElementCount(tokenCount: 77) == 4096)
        let mix = RWKVChannelMixConfiguration(channelCount: 1024)
        let numbers = try mix.parameterShapes(hiddenSize: 1024).reduce(0) { $0 + $1.shape.reduce(1, *) }
        #expect(numbers == 9 * 1024 * 1024 + 2 * 1024)
        #expect(mix.stateElementCount(tokenCount: 77) == 1024)
    }

    @Test func `A model of another width is refused`() {
        let store = ParameterStore(source: .random(seed: 1))
        let error = #expect(throws: MixerError.self) {
            _ = try RWKVConfiguration(channelCount: 8).makeMixer(store.root, LayerContext(hiddenSize: 16))
        }
        #expect(error?.description.contains("8 channels") == true)
    }

    @Test func `Settings survive a round trip`() throws {
        let configurations: [MixerConfiguration] = [
            .rwkv(RWKVConfiguration(channelCount: 64, initialization: .model)),
            .rwkvChannelMix(RWKVChannelMixConfiguration(channelCount: 64, innerSize: 100)),
            .aft(AFTConfiguration(channelCount: 64, variant: .simple, biases: true)),
            .aft(AFTConfiguration(channelCount: 64, variant: .full(rank: 8, maximumLength: 99))),
            .aft(AFTConfiguration(channelCount: 64, variant: .local(window: 7, bias: .relative))),
            .aft(
                AFTConfiguration(
                    channelCount: 64,
                    variant: .local(window: 7, bias: .factorized(rank: 4, maximumLength: 50)))),
            .linearAttention(
                LinearAttentionConfiguration(
                    headCount: 2, headSize: 32, featureMap: .relu, normalizer: .rms, rotation: .halves,
                    epsilon: 1e-5, biases: true)),
        ]
        for configuration in configurations {
            let reader = SettingsReader(configuration.settings)
            let read = MixerConfiguration(reading: reader)
            try reader.finish()
            #expect(read == configuration)
        }
    }

    @Test(arguments: [
        ["kind": "rwkv"] as SettingsTree,
        ["kind": "rwkv", "channel_count": 4, "window": 3],
        ["kind": "aft", "channel_count": 4, "variant": "simple", "window": 3],
        ["kind": "aft", "channel_count": 4, "variant": "local", "bias": "relative", "rank": 3],
        ["kind": "aft", "channel_count": 4, "variant": "local", "window": 1],
        ["kind": "linear_attention", "head_count": 2, "head_size": 3, "rotation": "halves"],
        ["kind": "linear_attention", "head_count": 2, "head_size": 4, "feature_map": "identity"],
    ])
    func `Settings that cannot be are refused`(tree: SettingsTree) {
        let reader = SettingsReader(tree)
        _ = MixerConfiguration(reading: reader)
        #expect(throws: (any Error).self) { try reader.finish() }
    }
}
