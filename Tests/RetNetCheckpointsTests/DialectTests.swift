import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetCheckpoints

/// Small checkpoints that other projects wrote, and what their code computes with them.
///
/// The scripts in `Benchmarks/parity` made the folders with the projects' own code, which computes in float32. Each
/// `expected.safetensors` names its peer.
enum DialectFixture {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/dialects").path
    /// Rounding of float32 in the peer.
    static let bound = 5e-6

    /// The folders of all dialects.
    static let all =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        .filter { !$0.hasPrefix(".") }.sorted()

    static func path(_ name: String) -> String { folder + "/" + name }

    static func expected(_ name: String) throws -> SafetensorsTensors {
        try SafetensorsTensors(file: path(name) + "/expected.safetensors")
    }

    /// The bytes of every tensor of a folder by name.
    static func bytes(_ path: String, except names: [String] = []) throws -> [String: [UInt8]] {
        let folder = try SafetensorsFolder(path: path)
        return try Dictionary(
            uniqueKeysWithValues: folder.entries.filter { !names.contains($0.name) }.map { entry in
                (
                    "\(entry.name) \(entry.elementType) \(entry.shape)",
                    try folder.withUnsafeBytes(of: entry.name) { [UInt8]($0) }
                )
            })
    }

    /// Writes a checkpoint of a fixture's tensors with some fields of the configuration changed or, by nil, removed.
    static func changed(
        _ name: String, _ changes: [String: SettingsTree?], in folder: TemporaryFolder
    ) throws -> String {
        let path = folder.path(name)
        try FileManager.default.copyItem(atPath: DialectFixture.path(name), toPath: path)
        let text = try String(contentsOfFile: path + "/config.json", encoding: .utf8)
        var fields = try #require(SettingsTree(json: text).object)
        for (key, value) in changes { fields[key] = value }
        try SettingsTree.object(fields).jsonText().write(
            toFile: path + "/config.json", atomically: true, encoding: .utf8)
        return path
    }
}

@Suite struct DialectTests {
    private func forms(_ model: LanguageModel) -> [MixerForm] {
        [.parallel, .chunkwise(8), .chunkwise(5), .recurrent]
            .filter { model.unsupportedReason(for: $0) == nil }
    }

    @Test func `There are fixtures of every dialect`() throws {
        let found = try Set(
            DialectFixture.all.map { try ForeignCheckpoint(path: DialectFixture.path($0)).dialect.name })
        #expect(found == Set(Dialects.all.map(\.name)))
    }

    @Test(arguments: DialectFixture.all, [ElementType.float64, .float32])
    func `A checkpoint gives the logits of the project that wrote it, in every form`(
        name: String, type: ElementType
    ) throws {
        let model = try ModelFolder.load(DialectFixture.path(name), elementType: type).model
        let peer = try DialectFixture.expected(name)
        let (tokens, logits) = (try peer.tensor(named: "tokens"), try peer.tensor(named: "logits"))
        for form in forms(model) {
            let found = try withoutGradients { try model(tokens, form: form).logits }
            let error = try relativeError(found, logits)
            #expect(error < DialectFixture.bound, "\(form): \(error)")
        }
        #expect(!forms(model).isEmpty)
    }

