import RetNetMixers
import RetNetModels
import RetNetSettings

/// RWKV-4 of Hugging Face Transformers: time mixing and channel mixing in turns, two blocks here for one layer there.
///
/// Where `rescale_every` is given, their code halves the residual stream so at inference. Only the epsilons of norms see
/// that, but those do, so it is part of the model here.
struct TransformersRWKV4: CheckpointDialect {
    /// The epsilon of the last norm, which their code does not take from the configuration.
    private static let finalEpsilon = 1e-5

    var name: String { "rwkv4" }
    var summary: String { "RWKV-4 of Hugging Face Transformers" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        TransformersFields.recognition(
            of: checkpoint, type: "rwkv", fields: ["hidden_size", "num_hidden_layers"], prefix: "rwkv",
            telling: ["embeddings.weight"])
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        var model = TransformersFields.model(fields)
        let width = model.hiddenSize
        fields.refuse(
            "attention_hidden_size", unless: [.null, .int(width)],
            "time mixing of another width than hidden_size (\(width)) is not known here")
        let inner = fields.optionalInt("intermediate_size", in: 1...1 << 22) ?? 4 * width
        let epsilon = fields.double("layer_norm_epsilon", in: SettingsRange.fraction, default: 1e-5)
        if epsilon != Self.finalEpsilon {
            fields.reportContradiction(
                "layer_norm_epsilon", "their last norm has \(Self.finalEpsilon) whatever the others have")
        }
        let period = fields.int("rescale_every", default: 6)
        let hasPeriod = period > 0 && period <= model.layerCount
        model.layerCount *= 2
        model.pattern = RWKV4Blocks.pattern(width: width, innerSize: inner)
        model.norm = NormConfiguration(kind: .layer, epsilon: epsilon)
        model.embeddingNorm = true
        // A period beyond the last layer is none.
        model.halvingPeriod = hasPeriod ? 2 * period : nil
        model.tiedOutput = fields.bool("tie_word_embeddings", default: false)
        model.trainingLength = fields.int("context_length", in: 1...Int.max, default: 1024)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let mix = try RWKV4Blocks.channelMixing(of: model, dialect: name)
        var fields: SettingsObject = [
            "architectures": ["RwkvForCausalLM"], "model_type": "rwkv",
            "attention_hidden_size": .int(model.hiddenSize), "intermediate_size": .int(mix.innerSize),
            "layer_norm_epsilon": .double(model.norm.epsilon),
            "context_length": .int(model.trainingLength ?? 1024),
            "rescale_every": .int((model.halvingPeriod ?? 0) / 2),
        ]
        TransformersFields.add(model, to: &fields)
        fields["num_hidden_layers"] = .int(model.layerCount / 2)
        return fields
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        let prefix = TransformersFields.prefix("rwkv", telling: "embeddings.weight", in: table)
        table.scope("", prefix) { root in
            RWKV4Tensors(
                embedding: "embeddings", firstNorm: "pre_ln", timeMixing: "attention",
                channelMixing: "feed_forward", letters: [:]
            ).declare(model, in: &root)
        }
        table.output("head", tiedTo: prefix.isEmpty ? "embeddings.weight" : "\(prefix).embeddings.weight")
    }
}
