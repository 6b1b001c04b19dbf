import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTorch

/// GPT-2 of Hugging Face Transformers, also without the prefix `transformer.`, as OpenAI's own checkpoints are there.
///
/// Matrices are stored as [in, out]; queries, keys and values are one matrix.
struct TransformersGPT2: CheckpointDialect {
    var name: String { "gpt2" }
    var summary: String { "GPT-2 of Hugging Face Transformers" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        TransformersFields.recognition(
            of: checkpoint, type: "gpt2", fields: ["n_embd", "n_layer", "n_head"], prefix: "transformer",
            telling: ["wte.weight"])
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        var model = TransformersFields.model(fields, width: "n_embd", layers: "n_layer")
        let heads = fields.int("n_head", in: TransformersFields.heads)
        if model.hiddenSize % heads != 0 {
            fields.report("n_head", allowed: "a divisor of n_embd (\(model.hiddenSize))")
        }
        fields.refuse("scale_attn_weights", unless: [true], "unscaled scores are not known here")
        fields.refuse(
            "scale_attn_by_inverse_layer_idx", unless: [false], "scores scaled by layer are not known here")
        fields.refuse("add_cross_attention", unless: [false], "attention to an encoder is not known here")
        let inner = fields.optionalInt("n_inner", in: 1...1 << 22) ?? 4 * model.hiddenSize
        model.mixer = .attention(
            AttentionConfiguration(
                headCount: heads, headSize: max(1, model.hiddenSize / heads), rotation: .none, biases: true))
        model.feedForward = FeedForwardConfiguration(
            kind: .plain,
            activation: TransformersFields.activation(fields, "activation_function", default: "gelu_new"),
            innerSize: inner, biases: true)
        model.norm = NormConfiguration(
            kind: .layer,
            epsilon: fields.double("layer_norm_epsilon", in: SettingsRange.fraction, default: 1e-5))
        model.positionEmbedding = .learned
        model.positionCount = fields.int("n_positions", in: 1...1 << 24, default: 1024)
        model.trainingLength = model.positionCount
        model.tiedOutput = fields.bool("tie_word_embeddings", default: true)
        model.dropout.embedding = TransformersFields.dropout(fields, "embd_pdrop", default: 0.1)
        model.dropout.residual = TransformersFields.dropout(fields, "resid_pdrop", default: 0.1)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let attention = try TransformersFields.attention(model, name)
        var fields: SettingsObject = [
            "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
            "activation_function": TransformersFields.name(of: model.feedForward.activation),
            "n_head": .int(attention.headCount), "n_inner": .int(model.feedForward.innerSize),
            "n_positions": .int(model.positionCount), "n_ctx": .int(model.positionCount),
            "layer_norm_epsilon": .double(model.norm.epsilon), "attn_pdrop": 0.0,
            "embd_pdrop": .double(model.dropout.embedding), "resid_pdrop": .double(model.dropout.residual),
            "scale_attn_weights": true,
        ]
        TransformersFields.add(model, to: &fields, width: "n_embd", layers: "n_layer")
        return fields
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        let prefix = TransformersFields.prefix("transformer", telling: "wte.weight", in: table)
        let positions = model.positionCount
        table.scope("", prefix) { root in
            root.same("embedding.weight", "wte.weight")
            root.same("position_embedding.weight", "wpe.weight")
            root.module("final_norm", "ln_f")
            root.layers(model.layerCount, "h") { layer, _ in
                layer.module("mixer_norm", "ln_1")
                let parts = ["mixer.query", "mixer.key", "mixer.value"]
                layer.fused(parts.map { $0 + ".weight" }, "attn.c_attn.weight", .transposed)
                layer.fused(parts.map { $0 + ".bias" }, "attn.c_attn.bias")
                for (ours, theirs) in [
                    ("mixer.output", "attn.c_proj"), ("feed_forward.up", "mlp.c_fc"),
                    ("feed_forward.down", "mlp.c_proj"),
                ] {
                    layer.same("\(ours).weight", "\(theirs).weight", .transposed)
                    layer.same("\(ours).bias", "\(theirs).bias")
                }
                layer.module("feed_forward_norm", "ln_2")
                // Buffers of early versions.
                layer.constant("attn.bias", isOptional: true, shape: [1, 1, positions, positions]) {
                    try CausalMask.tensor(positions)
                }
                layer.ignore("attn.masked_bias")
            }
        }
        let embedding = prefix.isEmpty ? "wte.weight" : "\(prefix).wte.weight"
        table.output("lm_head", tiedTo: embedding)
    }
}

/// The mask that early versions of Transformers kept among the tensors of a model.
enum CausalMask {
    /// Returns [1, 1, N, N]: 1 where a query sees a key, otherwise 0.
    static func tensor(_ length: Int) throws -> Tensor {
        try Tensor.ones([length, length], .float32).lowerTriangle().reshaped([1, 1, length, length])
    }
}