    @Test(arguments: DialectFixture.all)
    func `A checkpoint has the state of the project that wrote it, and goes on from there`(name: String)
        throws
    {
        let model = try ModelFolder.load(DialectFixture.path(name), elementType: .float64).model
        let peer = try DialectFixture.expected(name)
        let (tokens, logits) = (try peer.tensor(named: "tokens"), try peer.tensor(named: "logits"))
        guard model.unsupportedReason(for: .recurrent) == nil else { return }
        try withoutGradients {
            let whole = try model(tokens, form: .chunkwise(8))
            for entry in peer.entries where entry.name.hasPrefix("state.") {
                let parts = entry.name.split(separator: ".", maxSplits: 2).map(String.init)
                let layer = try #require(Int(parts[1]))
                let found = try #require(
                    whole.state.layers[layer].tensors.first { $0.name == parts[2] }, "\(entry.name)")
                let error = try relativeError(found.tensor, peer.tensor(named: entry.name))
                #expect(error < DialectFixture.bound, "\(entry.name): \(error)")
            }
            let length = tokens.size(1)
            var state = try model(tokens.sliced(1, 0..<length - 4), form: .chunkwise(8)).state
            for time in length - 4..<length {
                let step = try model(tokens.sliced(1, time..<time + 1), state: state, form: .recurrent)
                let error = try relativeError(step.logits, logits.sliced(1, time..<time + 1))
                #expect(error < 4 * DialectFixture.bound, "token \(time): \(error)")
                state = step.state
            }
        }
    }

    @Test(arguments: DialectFixture.all)
    func `A checkpoint converts into a model folder and back, bit for bit`(name: String) throws {
        let folder = try TemporaryFolder()
        let original = try ForeignCheckpoint(path: DialectFixture.path(name))
        let (own, back) = (folder.path("own"), folder.path("back"))
        try CheckpointConversion(path: original.path).write(to: own)
        #expect(try LanguageModelConfiguration.recognizes(configurationTree(own)))
        #expect(try ModelFolder.configuration(of: own) == original.configuration)
        try CheckpointConversion(path: own).write(to: back, as: original.dialect.name)
        let again = try ForeignCheckpoint(path: back)
        #expect(again.dialect.name == original.dialect.name)
        #expect(again.configuration.meaning == original.configuration.meaning)
        #expect(again.configuration.tokens == original.configuration.tokens)
        // Buffers are computed again, with the rounding of this processor.
        let constants = original.plan.table.constants.filter { !$0.isOptional }.map(\.name)
        let stored = (try original.files.tensors, try again.files.tensors)
        for name in constants {
            let (a, b) = (
                try stored.0.tensor(named: name, on: .cpu), try stored.1.tensor(named: name, on: .cpu)
            )
            #expect(try relativeError(a, b) < 1e-6, "\(name)")
        }
        let before = try DialectFixture.bytes(original.path, except: constants).map {
            (written($0.key, name), $0.value)
        }
        let after = try DialectFixture.bytes(back, except: constants)
        #expect(
            after
                == Dictionary(
                    before.compactMap { key, bytes in key.map { ($0, bytes) } },
                    uniquingKeysWith: { a, _ in a }))
    }

    /// The name under which a tensor of a fixture is written again, which is that of newer versions; nil for a buffer.
    private func written(_ tensor: String, _ fixture: String) -> String? {
        switch fixture {
        case "fla-retnet-groups", "gla-convolved":
            // With `fuse_norm` false fla has another name for the same tensor; it is written as by default.
            return tensor.replacing(".g_norm.weight", with: ".g_norm_swish_gate.weight")
        case "gpt2-without-prefix":
            return tensor.contains(".attn.bias ") || tensor.contains(".attn.masked_bias ")
                ? nil : "transformer." + tensor
        case "gpt-neox-sequential":
            let buffers = ["attention.bias ", "attention.masked_bias ", "rotary_emb.inv_freq "]
            return buffers.contains { tensor.contains($0) } ? nil : tensor
        default: return tensor
        }
    }

    @Test(arguments: DialectFixture.all.filter { $0.hasPrefix("torchscale") || $0.hasPrefix("syncdoth") })
    func `Scores divided by sums of absolute values give the parallel form of torchscale`(name: String) throws
    {
        let peer = try DialectFixture.expected(name)
        guard peer.entry(named: "logits_parallel") != nil else { return }
        let folder = try TemporaryFolder()
        let path = folder.path("own")
        try CheckpointConversion(path: DialectFixture.path(name)).write(to: path)
        let text = try String(contentsOfFile: path + "/config.json", encoding: .utf8)
        try text.replacing(#""normalization": "decay""#, with: #""normalization": "decay_sum_abs""#)
            .write(toFile: path + "/config.json", atomically: true, encoding: .utf8)
        try FileManager.default.removeItem(atPath: path + "/checksums.json")
        let model = try ModelFolder.load(path, elementType: .float64).model
        #expect(model.unsupportedReason(for: .recurrent) != nil)
        let found = try withoutGradients {
            try model(peer.tensor(named: "tokens"), form: .parallel).logits
        }
        let error = try relativeError(found, peer.tensor(named: "logits_parallel"))
        #expect(error < DialectFixture.bound, "\(error)")
        // Both ways of writing scores are one in their configuration.
        try CheckpointConversion(path: path).write(
            to: folder.path("back"), as: ForeignCheckpoint(path: DialectFixture.path(name)).dialect.name)
    }

    @Test func `A file of PyTorch with an argument bag is read as the same tensors in a folder`() throws {
        let folder = DialectFixture.folder + "/../dialects-pytorch"
        let bag = try ForeignCheckpoint(path: folder + "/torchscale-fairseq.pt")
        let plain = try ForeignCheckpoint(path: DialectFixture.path("torchscale-fairseq"))
        #expect(bag.dialect.name == "torchscale-fairseq")
        #expect(bag.configuration == plain.configuration)
        let temporary = try TemporaryFolder()
        try CheckpointConversion(path: bag.path).write(to: temporary.path("a"))
        try CheckpointConversion(path: plain.path).write(to: temporary.path("b"))
        #expect(
            try DialectFixture.bytes(temporary.path("a")) == DialectFixture.bytes(temporary.path("b")))
        #expect(try RunFolder.modelPath(for: bag.path) == bag.path)
        let model = try ModelFolder.load(bag.path, elementType: .float64).model
        let peer = try DialectFixture.expected("torchscale-fairseq")
        let found = try withoutGradients {
            try model(peer.tensor(named: "tokens"), form: .chunkwise(8)).logits
        }
        #expect(try relativeError(found, peer.tensor(named: "logits")) < DialectFixture.bound)
    }

    @Test(arguments: DialectFixture.all)
    func `A checkpoint converted to another element type is loaded as that`(name: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("half")
        try CheckpointConversion(path: DialectFixture.path(name)).write(to: path, elementType: .bfloat16)
        let model = try ModelFolder.load(path).model
        #expect(model.parameters.elementType == .bfloat16)
        let wanted = try ModelFolder.load(DialectFixture.path(name), elementType: .bfloat16).model
        for (found, expected) in zip(model.parameters.entries, wanted.parameters.entries) {
            #expect(
                try found.tensor.isEqual(to: expected.tensor).to(.uint8).min().item() == 1, "\(found.name)")
        }
    }

    private func configurationTree(_ folder: String) throws -> SettingsTree {
        try SettingsTree(json: String(contentsOfFile: folder + "/config.json", encoding: .utf8))
    }
}

