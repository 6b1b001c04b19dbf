import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetCheckpoints

/// Checkpoints of Transformers and other architectures beside RetNet: what their configurations mean.
@Suite struct DialectModelsTests {
    private static let continued = DialectFixture.all.filter {
        (try? DialectFixture.expected($0).names.contains("continued")) == true
    }

    @Test(arguments: continued, [ElementType.float64, .float32])
    func `After a prompt, a checkpoint goes on as the project that wrote it does from its own state`(
        name: String, type: ElementType
    ) throws {
        let model = try ModelFolder.load(DialectFixture.path(name), elementType: type).model
        let peer = try DialectFixture.expected(name)
        let (tokens, logits) = (try peer.tensor(named: "tokens"), try peer.tensor(named: "continued"))
        let (length, start) = (tokens.size(1), tokens.size(1) - logits.size(1))
        try withoutGradients {
            let prompt = try model(tokens.sliced(1, 0..<start), form: .chunkwise(8)).state
            let whole = try model(tokens.sliced(1, start..<length), state: prompt, form: .chunkwise(5)).logits
            #expect(try relativeError(whole, logits) < 1e-5)
            var state = prompt
            var steps: [Tensor] = []
            for time in start..<length {
                let step = try model(tokens.sliced(1, time..<time + 1), state: state, form: .recurrent)
                steps.append(step.logits)
                state = step.state
            }
            #expect(try relativeError(Tensor.concatenated(steps, axis: 1), logits) < 1e-5)
        }
    }

    @Test func `There are continuations of every architecture beside RetNet`() throws {
        let found = try Set(
            Self.continued.map { try ForeignCheckpoint(path: DialectFixture.path($0)).dialect.name })
        var wanted: Set<String> = []
        for name in DialectFixture.all {
            let checkpoint = try ForeignCheckpoint(path: DialectFixture.path(name))
            let isRetNet = checkpoint.configuration.pattern.contains { $0.mixer.kind == .retention }
            if !isRetNet { wanted.insert(checkpoint.dialect.name) }
        }
        #expect(found.isSuperset(of: wanted) && wanted.count >= 14)
    }

    // MARK: Configurations

    private func configuration(
        _ name: String, _ changes: [String: SettingsTree?]
    ) throws -> LanguageModelConfiguration {
        let folder = try TemporaryFolder()
        return try ModelFolder.configuration(of: DialectFixture.changed(name, changes, in: folder))
    }

    private func attention(_ c: LanguageModelConfiguration) throws -> AttentionConfiguration {
        guard case .attention(let attention) = c.mixer else { throw Wrong() }
        return attention
    }

    private struct Wrong: Error {}

    @Test func `The words of Transformers 4 and 5 for rotary positions mean the same`() throws {
        let old = try configuration(
            "llama",
            [
                "rope_parameters": nil, "rope_theta": 1e6,
                "rope_scaling": ["type": "linear", "factor": 4.0],
            ])
        let new = try configuration(
            "llama", ["rope_parameters": ["rope_type": "linear", "factor": 4.0, "rope_theta": 1e6]])
        #expect(old == new)
        #expect(try attention(old).rotaryScaling == RotaryScaling(kind: .linear, factor: 4))
        let plain = try configuration("llama", ["rope_parameters": nil, "rope_scaling": .null])
        #expect(try attention(plain).rotaryBase == 10_000)
        #expect(try attention(plain).rotaryScaling == nil)
        let neox = try configuration(
            "gpt-neox",
            ["rope_parameters": nil, "rotary_pct": 0.5, "rotary_emb_base": 10_000, "rope_scaling": .null])
        #expect(try neox == configuration("gpt-neox", [:]))
        #expect(try attention(neox).rotarySize == 4)
    }

