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

/// Folders with encoder-decoders: read, rounded, generated with, and refused where they are damaged.
@Suite struct EncoderDecoderFolderTests {
    private let folder: TemporaryFolder
    private var path: String { folder.path("model") }

    init() throws { folder = try TemporaryFolder() }

    /// Over bytes with sentinels; all rows are whole groups, and matrices are large enough to be rounded.
    private static func configuration(tied: Bool = false) -> T5Configuration {
        T5Configuration(
            vocabularySize: 384, hiddenSize: 64, headCount: 4, keySize: 16, innerSize: 96,
            encoderLayerCount: 2, feedForward: tied ? .relu : .gatedGelu, tiedOutput: tied)
    }

    private func save(tied: Bool = false, seed: UInt64 = 5, scale: Double = 1.2) throws {
        try T5Folder.save(
            EncoderDecoderPair.model(Self.configuration(tied: tied), seed: seed, scale: scale),
            tokenizer: SentinelByteTokenizer(), to: path, replacing: true)
    }

    /// The tensors of the folder, changed and written again without checksums.
    private func rewrite(_ change: (inout [String: Tensor]) throws -> Void) throws {
        let stored = try SafetensorsTensors(folder: path)
        var tensors: [String: Tensor] = [:]
        for name in stored.names { tensors[name] = try stored.tensor(named: name) }
        try change(&tensors)
        try SafetensorsWriter(
            tensors: tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, metadata: ["format": "pt"]
        ).write(to: path + "/model.safetensors")
        try? FileManager.default.removeItem(atPath: path + "/checksums.json")
    }

    private func logits(_ path: String) throws -> [Float] {
        let runner = try EncoderDecoderRunner(EncoderDecoderModel(path: path), threads: 2)
        var states = try runner.encode([EnginePair.tokens(21, vocabularySize: 384)])
        let targets = [Int32(0)] + EnginePair.tokens(8, seed: 2, vocabularySize: 384)
        let logits = try runner.read([targets], &states, logits: .all)
        return targets.indices.flatMap { row in logits.map { Array($0[row]) } ?? [] }
    }

    private func problem() throws -> String {
        do {
            _ = try EncoderDecoderFolder(path: path)
            return ""
        } catch { return "\(error)" }
    }

    // MARK: Weights

