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