/// What is in doubt is refused, with everything that is wrong, by the names of the project that wrote it.
@Suite struct DialectRefusalTests {
    @Test func `Missing, unexpected and misshapen tensors are reported together, by their names`() throws {
        let folder = try TemporaryFolder()
        let path = try DialectFixture.changed("fla-retnet", [:], in: folder)
        let tensors = try SafetensorsTensors(folder: path)
        var kept = try tensors.names.filter { $0 != "model.norm.weight" }.map {
            ($0, try tensors.tensor(named: $0))
        }
        kept.append(("model.layers.0.attn.q_conv1d.weight", try Tensor.ones([3])))
        let place = try #require(kept.firstIndex { $0.0 == "model.layers.1.mlp.up_proj.weight" })
        kept[place].1 = try Tensor.ones([12, 15])
        try SafetensorsWriter(tensors: kept.map { (name: $0.0, tensor: $0.1) })
            .write(to: path + "/model.safetensors")
        let error = #expect(throws: CheckpointError.self) { try ModelFolder.load(path) }
        #expect(
            Set(error?.problems.map(\.description) ?? []) == [
                "'model.norm.weight' [16] is missing",
                "'model.layers.0.attn.q_conv1d.weight' [3] is unexpected: the configuration has no such parameter",
                "'model.layers.1.mlp.up_proj.weight' has the shape [12, 15], but the configuration needs [12, 16]",
            ])
        #expect(throws: CheckpointError.self) {
            try CheckpointConversion(path: path).write(to: folder.path("out"))
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
    }

    @Test func `Values that would change the computation are refused by name, all at once`() throws {
        let folder = try TemporaryFolder()
        let path = try DialectFixture.changed(
            "fla-retnet",
            [
                "feature_map": "relu", "attnres_block_size": 2, "hidden_act": "powlu",
                "num_heads": 3, "unknown_field": 1,
            ], in: folder)
        let error = #expect(throws: SettingsError.self) { try ModelFolder.configuration(of: path) }
        #expect(
            Set(error?.problems.map(\.path) ?? []) == [
                "feature_map", "attnres_block_size", "hidden_act", "expand_k", "expand_v",
            ])
    }

    @Test func `A configuration of no known project is refused with its type`() throws {
        let folder = try TemporaryFolder()
        let path = try DialectFixture.changed("fla-retnet", ["num_heads": nil], in: folder)
        let error = #expect(throws: DialectError.self) { try ModelFolder.load(path) }
        #expect(error?.description.contains("its model_type is 'retnet'") == true)
    }

    /// Choices of syncdoth/RetNet-XATL, with those that mean the plain form.
    static let xatl: [String: SettingsTree] = [
        "use_bias": false, "parallel_residual": false, "shared_attention_norm": false, "lm_head_bias": false,
        "groupnorm_affine": false, "use_rms_norm": true, "rotary_percentage": 1.0, "retnet_bottleneck": .null,
        "hybrid_attention_layers": .null, "retnet_stability_update": true,
    ]

    @Test func `RetNet-XATL is read where it is the plain form, and refused by the names of its choices`()
        throws
    {
        let folder = try TemporaryFolder()
        let name = "syncdoth-retnet"
        let plain = try DialectFixture.changed(name, Self.xatl.mapValues { $0 }, in: folder)
        #expect(
            try ModelFolder.configuration(of: plain)
                == ModelFolder.configuration(of: DialectFixture.path(name)))
        let choices: [String: SettingsTree] = [
            "use_bias": true, "parallel_residual": true, "shared_attention_norm": true, "lm_head_bias": true,
            "groupnorm_affine": true, "use_rms_norm": false, "rotary_percentage": 0.25,
            "retnet_bottleneck": 8,
            "hybrid_attention_layers": [1], "retnet_stability_update": false, "use_lm_decay": true,
        ]
        let other = try TemporaryFolder()
        let path = try DialectFixture.changed(name, choices.mapValues { $0 }, in: other)
        let error = #expect(throws: SettingsError.self) { try ModelFolder.configuration(of: path) }
        #expect(Set(error?.problems.map(\.path) ?? []) == Set(choices.keys))
        #expect(error?.description.contains("syncdoth/RetNet-XATL") == true)
    }

    @Test func `What another form cannot say is the reason of a refusal`() throws {
        let folder = try TemporaryFolder()
        try ModelFolder.save(tinyModel(), tokenizer: nil, to: folder.path("own"))
        let error = #expect(throws: DialectError.self) {
            try CheckpointConversion(path: folder.path("own")).write(to: folder.path("fla"), as: "fla-retnet")
        }
        guard case .inexpressible(_, let reasons)? = error else { return }
        #expect(
            reasons.contains {
                $0 == "mixer.rotation is the text 'interleaved', but it can only say the text 'halves'"
            })
        #expect(!folder.exists("fla"))
    }

    @Test func `An unknown dialect is answered with the nearest one`() {
        #expect(DialectError.unknown(name: "fla-retnt").description.contains("did you mean 'fla-retnet'?"))
    }
}

