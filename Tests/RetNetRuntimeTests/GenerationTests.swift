import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetGeneration
import RetNetRuntime
import RetNetSampling
import RetNetStorage
import RetNetTestSupport
import RetNetText
import Testing

/// Text of the runtime is that of the LibTorch engine's sessions.
@Suite struct GenerationTests {
    /// A model over bytes, saved with its tokenizer.
    private static func folder(
        _ folder: TemporaryFolder, _ change: (inout LanguageModelConfiguration) -> Void = { _ in }
    )
        throws -> String
    {
        var c = ParityTests.retention()
        c.vocabularySize = 256
        change(&c)
        let path = folder.path("model")
        try ModelFolder.save(EnginePair.model(c), tokenizer: ByteTokenizer(), to: path)
        return path
    }

    private static let prompts = ["Once upon a time", "x", "Ein längerer Text, der nicht endet"]

    @Test(arguments: [0.0, 0.8])
    func `greedy and drawn text is identical`(temperature: Double) throws {
        let place = try TemporaryFolder()
        let path = try Self.folder(place)
        var parameters = SamplingParameters()
        parameters.temperature = temperature
        parameters.maxTokens = 60
        parameters.topK = 40
        parameters.seed = 11
        parameters.repetitionPenalty = temperature == 0 ? 1 : 1.2
        let loaded = try ModelFolder.load(path)
        let session = try GenerationSession(model: loaded.model, tokenizer: loaded.tokenizer)
        let expected = try session.generate(Self.prompts, parameters)
        let folder = try RuntimeFolder(path: path)
        let generator = TextGenerator(
            try ModelRunner(folder.model, threads: 2), tokenizer: try folder.tokenizer)
        var streamed = Self.prompts.map { _ in "" }
        let found = try generator.generate(Self.prompts, parameters, onText: { streamed[$0] += $1 })
        #expect(found.map(\.tokens) == expected.map(\.tokens))
        #expect(found.map(\.text) == expected.map(\.text))
        #expect(found.map(\.promptTokenCount) == expected.map(\.promptTokenCount))
        #expect(streamed == found.map(\.text))
    }

    @Test func `stop texts, cancellation and empty prompts end as they should`() throws {
        let place = try TemporaryFolder()
        let folder = try RuntimeFolder(path: Self.folder(place))
        let generator = TextGenerator(
            try ModelRunner(folder.model, threads: 1), tokenizer: try folder.tokenizer)
        let whole = try generator.generate(["abc"], .greedy(maxTokens: 40))[0]
        var parameters = SamplingParameters.greedy(maxTokens: 40)
        // Tokens are bytes, of which most are no characters of their own.
        let stop = whole.text.dropFirst(5).first { $0.isASCII }.map { String($0) } ?? "x"
        parameters.stopStrings = [stop]
        let stopped = try generator.generate(["abc"], parameters)[0]
        #expect(stopped.finishReason == .stop && stopped.stopString == stop)
        #expect(whole.text.hasPrefix(stopped.text) && !stopped.text.contains(stop))
        var calls = 0
        let cancelled = try generator.generate(
            ["abc"], .greedy(maxTokens: 40),
            isCancelled: {
                calls += 1
                return calls > 3
            })
        #expect(cancelled[0].finishReason == .cancelled && cancelled[0].tokens.count < 40)
        generator.beginToken = .no
        #expect(throws: GenerationError.self) { try generator.generate([""]) }
        parameters.topP = 2
        #expect(throws: GenerationError.self) { try generator.generate(["abc"], parameters) }
    }

    @Test func `damaged and contradictory folders are refused with what is wrong`() throws {
        let place = try TemporaryFolder()
        let path = try Self.folder(place)
        let weights = URL(fileURLWithPath: path + "/model.safetensors")
        let config = URL(fileURLWithPath: path + "/config.json")
        let (bytes, text) = (try Data(contentsOf: weights), try String(contentsOf: config, encoding: .utf8))
        func refusal() -> String {
            do {
                _ = try RuntimeModel(path: path)
                return "(nothing was thrown)"
            } catch { return "\(error)" }
        }
        func configured(_ old: String, _ new: String) throws -> String {
            try Data(text.replacing(old, with: new).utf8).write(to: config)
            defer { try? Data(text.utf8).write(to: config) }
            return refusal()
        }
        #expect(
            try configured("\"layer_count\": 3", "\"layer_count\": 2").contains(
                "does not belong to the model"))
        #expect(try configured("\"layer_count\": 3", "\"layer_count\": 4").contains("'layers.3."))
        #expect(try configured("\"key_size\": 8", "\"key_size\": 6").contains("has the shape"))
        #expect(
            try configured("\"layer_count\": 3", "\"layer_count\": 9999").contains("there are only"))
        try bytes.prefix(bytes.count - 3).write(to: weights)
        #expect(refusal().contains("model.safetensors"))
    }

    @Test func `models that this engine does not run are refused by name`() throws {
        let place = try TemporaryFolder()
        for (mixer, name) in [
            (MixerConfiguration.h3(H3Configuration(headCount: 2, headSize: 8)), "h3"),
            (.s4d(S4DConfiguration(channelCount: 16)), "s4d"),
            (.hyena(HyenaConfiguration(channelCount: 16, maximumLength: 32)), "hyena"),
            (.aft(AFTConfiguration(channelCount: 16, variant: .simple)), "aft"),
        ] {
            var c = ParityTests.retention()
            c.mixer = mixer
            let path = place.path(name)
            try ModelFolder.save(EnginePair.model(c), tokenizer: nil, to: path)
            #expect(throws: RuntimeError.unsupported(part: "the mixer '\(name)'")) {
                try RuntimeModel(path: path)
            }
        }
    }

    @Test func `weights in 16 bits are used as they are`() throws {
        for type in [ElementKind.bfloat16, .float16] {
            let pair = try EnginePair(ParityTests.retention(), elementType: type.element)
            let whole = try EnginePair(ParityTests.retention())
            let tokens = EnginePair.tokens(20)
            let error = relativeError(try pair.found(tokens, pieces: [20]), try whole.expected(tokens))
            #expect(error > 0 && error < type.bound)
            #expect(pair.runtime.weightByteCount < whole.runtime.weightByteCount)
        }
    }
}
