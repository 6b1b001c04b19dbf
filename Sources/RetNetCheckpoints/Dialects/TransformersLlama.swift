import RetNetMixers
import RetNetModels
import RetNetSettings

/// Models of Hugging Face Transformers with Llama's layers: grouped heads rotated in halves, root-mean-square norms, and
/// a feed-forward gated by swish.
struct TransformersLlama: CheckpointDialect {
    /// The models, which differ in biases and in fields that are not known here.
    enum Kind: String, Sendable, CaseIterable {
        /// Llama 1 to 3.2, TinyLlama, SmolLM and others of the same model type.
        case llama
        /// Mistral without a window.
        case mistral
        /// Qwen 2 and 2.5, whose queries, keys and values have biases.
        case qwen2
    }

    let kind: Kind

    var name: String { kind.rawValue }

    var summary: String {
        switch kind {
        case .llama:
            "Llama, TinyLlama, SmolLM and other models of the type 'llama' of Hugging Face Transformers"
        case .mistral: "Mistral without a sliding window, of Hugging Face Transformers"
        case .qwen2: "Qwen 2 and 2.5 of Hugging Face Transformers"
        }
    }

    private var className: SettingsTree {
        switch kind {
        case .llama: "LlamaForCausalLM"
        case .mistral: "MistralForCausalLM"
        case .qwen2: "Qwen2ForCausalLM"
        }
    }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        TransformersFields.recognition(
            of: checkpoint, type: kind.rawValue, fields: ["hidden_size", "num_attention_heads"],
            prefix: "model", telling: ["embed_tokens.weight"])
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        var model = TransformersFields.model(fields)
        model.trainingLength = fields.int("max_position_embeddings", in: 1...Int.max, default: 2048)
        let heads = fields.int("num_attention_heads", in: TransformersFields.heads)
        let groups = fields.optionalInt("num_key_value_heads", in: TransformersFields.heads)
        let size = fields.optionalInt("head_dim", in: 1...1 << 16)
        if size == nil, model.hiddenSize % heads != 0 {
            fields.report("num_attention_heads", allowed: "a divisor of hidden_size (\(model.hiddenSize))")
        }
        var attention = AttentionConfiguration(
            headCount: heads, keyValueHeadCount: groups == heads ? nil : groups,
            headSize: size ?? max(1, model.hiddenSize / heads))
        TransformersFields.readRotary(fields, into: &attention)
        var hasBiases = false
        switch kind {
        case .llama:
            attention.biases = fields.bool("attention_bias", default: false)
            hasBiases = fields.bool("mlp_bias", default: false)
        case .mistral:
            refuseWindow(fields, length: model.trainingLength)
        case .qwen2:
            (attention.biases, attention.outputBiases) = (true, false)
            if fields.bool("use_sliding_window", default: false) {
                refuseWindow(fields, length: model.trainingLength)
            }
        }
        for type in fields.tree("layer_types")?.array ?? [] where type != "full_attention" {
            fields.reportContradiction("layer_types", "only 'full_attention' is known here")
            break
        }
        model.mixer = .attention(attention)
        model.feedForward = FeedForwardConfiguration(
            kind: .gated, activation: TransformersFields.activation(fields, "hidden_act", default: "silu"),
            innerSize: fields.int("intermediate_size", in: 1...1 << 22), biases: hasBiases)
        model.norm = NormConfiguration(
            kind: .rms, epsilon: fields.double("rms_norm_eps", in: SettingsRange.fraction, default: 1e-6))
        model.tiedOutput = fields.bool("tie_word_embeddings", default: false)
        return model
    }

    /// Reports a window in which attention looks back, unless no text is longer.
    private func refuseWindow(_ fields: SettingsReader, length: Int?) {
        guard fields.has("sliding_window") else { return }
        let window = fields.int("sliding_window", in: 1...Int.max)
        guard window < length ?? .max else { return }
        fields.reportContradiction(
            "sliding_window",
            "attention within a window is not known here; set it to null if texts stay shorter than \(window) tokens"
        )
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let attention = try TransformersFields.attention(model, name)
        var fields: SettingsObject = [
            "architectures": [className], "model_type": .string(kind.rawValue),
            "intermediate_size": .int(model.feedForward.innerSize),
            "num_attention_heads": .int(attention.headCount),
            "num_key_value_heads": .int(attention.keyValueHeadCount ?? attention.headCount),
            "head_dim": .int(attention.headSize),
            "hidden_act": TransformersFields.name(of: model.feedForward.activation),
            "max_position_embeddings": .int(model.trainingLength ?? 2048),
            "rms_norm_eps": .double(model.norm.epsilon), "attention_dropout": 0.0,
        ]
        switch kind {
        case .llama:
            fields["attention_bias"] = .bool(attention.biases)
            fields["mlp_bias"] = .bool(model.feedForward.biases)
        case .mistral: fields["sliding_window"] = .null
        case .qwen2: fields["use_sliding_window"] = false
        }
        TransformersFields.addRotary(attention, to: &fields)
        TransformersFields.add(model, to: &fields)
        return fields
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        let prefix = TransformersFields.prefix("model", telling: "embed_tokens.weight", in: table)
        table.scope("", prefix) { root in
            root.same("embedding.weight", "embed_tokens.weight")
            root.module("final_norm", "norm")
            root.layers(model.layerCount, "layers") { layer, _ in
                layer.module("mixer_norm", "input_layernorm")
                layer.module("mixer.query", "self_attn.q_proj")
                layer.module("mixer.key", "self_attn.k_proj")
                layer.module("mixer.value", "self_attn.v_proj")
                layer.module("mixer.output", "self_attn.o_proj")
                layer.module("feed_forward_norm", "post_attention_layernorm")
                // Here `up` is the branch with the activation.
                layer.module("feed_forward.up", "mlp.gate_proj")
                layer.module("feed_forward.gate", "mlp.up_proj")
                layer.module("feed_forward.down", "mlp.down_proj")
                // A buffer of early versions, which follows from the configuration.
                layer.ignore("self_attn.rotary_emb.inv_freq")
            }
        }
        table.output(
            "lm_head", tiedTo: prefix.isEmpty ? "embed_tokens.weight" : "\(prefix).embed_tokens.weight")
    }
}