/// Published checkpoints by their configurations.
@Suite struct PublishedCheckpointTests {
    /// fla-hub/retnet-1.3B-100B at revision 7fddefc, and retnet-2.7B-100B with the sizes that its card gives.
    private static func configuration(width: Int, layers: Int, heads: Int) -> SettingsTree {
        [
            "architectures": ["RetNetForCausalLM"], "attn_mode": "fused_chunk", "bos_token_id": 1,
            "conv_size": 4,
            "elementwise_affine": true, "eos_token_id": 2, "expand_k": 1, "expand_v": 2,
            "fuse_cross_entropy": true, "fuse_norm": true, "hidden_act": "swish", "hidden_ratio": 2,
            "hidden_size": .int(width), "initializer_range": 0.02, "intermediate_size": .null,
            "max_position_embeddings": 2048, "model_type": "retnet", "norm_eps": 1e-6,
            "num_heads": .int(heads),
            "num_hidden_layers": .int(layers), "num_kv_heads": .null, "rms_norm_eps": 1e-6,
            "share_conv_kernel": true, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
            "transformers_version": "4.40.2", "use_cache": true, "use_output_gate": true,
            "use_short_conv": false, "vocab_size": 32000,
        ]
    }

    @Test(arguments: [
        (2048, 24, 8, 267, 1_351_727_104, "fla-retnet"), (2560, 32, 10, 355, 2_722_548_224, "fla-retnet"),
        (2560, 32, 10, 323, 2_722_548_224, "fla-retnet-fused"),
    ])
    func `fla's published RetNets have their numbers of tensors and parameters`(
        width: Int, layers: Int, heads: Int, tensorCount: Int, parameterCount: Int, dialect: String
    ) throws {
        let folder = try TemporaryFolder()
        try Self.configuration(width: width, layers: layers, heads: heads).jsonText()
            .write(toFile: folder.path("config.json"), atomically: true, encoding: .utf8)
        let checkpoint = try ForeignCheckpoint(path: folder.url.path, dialect: dialect)
        #expect(checkpoint.parameterCount == parameterCount)
        #expect(checkpoint.plan.theirs.count == tensorCount)
        #expect(checkpoint.plan.theirs.reduce(0) { $0 + $1.shape.reduce(1, *) } == parameterCount)
        #expect(checkpoint.configuration.tokens == SpecialTokens(begin: 1, end: 2))
    }
}
