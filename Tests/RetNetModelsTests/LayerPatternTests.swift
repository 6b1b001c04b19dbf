import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTorch
import Testing

/// Models of several kinds of blocks, in files and in their accounting.
@Suite struct LayerPatternTests {
    static let hybrid = LanguageModelTests.variants.first { $0.0 == "a hybrid" }?.1

    @Test func `A pattern is written with repetitions and read back`() throws {
        let c = try #require(Self.hybrid)
        let text = try c.jsonText()
        #expect(text.contains("\"layer_pattern\"") && text.contains("\"repeat\": 2"))
        #expect(try LanguageModelConfiguration(json: text) == c)
    }

    @Test func `A pattern starts again where it is shorter than the model`() throws {
        var c = try #require(Self.hybrid)
        c.layerCount = 7
        #expect((0..<7).map { c.layer($0).shortConvolution ?? 0 } == [0, 0, 3, 0, 0, 3, 0])
        let accounting = try ModelAccounting(c)
        let ring = 2 * 16 * 2
        #expect(accounting.stateElementCount(tokenCount: 9) == 7 * 2 * 8 * 12 + ring)
        #expect(!accounting.stateGrows)
    }

    @Test func `A mixer beside a pattern is refused with its place`() throws {
        let c = try #require(Self.hybrid)
        let mixed = c.settings.merging(["mixer": c.mixer.settings])
        let reader = SettingsReader(mixed)
        _ = LanguageModelConfiguration(reading: reader)
        #expect(reader.problems.map(\.path) == ["mixer"])
    }

    @Test func `A block without feed-forward has neither its matrices nor its norm`() throws {
        let c = LanguageModelTests.configuration { $0.feedForward = .none }
        #expect(try !c.parameterShapes().contains { $0.name.contains("feed_forward") })
        #expect(try LanguageModelConfiguration(json: c.jsonText()) == c)
    }

    @Test func `Initial values of RWKV count time and channel mixing as one layer`() throws {
        func block(_ mixer: MixerConfiguration, _ feedForward: FeedForwardConfiguration = .none)
            -> LayerConfiguration
        {
            LayerConfiguration(mixer: mixer, feedForward: feedForward)
        }
        let time = RWKVConfiguration(channelCount: 16)
        let channel = RWKVChannelMixConfiguration(channelCount: 16)
        let whole = LanguageModelTests.configuration().feedForward
        func values(_ pattern: [LayerConfiguration], _ count: Int, _ name: String) throws -> [Double] {
            let model = try LanguageModelTests.model(
                LanguageModelTests.configuration {
                    $0.pattern = pattern
                    $0.layerCount = count
                })
            return try #require(model.parameters["layers.\(name)"]).doubles()
        }
        func expected(_ mixer: any MixerBuilding, _ layer: Int, _ count: Int, _ name: String) throws
            -> [Double]
        {
            let store = ParameterStore(source: .random(seed: 5), elementType: .float64)
            let context = LayerContext(hiddenSize: 16, layer: layer, layerCount: count)
            _ = try mixer.makeMixer(store.root, context)
            return try #require(store[name]).doubles()
        }
        // The authors' RWKV-4 with three layers.
        let halves = [block(.rwkv(time)), block(.rwkvChannelMix(channel))]
        for layer in 0..<3 {
            for name in ["time_decay", "time_mix_key", "time_mix_value", "time_mix_receptance"] {
                #expect(
                    try values(halves, 6, "\(2 * layer).mixer.\(name)") == expected(time, layer, 3, name))
            }
            for name in ["time_mix_key", "time_mix_receptance"] {
                #expect(
                    try values(halves, 6, "\(2 * layer + 1).mixer.\(name)")
                        == expected(channel, layer, 3, name))
            }
        }
        // Blocks with feed-forwards are layers of their own, and so is channel mixing after one.
        #expect(
            try values([block(.rwkv(time), whole)], 3, "1.mixer.time_decay")
                == expected(time, 1, 3, "time_decay"))
        let mixed = [block(.rwkv(time), whole), block(.rwkvChannelMix(channel)), block(.rwkv(time))]
        #expect(try values(mixed, 3, "2.mixer.time_decay") == expected(time, 2, 3, "time_decay"))
        // A cut pattern ends with a layer of one half.
        #expect(try values(halves, 5, "4.mixer.time_decay") == expected(time, 2, 3, "time_decay"))
    }

    @Test func `Absolute positions cannot be rebased`() throws {
        let c = LanguageModelTests.configuration { $0.positionEmbedding = .sinusoidal }
        let model = try LanguageModelTests.model(c)
        let state = try model(LanguageModelTests.tokens(1, 5), form: .parallel).state
        #expect(throws: MixerError.self) { _ = try model.rebased(state) }
    }

    @Test func `Positions are told apart by sines and cosines`() throws {
        let c = LanguageModelTests.configuration { $0.positionEmbedding = .sinusoidal }
        let model = try LanguageModelTests.model(c)
        let tokens = try LanguageModelTests.tokens(1, 6)
        let first = try model(tokens, form: .parallel).logits
        var moved = try model.initialState(batch: 1)
        moved.positions[0] = SequencePosition(position: 40, count: 0)
        let later = try model(tokens, state: moved, form: .parallel).logits
        let difference = try (first - later).abs().max().item()
        #expect(difference > 1e-3)
    }
}
