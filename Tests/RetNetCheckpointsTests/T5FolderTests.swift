import Foundation
import RetNetCheckpoints
import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

struct T5FolderTests {
    static func configuration(tied: Bool) -> T5Configuration {
        T5Configuration(
            vocabularySize: 400, hiddenSize: 8, headCount: 2, keySize: 3, innerSize: 12, encoderLayerCount: 2,
            decoderLayerCount: 3, feedForward: tied ? .relu : .gatedGelu, tiedOutput: tied, dropout: 0.05)
    }

    static func model(tied: Bool) throws -> T5Model {
        try T5Model(
            configuration(tied: tied), parameters: ParameterStore(source: .random(seed: 3)),
            computeType: .float32)
    }

    func logits(_ model: T5Model) throws -> [Double] {
        let batch = try T5Batch(
            sources: [[4, 5, 6], [7]], targets: [[8, 1], [9, 10]], configuration: model.configuration)
        return try withoutGradients { try model(batch).doubles() }
    }

    /// The folder's tensors, changed, written again.
    func rewrite(_ folder: String, _ change: (inout [String: Tensor]) throws -> Void) throws {
        let stored = try SafetensorsTensors(folder: folder)
        var tensors: [String: Tensor] = [:]
        for name in stored.names { tensors[name] = try stored.tensor(named: name) }
        try change(&tensors)
        try SafetensorsWriter(
            tensors: tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, metadata: ["format": "pt"]
        ).write(to: folder + "/model.safetensors")
        try FileManager.default.removeItem(atPath: folder + "/checksums.json")
    }

    func rewriteConfiguration(_ folder: String, _ replacements: [(String, String)]) throws {
        let path = folder + "/config.json"
        var text = try String(contentsOfFile: path, encoding: .utf8)
        for (old, new) in replacements { text = text.replacingOccurrences(of: old, with: new) }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try? FileManager.default.removeItem(atPath: folder + "/checksums.json")
    }