    @Test func `copies of the embedding are read as in LibTorch`() throws {
        try save(tied: true)
        let expected = try logits(path)
        let unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        try rewrite {
            for name in ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"] {
                $0[name] = $0["shared.weight"]
            }
            $0[unused] = try Tensor.zeros([32, 4])
        }
        #expect(try logits(path) == expected)
        // One copy alone stands for the embedding; rounding writes it once.
        try rewrite {
            for name in ["shared.weight", "lm_head.weight", unused, "decoder.embed_tokens.weight"] {
                $0[name] = nil
            }
        }
        #expect(try logits(path) == expected)
        try rewrite { $0["lm_head.weight"] = try Tensor.zeros([384, 64]) }
        #expect(try problem().contains("'lm_head.weight' must equal 'encoder.embed_tokens.weight'"))
    }

    @Test func `v1_1 that claims to be tied has its own output`() throws {
        try save()
        let expected = try logits(path)
        let file = path + "/config.json"
        var text = try String(contentsOfFile: file, encoding: .utf8)
        text.replace("\"tie_word_embeddings\": false", with: "\"tie_word_embeddings\": true")
        text.replace(
            "\"vocab_size\"", with: "\"scale_decoder_outputs\": false,\n  \"vocab_size\"", maxReplacements: 1)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        try? FileManager.default.removeItem(atPath: path + "/checksums.json")
        #expect(try logits(path) == expected)
    }

    @Test(arguments: [QuantizationScheme.int8, .int4], [false, true])
    func `rounded weights are near`(_ scheme: QuantizationScheme, tied: Bool) throws {
        // Scores are not scaled, so that large weights would make each error a choice of another key.
        try save(tied: tied, scale: 0.5)
        let exact = try logits(path)
        let out = folder.path("rounded")
        let report = try Quantization(path: path, scheme: scheme, threads: 1).write(to: out)
        #expect(report.byteCount < report.sourceByteCount * 45 / 100)
        let error = relativeError(try logits(out), exact)
        #expect(error > 1e-6 && error < (scheme == .int8 ? 0.03 : 0.25), "\(error)")
        #expect(try StoredWeights(path: out).kinds.map(\.name).contains("others") == false)
        #expect(try EncoderDecoderFolder(path: out).tokenizer.vocabularySize == 384)
        #expect(throws: RuntimeError.self) { try Quantization(path: out, scheme: scheme) }
        #expect(throws: ModelFolderError.rounded(path: out, scheme: scheme.rawValue)) {
            try T5Folder.load(out)
        }
    }

    @Test func `what does not fit is refused with what it is`() throws {
        try save()
        let name = "decoder.block.1.layer.1.EncDecAttention.k.weight"
        try rewrite { $0[name] = nil }
        #expect(try problem().contains("the tensor '\(name)' is missing"))
        try save()
        try rewrite { $0["encoder.block.7.layer.0.layer_norm.weight"] = try Tensor.zeros([64]) }
        #expect(try problem().contains("'encoder.block.7.layer.0.layer_norm.weight' does not belong"))
        try save()
        try rewrite { $0[name] = try Tensor.zeros([64, 63]) }
        #expect(try problem().contains("'\(name)' has the shape [64, 63]"))
        try save()
        #expect(throws: RuntimeError.encoderDecoder(path: path)) { try RuntimeModel(path: path) }
        try rewrite {
            $0["decoder.block.0.layer.0.SelfAttention.q.weight"] = try Tensor.full([64, 64], .infinity)
        }
        #expect(try problem().isEmpty)
        #expect(throws: RuntimeError.self) { try EncoderDecoderModel(path: path).verify() }
        var c = Self.configuration()
        c.altUp = .sequence(SequenceReductionConfiguration(stride: 2, firstLayer: 0, lastLayer: 1))
        let reduced = folder.path("reduced")
        try T5Folder.save(EncoderDecoderPair.model(c), to: reduced)
        #expect(throws: RuntimeError.unsupported(part: "encoders whose layers see some of the tokens")) {
            try EncoderDecoderModel(path: reduced)
        }
    }

    @Test func `damaged configurations are refused with one message, or run`() throws {
        try save()
        try FileManager.default.removeItem(atPath: path + "/checksums.json")
        let file = URL(fileURLWithPath: path + "/config.json")
        let lines = try String(contentsOf: file, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        let values = ["0", "1", "-1", "2147483648", "9223372036854775807", "1e308", "null", "true", "[]"]
        var random = SeededGenerator(seed: 3)
        for (index, line) in lines.enumerated() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            var changed = lines.map(String.init)
            let value = values[random.integer(below: values.count)]
            changed[index] = line[...colon] + " " + value + (line.hasSuffix(",") ? "," : "")
            try Data(changed.joined(separator: "\n").utf8).write(to: file)
            do {
                let folder = try EncoderDecoderFolder(path: path)
                let runner = try EncoderDecoderRunner(folder.model, threads: 1)
                var parameters = folder.parameters
                parameters.maxTokens = 2
                _ = try OutputGenerator(runner, tokenizer: folder.tokenizer).generate(["ab"], parameters)
            } catch {
                let message = "\(error)"
                #expect(!message.isEmpty && message.count < 4000 && !message.contains("Optional("))
            }
        }
    }

    // MARK: Outputs

    private static let prompts = ["Once upon a time <extra_id_0> the hill", "x", "Größe, und mehr davon"]

    private func generator(threads: Int = 2) throws -> (OutputGenerator, SamplingParameters) {
        let folder = try EncoderDecoderFolder(path: path)
        let runner = try EncoderDecoderRunner(folder.model, threads: threads)
        return (OutputGenerator(runner, tokenizer: try folder.tokenizer), folder.parameters)
    }

    @Test func `greedy outputs are those of LibTorch, with their scores and sentinels by name`() throws {
        try save(seed: 8)
        let loaded = try T5Folder.load(path)
        let tokenizer = SentinelByteTokenizer()
        let sources = Self.prompts.map { tokenizer.encodeWithSentinels($0) + [1] }
        let expected = try T5Generator(loaded.model).generate(
            sources, BeamSearchParameters(maxTokens: 24)
        ).map { $0[0] }
        var (generator, parameters) = try generator()
        #expect(Self.prompts.map(generator.source) == sources)
        #expect(parameters.temperature == 0)
        parameters.maxTokens = 24
        parameters.recordsLogProbabilities = true
        var streamed = Self.prompts.map { _ in "" }
        let found = try generator.generate(Self.prompts, parameters, onText: { streamed[$0] += $1 })
        #expect(found.map(\.tokens) == expected.map(\.tokens))
        #expect(streamed == found.map(\.text))
        #expect(found.map(\.promptTokenCount) == sources.map(\.count))
        for (result, output) in zip(found, expected) {
            let mean = (result.logProbabilities ?? []).reduce(0, +) / Double(result.tokens.count)
            #expect(abs(mean - output.score) < 1e-4)
            let text = tokenizer.decodeWithSentinels(output.tokens.filter { $0 != 1 })
            #expect(result.text == text)
        }
    }

    @Test func `drawn outputs do not depend on the other prompts; stops and cancellation end them`() throws {
        try save()
        var (generator, parameters) = try generator(threads: 1)
        parameters.temperature = 0.9
        parameters.topK = 30
        parameters.repetitionPenalty = 1.1
        parameters.maxTokens = 16
        parameters.seed = 4
        parameters.stopsAtEndToken = false
        let together = try generator.generate(Self.prompts, parameters)
        #expect(Set(together.map(\.tokens)).count == 3 && together.allSatisfy { $0.tokens.count == 16 })
        #expect(generator.stateByteCount > 0)
        parameters.seed = 6
        let alone = try generator.generate([Self.prompts[2]], parameters)[0]
        #expect(alone.tokens == together[2].tokens && alone.text == together[2].text)
        let stop = try #require(alone.text.dropFirst(3).first.map(String.init))
        parameters.stopStrings = [stop]
        let cut = try generator.generate([Self.prompts[2]], parameters)[0]
        #expect(cut.finishReason == .stop && alone.text.hasPrefix(cut.text + stop))
        let none = try generator.generate(Self.prompts, parameters, isCancelled: { true })
        #expect(none.allSatisfy { $0.finishReason == .cancelled && $0.tokens.isEmpty })
        #expect(throws: GenerationError.self) {
            parameters.temperature = -1
            _ = try generator.generate(["a"], parameters)
        }
    }
}
