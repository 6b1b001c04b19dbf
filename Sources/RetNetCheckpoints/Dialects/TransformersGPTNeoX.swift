import RetNetMixers
import RetNetModels
import RetNetSettings

/// GPT-NeoX of Hugging Face Transformers: Pythia, GPT-NeoX-20B and others of the same model type.
///
/// Queries, keys and values are one matrix, in which those of each head lie together.
struct TransformersGPTNeoX: CheckpointDialect {
    private static let rotary = TransformersFields.RotaryNames(
        base: "rotary_emb_base", share: "rotary_pct", standardShare: 0.25)

    var name: String { "gpt-neox" }
    var summary: String { "GPT-NeoX and Pythia of Hugging Face Transformers" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        TransformersFields.recognition(
            of: checkpoint, type: "gpt_neox", fields: ["hidden_size", "num_attention_heads"],
            prefix: "gpt_neox", telling: ["embed_in.weight"])
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        var model = TransformersFields.model(fields)
        model.trainingLength = fields.int("max_position_embeddings", in: 1...Int.max, default: 2048)
        let heads = fields.int("num_attention_heads", in: TransformersFields.heads)
        if model.hiddenSize % heads != 0 {
            fields.report("num_attention_heads", allowed: "a divisor of hidden_size (\(model.hiddenSize))")
        }
        var attention = AttentionConfiguration(
            headCount: heads, headSize: max(1, model.hiddenSize / heads),
            biases: fields.bool("attention_bias", default: true))
        TransformersFields.readRotary(fields, Self.rotary, into: &attention)
        model.mixer = .attention(attention)
        model.feedForward = FeedForwardConfiguration(
            kind: .plain, activation: TransformersFields.activation(fields, "hidden_act", default: "gelu"),
            innerSize: fields.int("intermediate_size", in: 1...1 << 22), biases: true)
        model.norm = NormConfiguration(
            kind: .layer, epsilon: fields.double("layer_norm_eps", in: SettingsRange.fraction, default: 1e-5))
        model.parallelResidual = fields.bool("use_parallel_residual", default: true)
        model.tiedOutput = fields.bool("tie_word_embeddings", default: false)
        let rate = TransformersFields.dropout(fields, "hidden_dropout", default: 0)
        (model.dropout.embedding, model.dropout.residual) = (rate, rate)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let attention = try TransformersFields.attention(model, name)
        var fields: SettingsObject = [
            "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox",
            "intermediate_size": .int(model.feedForward.innerSize),
            "num_attention_heads": .int(attention.headCount), "attention_bias": .bool(attention.biases),
            "attention_dropout": 0.0, "hidden_dropout": .double(model.dropout.residual),
            "hidden_act": TransformersFields.name(of: model.feedForward.activation),
            "layer_norm_eps": .double(model.norm.epsilon),
            "max_position_embeddings": .int(model.trainingLength ?? 2048),
            "use_parallel_residual": .bool(model.parallelResidual),
        ]
        TransformersFields.addRotary(attention, Self.rotary, to: &fields)
        TransformersFields.add(model, to: &fields)
        return fields
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        let prefix = TransformersFields.prefix("gpt_neox", telling: "embed_in.weight", in: table)
        let order = try Self.order(TransformersFields.attention(model, name))
        let positions = model.trainingLength ?? 2048
        table.scope("", prefix) { root in
            root.same("embedding.weight", "embed_in.weight")
            root.module("final_norm", "final_layer_norm")
            root.layers(model.layerCount, "layers") { layer, _ in
                layer.module("mixer_norm", "input_layernorm")
                for part in ["weight", "bias"] {
                    layer.fused(
                        ["query", "key", "value"].map { "mixer.\($0).\(part)" },
                        "attention.query_key_value.\(part)", .rows(order))
                }
                layer.module("mixer.output", "attention.dense")
                layer.module("feed_forward_norm", "post_attention_layernorm")
                layer.module("feed_forward.up", "mlp.dense_h_to_4h")
                layer.module("feed_forward.down", "mlp.dense_4h_to_h")
                // Buffers of early versions.
                layer.constant(
                    "attention.bias", isOptional: true, shape: [1, 1, positions, positions]
                ) { try CausalMask.tensor(positions) }
                layer.ignore("attention.masked_bias")
                layer.ignore("attention.rotary_emb.inv_freq")
            }
        }
        table.output("embed_out", tiedTo: prefix.isEmpty ? "embed_in.weight" : "\(prefix).embed_in.weight")
    }

    /// Returns the row of their joint matrix for every row of queries, then keys, then values.
    private static func order(_ attention: AttentionConfiguration) -> [Int] {
        (0..<3).flatMap { part in
            (0..<attention.headCount).flatMap { head in
                (0..<attention.headSize).map { (3 * head + part) * attention.headSize + $0 }
            }
        }
    }
}
