import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetInference
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetRuntime
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetEngines

/// Both engines give the same, and the choice takes the one that does what is asked for.
@Suite struct EnginesTests {
    private static func configuration(_ mixer: MixerConfiguration? = nil) -> LanguageModelConfiguration {
        let retention = RetentionConfiguration(headCount: 2, keySize: 8, valueSize: 16)
        return LanguageModelConfiguration(
            vocabularySize: 256, hiddenSize: 32, layerCount: 2, mixer: mixer ?? .retention(retention),
            feedForward: FeedForwardConfiguration(innerSize: 48))
    }

    /// Saves a model over bytes with random weights.
    private static func save(
        _ place: TemporaryFolder, _ name: String = "model", mixer: MixerConfiguration? = nil,
        elementType: ElementType = .float32
    ) throws -> String {
        let store = ParameterStore(source: .random(seed: 3), elementType: .float32)
        let model = try LanguageModel(configuration(mixer), parameters: store, computeType: .float32)
        let path = place.path(name)
        try ModelFolder.save(model, tokenizer: ByteTokenizer(), to: path, elementType: elementType)
        return path
    }

    private static func request(_ choice: EngineChoice, _ type: ElementType = .float32, named: Bool = false)
        -> EngineRequest
    {
        EngineRequest(choice, device: .cpu, elementType: type, namesElementType: named, threads: 1)
    }

    private static func open(_ path: String, _ choice: EngineChoice) throws -> any EvaluationEngine {
        try EngineSelection(path, request(choice)).load().engine
    }

    private static let attention = MixerConfiguration.attention(
        AttentionConfiguration(headCount: 2, headSize: 8))

    // MARK: The choice