    @Test func `Windows longer than any text are no windows`() throws {
        #expect(
            try configuration("mistral", ["sliding_window": 64]) == configuration("mistral", [:]))
        #expect(
            try configuration("qwen2", ["sliding_window": 8, "max_window_layers": 1, "layer_types": nil])
                == configuration("qwen2", [:]))
    }

    @Test func `Every spelling of an unlimited step is none`() throws {
        for pair: SettingsTree in [
            [0.0, ["__float__": "Infinity"]], [0.0, "Infinity"], [0.0, "inf"],
        ] {
            guard case .mamba2(let c) = try configuration("mamba2", ["time_step_limit": pair]).mixer else {
                throw Wrong()
            }
            #expect(c.minimumStep == 0 && c.maximumStep == nil)
        }
        // As earlier versions of Transformers write it, which is no JSON.
        let folder = try TemporaryFolder()
        let path = try DialectFixture.changed("mamba2", ["time_step_limit": [0.25, 2.0]], in: folder)
        guard case .mamba2(let c) = try ModelFolder.configuration(of: path).mixer else { throw Wrong() }
        #expect(c.minimumStep == 0.25 && c.maximumStep == 2)
        let file = path + "/config.json"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        #expect(text.contains("[0.25, 2.0]"))
        try text.replacing("[0.25, 2.0]", with: "[0.25, Infinity]").write(
            toFile: file, atomically: true, encoding: .utf8)
        guard case .mamba2(let open) = try ModelFolder.configuration(of: path).mixer else { throw Wrong() }
        #expect(open.minimumStep == 0.25 && open.maximumStep == nil)
    }

    @Test func `RWKV-4 halves its residual stream only where a period ends within it`() throws {
        #expect(try configuration("rwkv4", [:]).halvingPeriod == 4)
        for period in [0, -1, 6, Int.max] {
            #expect(try configuration("rwkv4", ["rescale_every": .int(period)]).halvingPeriod == nil)
        }
    }

    @Test func `Special tokens and rates of training are kept`() throws {
        let c = try configuration(
            "gpt2", ["eos_token_id": [2, 3], "resid_pdrop": 0.2, "initializer_range": 0.05])
        #expect(c.tokens == SpecialTokens(begin: 1, end: 2))
        #expect(c.dropout.residual == 0.2 && c.dropout.embedding == 0.1)
        #expect(c.initialization == .normal(standardDeviation: 0.05))
        #expect(c.positionCount == 24 && c.tiedOutput)
    }

    @Test func `RWKV-4 of its authors needs no configuration, and later versions are refused`() throws {
        let folder = try TemporaryFolder()
        let (original, alone) = (DialectFixture.path("rwkv4-authors"), folder.path("RWKV-4.safetensors"))
        try FileManager.default.copyItem(atPath: original + "/model.safetensors", toPath: alone)
        let (found, given) = (
            try ModelFolder.load(alone).configuration, try ModelFolder.configuration(of: original)
        )
        #expect(found.meaning == given.meaning && found.trainingLength == nil && given.trainingLength == 64)
        let tensors = try SafetensorsTensors(file: alone)
        var all = try tensors.names.map { (name: $0, tensor: try tensors.tensor(named: $0)) }
        all.append((name: "blocks.0.att.ln_x.weight", tensor: try Tensor.ones([8])))
        try SafetensorsWriter(tensors: all).write(to: folder.path("RWKV-5.safetensors"))
        let error = #expect(throws: DialectError.self) {
            try ModelFolder.load(folder.path("RWKV-5.safetensors"))
        }
        #expect(error?.description.contains("only RWKV-4 is known here") == true)
    }

    // MARK: Refusals

    /// A field with a value that changes what the model computes, and what the refusal says.
    static let refused: [(String, [String: SettingsTree?], String)] = [
        ("gpt2", ["activation_function": "mish"], "activation_function"),
        ("gpt2", ["scale_attn_by_inverse_layer_idx": true], "scale_attn_by_inverse_layer_idx"),
        ("gpt2", ["scale_attn_weights": false], "scale_attn_weights"),
        ("gpt2", ["add_cross_attention": true], "add_cross_attention"),
        ("gpt2", ["n_head": 5], "n_head"),
        (
            "llama", ["rope_parameters": nil, "rope_scaling": ["rope_type": "yarn", "factor": 4]], "rope_type"
        ),
        ("llama", ["rope_parameters": nil, "rope_scaling": ["type": "dynamic", "factor": 4]], "type"),
        (
            "llama", ["rope_parameters": nil, "rope_scaling": ["rope_type": "llama3", "factor": 4]],
            "low_freq_factor"
        ),
        ("llama", ["rope_parameters": ["rope_type": "linear", "factor": 0.5]], "factor"),
        ("llama", ["num_key_value_heads": 2], "key_value_head_count"),
        ("llama", ["head_dim": nil, "num_attention_heads": 5], "num_attention_heads"),
        ("llama", ["quantization_config": ["bits": 4]], "quantization_config"),
        ("llama", ["hidden_act": 3], "hidden_act"),
        ("llama", ["layer_types": ["full_attention", "sliding_attention"]], "layer_types"),
        ("mistral", ["sliding_window": 16], "sliding_window"),
        ("qwen2", ["use_sliding_window": true, "sliding_window": 16], "sliding_window"),
        ("gpt-neox", ["rope_parameters": nil, "rotary_pct": 0.4], "rotary_pct"),
        ("gpt-neox", ["hidden_size": .int(1 << 40)], "hidden_size"),
        ("rwkv4", ["attention_hidden_size": 12], "attention_hidden_size"),
        ("rwkv4", ["layer_norm_epsilon": 1e-6], "layer_norm_epsilon"),
        ("mamba2", ["norm_before_gate": true], "norm_before_gate"),
        ("mamba2", ["hidden_act": "gelu"], "hidden_act"),
        ("mamba2", ["expand": 3], "expand"),
        ("mamba2", ["n_groups": 3], "group_count"),
        ("mamba2", ["time_step_limit": [1.0, 0.5]], "time_step_limit"),
        ("mamba2-authors", ["attn_layer_idx": [1]], "attn_layer_idx"),
        ("mamba2-authors", ["d_intermediate": 32], "d_intermediate"),
        ("mamba2-authors", ["ssm_cfg": ["layer": "Mamba2", "headdim": 5]], "headdim"),
        ("mamba2-authors", ["ssm_cfg": ["layer": "Mamba2", "headdim": 4, "D_has_hdim": true]], "D_has_hdim"),
        ("gla", ["feature_map": "relu"], "feature_map"),
        ("gla", ["num_kv_heads": 1], "num_kv_heads"),
        ("gla", ["expand_k": 0.4], "expand_k"),
        ("gla-hybrid", ["attn": ["layers": [0], "num_heads": 2, "window_size": 16]], "window_size"),
        ("delta-net", ["qk_norm": "sum"], "qk_norm"),
        ("delta-net", ["qk_activation": "relu"], "qk_activation"),
        ("delta-net", ["use_beta": false], "use_beta"),
        ("gated-deltanet", ["num_v_heads": 4], "num_v_heads"),
        ("gated-deltanet", ["attnres_block_size": 2], "attnres_block_size"),
    ]

    @Test(arguments: refused.indices)
    func `A value that would change the computation is refused by name`(index: Int) throws {
        let (name, changes, field) = Self.refused[index]
        let error = #expect(throws: SettingsError.self) { try configuration(name, changes) }
        #expect(
            error?.problems.contains { $0.path.split(separator: ".").last == Substring(field) } == true,
            "\(error?.description ?? "")")
    }

    static let misfits: [(String, [String: SettingsTree?], String)] = [
        ("llama", ["num_attention_heads": 6, "num_key_value_heads": 2], "self_attn.q_proj.weight"),
        ("llama", ["num_hidden_layers": 3], "layers.2"),
        ("gpt2", ["n_inner": 20], "mlp.c_fc.weight"),
        ("gpt-neox", ["attention_bias": false], "attention.query_key_value.bias"),
        ("mamba2", ["state_size": 5], "mixer.in_proj.weight"),
        ("gated-deltanet", ["use_gate": false], "attn.g_proj.weight"),
    ]

    @Test(arguments: misfits.indices)
    func `A configuration that the tensors do not fit is refused by their names`(index: Int) throws {
        let (name, changes, tensor) = Self.misfits[index]
        let folder = try TemporaryFolder()
        let path = try DialectFixture.changed(name, changes, in: folder)
        let error = #expect(throws: CheckpointError.self) { try ModelFolder.load(path) }
        #expect(error?.description.contains(tensor) == true, "\(error?.description ?? "")")
    }

    @Test func `A mask other than the causal one is refused`() throws {
        let folder = try TemporaryFolder()
        let path = try DialectFixture.changed("gpt2-without-prefix", [:], in: folder)
        let tensors = try SafetensorsTensors(folder: path)
        let changed = try tensors.names.map { name in
            (
                name: name,
                tensor: name == "h.1.attn.bias"
                    ? try Tensor.ones([1, 1, 24, 24], .float32) : try tensors.tensor(named: name)
            )
        }
        try SafetensorsWriter(tensors: changed).write(to: path + "/model.safetensors")
        let error = #expect(throws: CheckpointError.self) { try ModelFolder.load(path) }
        #expect(error?.problems == [.wrongConstant(name: "h.1.attn.bias")])
    }

    @Test func `A mask of a size that only the configuration claims is never made`() throws {
        let folder = try TemporaryFolder()
        let large: [String: SettingsTree?] = ["max_position_embeddings": .int(1 << 40)]
        _ = try ModelFolder.load(DialectFixture.changed("gpt-neox", large, in: folder))
        let path = try DialectFixture.changed("gpt-neox-sequential", large, in: folder)
        let error = #expect(throws: CheckpointError.self) { try ModelFolder.load(path) }
        #expect(
            error?.description.contains("attention.bias' has the shape [1, 1, ") == true,
            "\(error?.description ?? "")")
    }

    @Test func `The first Mamba is not the second`() throws {
        for layer: SettingsTree in [[:], ["layer": "Mamba1"]] {
            let error = #expect(throws: DialectError.self) {
                try configuration("mamba2-authors", ["ssm_cfg": layer])
            }
            #expect(error?.description.contains("not 'Mamba1'") == true)
        }
    }

    @Test func `An architecture that is not known is refused with its type`() throws {
        let error = #expect(throws: DialectError.self) {
            try configuration("llama", ["model_type": "gemma2"])
        }
        #expect(error?.description.contains("'gemma2'") == true)
    }

    @Test func `Biases that Llama cannot say are left to Qwen 2`() throws {
        let folder = try TemporaryFolder()
        try CheckpointConversion(path: DialectFixture.path("qwen2")).write(to: folder.path("own"))
        let error = #expect(throws: DialectError.self) {
            try CheckpointConversion(path: folder.path("own")).write(to: folder.path("out"), as: "llama")
        }
        #expect(error?.description.contains("output_biases") == true)
        // A model without any is Llama and Mistral both.
        try CheckpointConversion(path: DialectFixture.path("mistral")).write(
            to: folder.path("llama"), as: "llama")
        #expect(try ForeignCheckpoint(path: folder.path("llama")).dialect.name == "llama")
    }
}
