import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetGeneration
import RetNetModels
import RetNetRuntime
import RetNetSampling
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

/// States of one engine continue in the other.
@Suite struct StateInterchangeTests {
    private let folder: TemporaryFolder
    private var path: String { folder.path("state") }

    init() throws { folder = try TemporaryFolder() }

    /// A Transformer whose middle layers see every second token: caches of different lengths.
    static let reducedAttention = ParityTests.Variant("attention of anchors") {
        $0.layerCount = 4
        $0.mixer = .attention(AttentionConfiguration(headCount: 2, headSize: 8))
        $0.altUp = AltUpConfiguration(
            kind: .none, sequence: SequenceReductionConfiguration(stride: 2, firstLayer: 1))
    }
    static let variants =
        ParityTests.retentions + ParityTests.blocks + ParityTests.mixers + [reducedAttention]

    /// Reads rows of different lengths with the LibTorch engine.
    private func read(_ pair: EnginePair, _ rows: [[Int32]], from state: LanguageModelState? = nil) throws
        -> (logits: [[Float]], state: LanguageModelState)
    {
        try withoutGradients {
            var states: [LanguageModelState] = []
            var logits: [[Float]] = []
            for (index, row) in rows.enumerated() {
                let (found, next) = try pair.torch(
                    Tensor.from(row.map(Int64.init), [1, row.count]),
                    state: state.map { try $0.selecting(rows: [index]) }, form: .chunkwise(16), lastOnly: true
                )
                states.append(next)
                logits.append(try found.values(as: Float.self))
            }
            return (logits, try pair.torch.joined(states))
        }
    }

