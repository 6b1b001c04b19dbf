import RetNetArchitecture
import RetNetGeneration
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

/// Steps that are recorded once, here repeated operator by operator: everything that changes must reach the recorded places.
@Suite struct RecordedStepTests {
    private func options(_ recording: StepRecording) -> GenerationOptions {
        var options = GenerationOptions()
        options.recording = recording
        return options
    }

    @Test("A recorded step gives the logits and the state of a plain one, at every position")
    func steps() throws {
        let model = try tinyModel()
        #expect(model.supportsRecording)
        let tokens = someTokens(24)
        try withoutGradients {
            func input(_ rows: [Int32]) throws -> Tensor {
                try Tensor.from(rows.map(Int64.init), [rows.count, 1])
            }
            // Rows at different positions.
            let first = try session(model)
            try first.prefill([Array(tokens.prefix(5)), Array(tokens.prefix(9))])
            var plain = try #require(first.state)
            let untouched = try plain.copy()
            let start = plain
            let recorded = try RecordedStep(model, from: plain, usesGraph: false)
            for step in 9..<24 {
                let rows = [tokens[step], tokens[23 - step]]
                let (logits, next) = try model(input(rows), state: plain, form: .recurrent)
                plain = next
                #expect(try relativeError(recorded(rows), logits.squeezed(1)) < 1e-12, "step \(step)")
            }
            #expect(recorded.state.positions == plain.positions)
            for (a, b) in zip(recorded.state.layers, plain.layers) {
                for (x, y) in zip(a.tensors, b.tensors) {
                    #expect(try relativeError(x.tensor, y.tensor) < 1e-12)
                }
            }
            // The state that was given is not touched.
            for (a, b) in zip(start.layers, untouched.layers) {
                for (x, y) in zip(a.tensors, b.tensors) {
                    #expect(try relativeError(x.tensor, y.tensor) == 0)
                }
            }
        }
    }

    @Test("Texts are the same with recorded steps, also when rows end at different times and sessions go on")
    func generation() throws {
        let model = try tinyModel()
        func texts(_ recording: StepRecording) throws -> [[Int32]] {
            let session = try session(model, options(recording))
            var parameters = SamplingParameters()
            parameters.temperature = 0.8
            parameters.seed = 7
            parameters.maxTokens = 40
            // Rows end at one of many tokens, so that the batch becomes smaller several times.
            parameters.endTokens = Array(0..<24)
            let prompts = (0..<5).map { someTokens(3 + 2 * $0, seed: UInt64($0)) }
            let begun = try session.generate(tokens: prompts, parameters).map(\.tokens)
            let fork = try session.fork()
            parameters.endTokens = []
            let more = prompts.indices.map { someTokens(2, seed: UInt64(40 + $0)) }
            let ended = try session.generate(tokens: more, parameters).map(\.tokens)
            let again = try fork.generate(tokens: more, parameters).map(\.tokens)
            #expect(again == ended)
            return begun + ended
        }
        let expected = try texts(.off)
        #expect(Set(expected.prefix(5).map(\.count)).count > 1)
        #expect(try texts(.emulated) == expected)
        // No processor records launches.
        #expect(try texts(.automatic) == expected)
        #expect(!DeviceGraph.isSupported(on: .cpu))
    }

    @Test("Models whose steps read positions elsewhere are not recorded")
    func unsupported() throws {
        let types: [(ScoreNormalization, Bool)] = [(.none, true), (.decay, true), (.decayAbsSum, false)]
        for (normalization, expected) in types {
            #expect(try tinyModel(normalization: normalization).supportsRecording == expected)
        }
        for architecture in ComparedArchitecture.allCases {
            let configuration = architecture.configuration(
                width: 16, layerCount: 4, vocabularySize: 256, trainingLength: 64,
                sizes: ComparedSizes(retentionKeySize: 8, headSize: 8))
            let model = try LanguageModel(
                configuration, parameters: ParameterStore(source: .random(seed: 1), elementType: .float32),
                computeType: .float32)
            #expect(model.supportsRecording == (architecture == .retnet), "\(architecture.title)")
        }
        let model = try tinyModel(normalization: .decayAbsSum)
        let state = try model.initialState(batch: 1)
        #expect(
            errorText(MixerError.self) { try RecordedStep(model, from: state, usesGraph: false) }
                .contains("cannot be recorded"))
        #expect(
            errorText(TorchError.self) { try DeviceGraph(on: .cpu) {} }.contains(
                "cannot record launches on cpu"))
    }
}