    @Test(arguments: [false, true]) func `A model reads back as it was`(tied: Bool) throws {
        try withTemporaryFolder { parent in
            let model = try Self.model(tied: tied)
            let folder = parent + "/model"
            #expect(!T5Folder.recognizes(folder))
            try T5Folder.save(model, tokenizer: SentinelByteTokenizer(), to: folder)
            #expect(T5Folder.recognizes(folder))
            let loaded = try T5Folder.load(folder, verifies: true)
            #expect(loaded.configuration == model.configuration)
            #expect(try logits(loaded.model) == logits(model))
            #expect(loaded.ignoredTensors.isEmpty)
            #expect(try loaded.tokenizer.vocabularySize == 384)
            #expect(loaded.generationDefaults.decoderStartToken == 0)
            #expect(loaded.generationDefaults.endTokens == [1])
            // The names are the public ones, and tied models hold no output matrix.
            let names = Set(try SafetensorsTensors(folder: folder).names)
            #expect(names.contains("decoder.block.2.layer.1.EncDecAttention.q.weight"))
            #expect(names.contains("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"))
            #expect(names.contains("lm_head.weight") == !tied)
            // A model folder of another kind is not one of T5's.
            #expect(throws: StorageError.alreadyExists(path: folder)) {
                try T5Folder.save(model, to: folder)
            }
            let half = parent + "/half"
            try T5Folder.save(model, to: half, elementType: .bfloat16, maximumShardByteCount: 20_000)
            let narrow = try T5Folder.load(half)
            #expect(narrow.model.computeType == .bfloat16)
            #expect(throws: TextError.noTokenizer(folder: half)) {
                try narrow.tokenizer
            }
        }
    }

    @Test func `Copies of the embedding and the unused table are tolerated and named`() throws {
        try withTemporaryFolder { parent in
            let model = try Self.model(tied: true)
            let folder = parent + "/model"
            try T5Folder.save(model, to: folder)
            let unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
            try rewrite(folder) { tensors in
                let shared = try #require(tensors["shared.weight"])
                tensors["encoder.embed_tokens.weight"] = shared
                tensors["decoder.embed_tokens.weight"] = shared
                tensors["lm_head.weight"] = shared
                tensors[unused] = try Tensor.zeros([32, 2])
            }
            let loaded = try T5Folder.load(folder)
            #expect(
                Set(loaded.ignoredTensors) == [
                    "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight", unused,
                ])
            #expect(try logits(loaded.model) == logits(model))
            // One copy alone stands for the embedding.
            try T5Folder.save(model, to: folder, replacing: true)
            try rewrite(folder) { tensors in
                tensors["encoder.embed_tokens.weight"] = tensors.removeValue(forKey: "shared.weight")
            }
            #expect(try logits(T5Folder.load(folder).model) == logits(model))
        }
    }

    @Test func `A checkpoint of v1.1 that claims to be tied is read with its own output`() throws {
        try withTemporaryFolder { parent in
            let model = try Self.model(tied: false)
            let folder = parent + "/model"
            try T5Folder.save(model, to: folder)
            try rewriteConfiguration(
                folder,
                [
                    ("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true"),
                    ("\"d_model\"", "\"scale_decoder_outputs\": false,\n  \"d_model\""),
                ])
            let loaded = try T5Folder.load(folder)
            #expect(!loaded.configuration.tiedOutput && !loaded.configuration.scaledOutput)
            #expect(try logits(loaded.model) == logits(model))
        }
    }

    @Test func `Everything that does not fit is reported at once`() throws {
        try withTemporaryFolder { parent in
            let folder = parent + "/model"
            try T5Folder.save(Self.model(tied: true), to: folder)
            try rewrite(folder) { tensors in
                tensors["decoder.block.1.layer.1.EncDecAttention.k.weight"] = nil
                tensors["encoder.final_layer_norm.weight"] = try Tensor.ones([9])
                tensors["encoder.block.0.layer.0.SelfAttention.q.weight"] = try Tensor.full([6, 8], .nan)
                tensors["encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"] =
                    try Tensor.zeros([32, 2])
                tensors["lm_head.weight"] = try Tensor.zeros([400, 8])
                tensors["decoder.final_layer_norm.weight"] = try Tensor.ones([8], .int32)
            }
            let error = try #require(throws: CheckpointError.self) { try T5Folder.load(folder) }
            let expected: [CheckpointProblem] = [
                .missing(name: "decoder.block.1.layer.1.EncDecAttention.k.weight", shape: [6, 8]),
                .wrongShape(name: "encoder.final_layer_norm.weight", expected: [8], found: [9]),
                .notFinite(name: "encoder.block.0.layer.0.SelfAttention.q.weight"),
                .unexpected(
                    name: "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
                    shape: [32, 2]),
                .outputNotTied(name: "lm_head.weight", embedding: "shared.weight"),
                .wrongType(name: "decoder.final_layer_norm.weight", found: "I32"),
            ]
            #expect(error.problems.count == expected.count)
            for problem in expected { #expect(error.problems.contains(problem), "\(problem)") }
        }
    }

    @Test func `Wrong configurations and models that cannot be written are refused`() throws {
        try withTemporaryFolder { parent in
            let model = try Self.model(tied: true)
            let folder = parent + "/model"
            try T5Folder.save(model, to: folder)
            try rewriteConfiguration(folder, [("\"num_layers\": 2", "\"num_layers\": 9000")])
            let tooMany = try #require(throws: CheckpointError.self) { try T5Folder.load(folder) }
            #expect(tooMany.description.contains("the configuration has 9003 layers"))
            try rewriteConfiguration(folder, [("\"model_type\": \"t5\"", "\"model_type\": \"bart\"")])
            #expect(throws: SettingsError.self) { try T5Folder.load(folder) }
            #expect(throws: StorageError.notFound(path: parent + "/none/config.json")) {
                try T5Folder.load(parent + "/none")
            }
            let name = "encoder.final_layer_norm.weight"
            try withoutGradients { try #require(model.parameters[name]).scale(by: .infinity) }
            let error = try #require(throws: CheckpointError.self) {
                try T5Folder.save(model, to: folder, replacing: true)
            }
            #expect(error.problems == [.notFinite(name: name)])
        }
    }
}