    @Test(arguments: variants)
    func `a state of either engine continues in the other with the same logits`(
        _ variant: ParityTests.Variant
    ) throws {
        let pair = try EnginePair(variant.configuration)
        #expect(try pair.runtime.fingerprint() == ModelFingerprint.make(pair.torch))
        let (first, next) = (
            [19, 6].map { EnginePair.tokens($0) }, [5, 9].map { EnginePair.tokens($0, seed: 3) }
        )
        let start = try read(pair, first)
        let expected = try read(pair, next, from: start.state).logits

        try StateFile.write(
            SavedState(
                state: start.state, logits: Tensor.from(start.logits.flatMap { $0 }, [2, 19]),
                metadata: ["note": "x"]), of: pair.torch, to: path)
        var saved = try pair.runtime.load(path, tokenizer: nil)
        #expect(saved.tokenCounts == [19, 6] && saved.logits == start.logits)
        #expect(saved.texts["note"] == "x")
        let found = try pair.runner.read(next, &saved.states)
        for row in 0..<2 { #expect(relativeError(found.map { Array($0[row]) } ?? [], expected[row]) < 1e-5) }

        var states = first.map { _ in pair.runtime.initialState() }
        let own = try pair.runner.read(first, &states)
        let logits = (0..<2).map { row in own.map { Array($0[row]) } ?? [] }
        try pair.runtime.save(SavedSequences(states: states, logits: logits), to: path)
        let resumed = try StateFile.read(path, for: pair.torch)
        #expect(resumed.state.positions == start.state.positions)
        #expect(try resumed.logits?.values(as: Float.self) == logits.flatMap { $0 })
        let back = try read(pair, next, from: resumed.state).logits
        for row in 0..<2 { #expect(relativeError(back[row], expected[row]) < 1e-5) }

        // The bytes in memory are those of the file, and the way of a settled state to itself changes no bit.
        for row in 0..<2 { states[row].settle() }
        let data = try pair.runtime.data(of: SavedSequences(states: states, logits: logits))
        #expect(try data == Data(contentsOf: URL(fileURLWithPath: path)))
        var again = try pair.runtime.load(data, tokenizer: nil).states
        let (a, b) = (
            try pair.runner.read(next, &states).map { Array($0[1]) },
            try pair.runner.read(next, &again).map { Array($0[1]) }
        )
        #expect(a == b)
    }

    @Test(arguments: [0.0, 0.9], [true, false])
    func `text goes on in the other engine as without an interruption`(
        temperature: Double, fromTorch: Bool
    ) throws {
        var c = ParityTests.retention()
        c.vocabularySize = 256
        let model = folder.path("model")
        try ModelFolder.save(EnginePair.model(c), tokenizer: ByteTokenizer(), to: model)
        let loaded = try ModelFolder.load(model)
        let runtime = try RuntimeFolder(path: model)
        let tokenizer = try runtime.tokenizer
        let generator = TextGenerator(try ModelRunner(runtime.model, threads: 2), tokenizer: tokenizer)
        generator.keepsUnfinishedText = true
        var options = GenerationOptions()
        options.keepsUnfinishedText = true
        var parameters = SamplingParameters()
        parameters.temperature = temperature
        parameters.repetitionPenalty = 1.1
        parameters.seed = 5
        parameters.stopsAtEndToken = false
        parameters.maxTokens = 50
        let prompts = ["Es war einmal", "a"]
        let whole = try GenerationSession(model: loaded.model, tokenizer: tokenizer, options: options)
            .generate(prompts, parameters)
        parameters.maxTokens = 25
        var parts: [[GenerationResult]] = []
        if fromTorch {
            let session = try GenerationSession(model: loaded.model, tokenizer: tokenizer, options: options)
            parts.append(try session.generate(prompts, parameters))
            let saved = try #require(try session.savedState())
            try StateFile.write(saved, of: loaded.model, to: path)
            let begin = try runtime.model.load(path, tokenizer: tokenizer)
            parts.append(try generator.generate(["", ""], from: begin, parameters))
        } else {
            parts.append(try generator.generate(prompts, parameters))
            try runtime.model.save(#require(generator.saved), to: path)
            let saved = try StateFile.read(
                path, for: loaded.model, tokenizerIdentity: tokenizer.identity)
            let session = try GenerationSession(
                model: loaded.model, tokenizer: tokenizer, resuming: saved, options: options)
            parts.append(try session.generate(["", ""], parameters))
        }
        for row in 0..<2 {
            #expect(parts[0][row].tokens + parts[1][row].tokens == whole[row].tokens)
            #expect(parts[0][row].text + parts[1][row].text == whole[row].text)
        }
    }

    @Test func `a state is forked, and more text follows it as in the LibTorch engine`() throws {
        var c = ParityTests.retention()
        c.vocabularySize = 256
        let model = folder.path("model")
        try ModelFolder.save(EnginePair.model(c), tokenizer: ByteTokenizer(), to: model)
        let loaded = try ModelFolder.load(model)
        let runtime = try RuntimeFolder(path: model)
        let generator = TextGenerator(
            try ModelRunner(runtime.model, threads: 1), tokenizer: try runtime.tokenizer)
        let session = try GenerationSession(model: loaded.model, tokenizer: loaded.tokenizer)
        let parameters = SamplingParameters.greedy(maxTokens: 12)
        #expect(
            try generator.generate(["Once"], parameters).map(\.text)
                == session.generate(["Once"], parameters).map(\.text))
        let one = try #require(generator.saved)
        let more = [" more", "", " again"]
        #expect(
            try generator.generate(more, from: one, parameters).map(\.text)
                == session.generate(more, parameters).map(\.text))
        #expect(generator.saved?.tokenCounts == session.tokenCounts)
        // The saved value has not moved.
        #expect(one.tokenCounts == [17])
        #expect(throws: GenerationError.wrongRowCount(expected: 3, found: 2)) {
            try generator.generate(["a", "b"], from: generator.saved, parameters)
        }
        #expect(throws: GenerationError.noSuchRow(3, rowCount: 3)) {
            try generator.saved?.selecting([0, 3])
        }
        let unknown = SavedSequences(states: one.states)
        #expect(throws: GenerationError.emptyPrompt(row: 0)) {
            try generator.generate([""], from: unknown, parameters)
        }
    }

    @Test func `states of other models, tokenizers and kinds of file are refused`() throws {
        let pair = try EnginePair(ParityTests.retention())
        let other = try EnginePair(ParityTests.retention { $0.decay = .standard })
        var states = [pair.runtime.initialState()]
        try pair.runner.read([[1, 2, 3]], &states)
        var saved = SavedSequences(states: states, tokenizerIdentity: "x")
        try pair.runtime.save(saved, to: path)
        #expect(
            throws: StateFileError.wrongModel(
                path: path, expected: try other.runtime.fingerprint(),
                found: try pair.runtime.fingerprint())
        ) { _ = try other.runtime.load(path, tokenizer: nil) }
        let tokenizer = ByteTokenizer()
        #expect(
            throws: StateFileError.wrongTokenizer(path: path, expected: tokenizer.identity, found: "x")
        ) { _ = try pair.runtime.load(path, tokenizer: tokenizer) }
        let narrow = try EnginePair(ParityTests.retention { $0.keySize = 4 })
        #expect(throws: RuntimeError.self) { try narrow.runtime.save(saved, to: path) }
        saved.logits = [[.nan] + [Float](repeating: 0, count: 18)]
        #expect(throws: StateFileError.notFinite(path: path, name: "logits")) {
            try pair.runtime.save(saved, to: path)
        }
        saved.logits = [[0]]
        #expect(throws: RuntimeError.self) { try pair.runtime.save(saved, to: path) }
        #expect(throws: StorageError.self) { _ = try pair.runtime.load(folder.path("none"), tokenizer: nil) }
        #expect(throws: StateFileError.notStateFile(path: "weights")) {
            let weights = try Data(contentsOf: URL(fileURLWithPath: pair.path + "/model.safetensors"))
            _ = try pair.runtime.load(weights, path: "weights", tokenizer: nil)
        }
    }
}