    @Test func `A free choice takes the runtime for what it does, and says why not for the rest`() throws {
        let place = try TemporaryFolder()
        let path = try Self.save(place)
        func choice(_ path: String, _ request: EngineRequest) throws -> (EngineKind, String?) {
            let selection = try EngineSelection(path, request)
            return (selection.kind, selection.reason)
        }
        #expect(try choice(path, Self.request(.auto)) == (.runtime, nil))
        #expect(try choice(path, Self.request(.auto, .bfloat16)) == (.runtime, nil))
        #expect(try choice(path, Self.request(.libtorch)) == (.libtorch, nil))
        let narrow = try choice(path, Self.request(.auto, .bfloat16, named: true))
        #expect(narrow == (.libtorch, "it computes in float32, not in bfloat16"))
        var asked = Self.request(.auto)
        asked.onlyLibTorch = ["--form"]
        #expect(try choice(path, asked) == (.libtorch, "it has no --form"))
        asked.choice = .runtime
        #expect(throws: EngineError.cannotRun(.runtime, reason: "it has no --form")) {
            try choice(path, asked)
        }
        let aft = try Self.save(
            place, "aft", mixer: .aft(AFTConfiguration(channelCount: 16, variant: .simple)))
        #expect(try choice(aft, Self.request(.auto)) == (.libtorch, "it does not run the mixer 'aft'"))
        #expect(throws: RuntimeError.unsupported(part: "the mixer 'aft'")) {
            try choice(aft, Self.request(.runtime))
        }
        #expect(try Self.open(aft, .auto).kind == .libtorch)
    }

    @Test func `Folders of other projects go to LibTorch`() throws {
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("RetNetCheckpointsTests/Fixtures/dialects/fla-retnet").path
        let selection = try EngineSelection(fixture, Self.request(.auto))
        #expect(selection.kind == .libtorch)
        #expect(selection.reason == "the model is in the form of another project")
        #expect(throws: RuntimeError.otherForm(path: fixture)) {
            try EngineSelection(fixture, Self.request(.runtime))
        }
    }

    @Test func `Rounded weights belong to the runtime alone`() throws {
        let place = try TemporaryFolder()
        let path = place.path("int8")
        try Quantization(path: Self.save(place), scheme: .int8, threads: 1).write(to: path)
        #expect(try Self.open(path, .auto).kind == .runtime)
        #expect(throws: ModelFolderError.rounded(path: path, scheme: "int8")) {
            try Self.open(path, .libtorch)
        }
        #expect(throws: ModelFolderError.rounded(path: path, scheme: "int8")) {
            try CheckpointConversion(path: path)
        }
        #expect(throws: EngineError.self) {
            try EngineSelection(path, Self.request(.auto, .float64, named: true))
        }
        // What is wrong with it is not hidden behind the other engine.
        try FileManager.default.removeItem(atPath: path + "/checksums.json")
        let weights = URL(fileURLWithPath: path + "/model.safetensors")
        try Data(contentsOf: weights).dropLast(3).write(to: weights)
        #expect(throws: (any Error).self) { try EngineSelection(path, Self.request(.auto)).load() }
    }

    @Test func `A damaged folder is told by LibTorch's reader for all tensors at once`() throws {
        let place = try TemporaryFolder()
        let path = try Self.save(place)
        try FileManager.default.removeItem(atPath: path + "/checksums.json")
        let config = URL(fileURLWithPath: path + "/config.json")
        let text = try String(contentsOf: config, encoding: .utf8)
        try Data(text.replacing("\"layer_count\": 2", with: "\"layer_count\": 3").utf8).write(to: config)
        #expect(throws: CheckpointError.self) { try EngineSelection(path, Self.request(.auto)).load() }
        #expect(throws: RuntimeError.self) { try EngineSelection(path, Self.request(.runtime)).load() }
    }

    @Test func `Models with random weights leave no files`() throws {
        var folder = ""
        func make(_ type: ElementType, _ device: Device) throws -> LanguageModel {
            let store = ParameterStore(source: .random(seed: 1), elementType: type, device: device)
            return try LanguageModel(Self.configuration(), parameters: store, computeType: type)
        }
        let opened = try OpenedEngine.random(Self.request(.auto), make: make)
        let engine = try #require(opened.engine as? RuntimeEngine)
        folder = engine.runner.model.path
        #expect(!FileManager.default.fileExists(atPath: folder))
        let rows = try engine.sequences(count: 2, form: nil)
        try rows.read([[1, 2, 3], [4, 5, 6]])
        try rows.step([7, 8])
        #expect(throws: EngineError.noTokenizer) {
            try OpenedEngine.random(Self.request(.libtorch), make: make).engine.tokenizer
        }
    }

    // MARK: The same results

    private static let text = (0..<60).map { "Line \($0): naïve foxes have €\($0 * 7 % 100).\n" }.joined()

    @Test(arguments: [0.0, 0.9]) func `Text is identical`(temperature: Double) throws {
        let place = try TemporaryFolder()
        let path = try Self.save(place)
        var parameters = SamplingParameters()
        (parameters.temperature, parameters.maxTokens, parameters.seed) = (temperature, 30, 4)
        let results = try [EngineChoice.runtime, .libtorch].map { choice in
            try Self.open(path, choice).session(TextSessionOptions(), resuming: nil).generate(
                ["Line 7", "naïve"], parameters, onText: { _, _ in }, isCancelled: { false })
        }
        #expect(results[0].map(\.tokens) == results[1].map(\.tokens))
        #expect(results[0].map(\.text) == results[1].map(\.text))
    }

    static let modes: [PerplexityOptions] = [
        PerplexityOptions(windowLength: 300), PerplexityOptions(windowLength: 7),
        PerplexityOptions(windowLength: 300, mode: .carriedWithinDocuments),
        PerplexityOptions(windowLength: 40, mode: .independent(rowCount: 9, overlap: 11)),
        PerplexityOptions(windowLength: 600, mode: .independent(rowCount: 2, overlap: 0)),
    ]

    @Test(arguments: modes) func `Perplexity is the same in every mode`(options: PerplexityOptions) throws {
        let place = try TemporaryFolder()
        let tokenizer = ByteTokenizer()
        let half = Self.text.index(Self.text.startIndex, offsetBy: Self.text.count / 2)
        let stream = try TokenStream(
            texts: [String(Self.text[..<half]), String(Self.text[half...])], tokenizer: tokenizer)
        var options = options
        options.measuresPositions = true
        for mixer in [nil, Self.attention] {
            let path = try Self.save(place, mixer == nil ? "retention" : "attention", mixer: mixer)
            var progress: [Double] = []
            let results = try [EngineChoice.runtime, .libtorch].map { choice in
                try Self.open(path, choice).perplexity(of: stream, options) { _, fraction in
                    progress.append(fraction)
                    return true
                }
            }
            #expect(results[0].tokenCount == results[1].tokenCount)
            #expect(results[0].byteCount == results[1].byteCount)
            #expect(abs(results[0].natsPerToken - results[1].natsPerToken) < 1e-5)
            let buckets = results.map { $0.byPosition?.buckets ?? [] }
            #expect(!buckets[0].isEmpty && buckets[0].count == buckets[1].count)
            for (found, expected) in zip(buckets[0], buckets[1]) {
                #expect(found.contextLengths == expected.contextLengths)
                #expect(found.tokenCount == expected.tokenCount)
                #expect(abs(found.natsPerToken - expected.natsPerToken) < 1e-4)
            }
            #expect(progress.filter { $0 >= 1 }.count == 2)
        }
    }

    @Test(arguments: LogLikelihoodScorer.Options.Sharing.allCases)
    func `Requests get the same scores`(sharing: LogLikelihoodScorer.Options.Sharing) throws {
        let place = try TemporaryFolder()
        let bytes = Array(Self.text.utf8).map { Int32($0) }
        var questions: [[ScoringRequest]] = []
        // Choices behind one context, one that begins another, and texts longer than a pass.
        for index in 0..<7 {
            let context = Array(bytes[index * 20..<index * 20 + 30 + index])
            questions.append(
                [[1, 2, 3], [1, 2], [1, 9, 9, 9, 9], [70]].map { ScoringRequest(context, $0) })
        }
        questions.append([ScoringRequest([10], Array(bytes.prefix(900)))])
        questions.append([])
        for mixer in [nil, Self.attention] {
            let path = try Self.save(place, mixer == nil ? "retention" : "attention", mixer: mixer)
            let options = LogLikelihoodScorer.Options(tokensPerPass: 300, sharing: sharing)
            let results = try [EngineChoice.runtime, .libtorch].map { choice in
                var cost = ScoringCost()
                var finished: Set<Int> = []
                let scores = try Self.open(path, choice).scorer(options).score(questions, cost: &cost) {
                    finished.formUnion($0.map(\.request))
                    return true
                }
                #expect(finished.count == 29)
                #expect(cost.separateTokenCount > 0 && cost.tokenCount > 0)
                #expect((sharing == .beginnings) == (cost.tokenCount < cost.separateTokenCount))
                return scores
            }
            #expect(results[0].map(\.count) == questions.map(\.count))
            for (found, expected) in zip(results[0].joined(), results[1].joined()) {
                let (found, expected) = (try #require(found), try #require(expected))
                #expect(abs(found.logLikelihood - expected.logLikelihood) < 1e-3)
                #expect(found.isGreedy == expected.isGreedy)
            }
        }
    }

    @Test func `States can be moved for measurements`() throws {
        let place = try TemporaryFolder()
        let path = try Self.save(place, mixer: Self.attention)
        for choice in [EngineChoice.runtime, .libtorch] {
            let rows = try Self.open(path, choice).sequences(count: 2, form: .chunkwise(8))
            try rows.read([[1, 2, 3, 4], [5, 6, 7, 8]])
            try rows.move(to: 1000)
            let before = rows.stateByteCount
            #expect(before >= 2 * 1000 * 2 * 2 * 16 * 4)
            try rows.step([9, 9])
            #expect(rows.stateByteCount > before)
        }
    }
}

extension ScoringRequest {
    /// A request by the harness's rule: the last target is not read.
    fileprivate init(_ context: [Int32], _ continuation: [Int32]) {
        self.init(inputs: Array((context + continuation).dropLast()), targets: continuation)
    }
}
