import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTorch

/// RetNet of microsoft/torchscale: as of 4d1e0e8, and as of July 2023 (bf65397).
///
/// Its checkpoints hold tensors alone or with an argument bag; the arguments may also be a JSON file of the same name.
/// Since September 2023 the parallel form divides scores by the sum of their absolute values, which needs every past key and
/// which its own recurrent form leaves out: models are read as the recurrent form computes them, `decay`. For the numbers of
/// the parallel form, set `mixer.normalization` to `decay_sum_abs`.
struct TorchscaleRetNet: CheckpointDialect {
    /// True for biases, layer norms and a feed-forward of two matrices.
    let isOfJuly2023: Bool
    /// True for names after `decoder.`, as fairseq saves them.
    let isFairseq: Bool

    var name: String { "torchscale" + (isOfJuly2023 ? "-2023-07" : "") + (isFairseq ? "-fairseq" : "") }

    var summary: String {
        "RetNet of microsoft/torchscale" + (isOfJuly2023 ? " of July 2023, with biases and layer norms" : "")
            + (isFairseq ? ", as fairseq saves it" : "")
    }

    private var prefix: String { isFairseq ? "decoder" : "" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        let hasFields = checkpoint.has("decoder_embed_dim") && checkpoint.has("decoder_retention_heads")
        guard !checkpoint.tensors.isEmpty else {
            guard hasFields, checkpoint.modelType == nil, !isFairseq,
                isOfJuly2023 != checkpoint.has("decoder_value_embed_dim")
            else { return .no }
            return .yes(because: "the arguments are decoder_embed_dim and decoder_retention_heads")
        }
        let layer = (isFairseq ? "decoder." : "") + "layers.0."
        guard checkpoint.tensors.contains(layer + "retention.q_proj.weight"),
            checkpoint.tensors.contains((isFairseq ? "decoder." : "") + "embed_tokens.weight"),
            isOfJuly2023 == checkpoint.tensors.contains(layer + "retention.q_proj.bias")
        else { return .no }
        let tensors = "there is a tensor '\(layer)retention.q_proj.weight'"
        guard hasFields else {
            return .refused(
                because: "\(tensors), but neither heads nor widths are known: put the arguments of the model"
                    + " (decoder_embed_dim, decoder_retention_heads and so on) into config.json beside it")
        }
        return .yes(because: tensors + ", and the arguments are decoder_embed_dim and so on")
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        fields.refuse("moe_freq", unless: [0], "experts of torchscale's form are not known here")
        fields.refuse("multiway", unless: [false], "multiway layers are not known here")
        fields.refuse("no_output_layer", unless: [false], "a model without an output matrix gives no logits")
        let deepNorm = fields.bool("deepnorm", default: false)
        let hasSubNorm = fields.bool("subln", default: true) && !deepNorm
        var decoder = DecoderFields(fields, isOfJuly2023: isOfJuly2023)
        // Later versions meant to do so too, but changed a field of the encoder.
        if isOfJuly2023, deepNorm || hasSubNorm { decoder.isPreNorm = hasSubNorm }
        var feedForward = FeedForwardConfiguration(
            kind: .gated, activation: decoder.activation, innerSize: decoder.innerSize)
        if isOfJuly2023 {
            feedForward.kind = .plain
            feedForward.subNorm = hasSubNorm
            feedForward.biases = true
        }
        let stored = checkpoint.tensors.shape((isFairseq ? "decoder." : "") + "embed_tokens.weight")?.first
        let size = fields.optionalInt("vocab_size", in: -1...1 << 24) ?? -1
        guard let vocabulary = size > 0 ? size : stored else {
            fields.report("vocab_size", allowed: "an integer of at least 1")
            return decoder.model(vocabularySize: 1, feedForward, deepNorm: deepNorm)
        }
        var model = decoder.model(vocabularySize: vocabulary, feedForward, deepNorm: deepNorm)
        model.tiedOutput = fields.bool("share_decoder_input_output_embed", default: false)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        var fields = try DecoderFields.written(model, dialect: name, isOfJuly2023: isOfJuly2023)
        fields["share_decoder_input_output_embed"] = .bool(model.tiedOutput)
        fields["deepnorm"] = .bool(model.deepNorm)
        fields["subln"] = .bool(isOfJuly2023 ? model.feedForward.subNorm : !model.deepNorm)
        fields["chunkwise_recurrent"] = false
        return fields
    }

    func spelling(of model: LanguageModelConfiguration) -> LanguageModelConfiguration {
        isOfJuly2023 ? model : DecoderFields.withoutScoreSums(model)
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        try table.scope("", prefix) { decoder in
            try DecoderFields.declareTensors(of: model, in: &decoder)
            // Their code insists on both names of a shared matrix.
            decoder.output("output_projection", tiedTo: "embed_tokens.weight", copyIsWritten: true)
            decoder.ignore("version")
        }
    }
}

/// RetNet of syncdoth/RetNet as of 2634bbf, and models in its form: torchscale's arguments in a `config.json`.
///
/// Scores are read as its recurrent form has them; see ``TorchscaleRetNet``.
struct SyncdothRetNet: CheckpointDialect {
    let name = "syncdoth-retnet"
    let summary = "RetNet of syncdoth/RetNet, in Hugging Face's form"

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        guard checkpoint.modelType == "retnet" else { return .no }
        if checkpoint.has("num_rettention_heads") {
            return .refused(
                because:
                    "config.json is that of team-lucid's Flax RetNet (num_rettention_heads), whose weights"
                    + " this program does not read")
        }
        if checkpoint.has("qk_dim"), checkpoint.has("ffn_proj_size") {
            return .refused(
                because:
                    "config.json is that of syncdoth/RetNet before October 2023 (qk_dim, ffn_proj_size), which"
                    + " rotates queries and keys across all heads; this program rotates within heads")
        }
        guard checkpoint.has("decoder_embed_dim"), checkpoint.has("decoder_retention_heads") else {
            return .no
        }
        let fields = "config.json has model_type 'retnet' with decoder_embed_dim"
        let telling = "model.layers.0.retention.q_proj.weight"
        guard checkpoint.tensors.isEmpty || checkpoint.tensors.contains(telling) else {
            return .refused(because: "\(fields), but there is no tensor '\(telling)'")
        }
        guard Self.isXATL(checkpoint) || !checkpoint.tensors.contains("model.layers.0.retention.q_proj.bias")
        else {
            return .refused(because: "\(fields), but projections have biases, which none of its versions has")
        }
        return .yes(because: fields)
    }

    /// Whether the configuration is that of syncdoth/RetNet-XATL (a96412f), which is this one with further choices.
    private static func isXATL(_ checkpoint: CheckpointTraits) -> Bool {
        checkpoint.has("retnet_stability_update") || checkpoint.has("parallel_residual")
    }

    /// Reports the choices of RetNet-XATL that change what a model computes.
    private static func refuseXATL(_ fields: SettingsReader) {
        let what = "of syncdoth/RetNet-XATL are not known here"
        fields.refuse("use_bias", unless: [false], "retention and norms with biases \(what)")
        fields.refuse("parallel_residual", unless: [false], "parallel residual branches \(what)")
        fields.refuse("shared_attention_norm", unless: [false], "blocks with one norm \(what)")
        fields.refuse("lm_head_bias", unless: [false], "biases of the output matrix \(what)")
        fields.refuse("groupnorm_affine", unless: [false], "head norms with weights \(what)")
        fields.refuse("use_rms_norm", unless: [true], "layer norms \(what)")
        fields.refuse("rotary_percentage", unless: [1, 1.0], "heads that are rotated in part \(what)")
        fields.refuse("retnet_bottleneck", unless: [.null], "narrow gates \(what)")
        fields.refuse("hybrid_attention_layers", unless: [.null, []], "layers of attention \(what)")
        fields.refuse("use_lm_decay", unless: [false], "decays of another schedule \(what)")
        // Absent, it is false.
        if fields.tree("retnet_stability_update") != true {
            fields.reportContradiction(
                "retnet_stability_update", "scores that are not divided by their decays \(what)")
        }
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        if Self.isXATL(checkpoint) { Self.refuseXATL(fields) }
        var decoder = DecoderFields(fields, isOfJuly2023: false)
        let deepNorm = fields.bool("deepnorm", default: false)
        let hasSubNorm = fields.bool("subln", default: true) && !deepNorm
        if deepNorm || hasSubNorm { decoder.isPreNorm = hasSubNorm }
        if fields.bool("use_lm_decay", default: false) { decoder.decay = .experiment }
        var feedForward = FeedForwardConfiguration(
            kind: .gated, activation: decoder.activation, innerSize: decoder.innerSize)
        if !fields.bool("use_glu", default: true) {
            feedForward.kind = .plain
            feedForward.biases = true
            feedForward.subNorm = hasSubNorm
            if hasSubNorm, !fields.bool("use_ffn_rms_norm", default: false) {
                fields.reportContradiction(
                    "use_ffn_rms_norm",
                    "a layer norm within the feed-forward beside RMS norms is not known here")
            }
        }
        var model = decoder.model(
            vocabularySize: fields.int("vocab_size", in: 1...1 << 24, default: 50257), feedForward,
            deepNorm: deepNorm)
        model.tiedOutput = fields.bool("tie_word_embeddings", default: false)
        model.tokens = fields.specialTokens(vocabularySize: model.vocabularySize)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        var fields: SettingsObject = ["architectures": ["RetNetForCausalLM"], "model_type": "retnet"]
        for entry in try DecoderFields.written(model, dialect: name, isOfJuly2023: false).entries {
            fields[entry.key] = entry.value
        }
        let isGated = model.feedForward.kind == .gated
        if case .retention(let retention) = model.mixer {
            fields["use_lm_decay"] = .bool(retention.decay == .experiment)
        }
        fields["use_glu"] = .bool(isGated)
        fields["use_ffn_rms_norm"] = .bool(!isGated && model.feedForward.subNorm)
        fields["deepnorm"] = .bool(model.deepNorm)
        fields["subln"] = .bool(isGated ? model.preNorm : model.feedForward.subNorm)
        for (key, value) in [("forward_impl", "parallel"), ("is_decoder", true), ("use_cache", true)]
            as [(String, SettingsTree)]
        {
            fields[key] = value
        }
        fields["tie_word_embeddings"] = .bool(model.tiedOutput)
        fields.add(model.tokens)
        return fields
    }

    func spelling(of model: LanguageModelConfiguration) -> LanguageModelConfiguration {
        DecoderFields.withoutScoreSums(model)
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        try table.scope("", "model") { try DecoderFields.declareTensors(of: model, in: &$0) }
        table.output("lm_head", tiedTo: "model.embed_tokens.weight")
    }
}

/// The arguments and tensors that torchscale and syncdoth share.
private struct DecoderFields {
    let width: Int
    let valueWidth: Int
    let innerSize: Int
    let headCount: Int
    let layerCount: Int
    let activation: FeedForwardConfiguration.Activation
    let epsilon: Double
    let embeddingScale: EmbeddingScale
    let embeddingNorm: Bool
    let isOfJuly2023: Bool
    var isPreNorm: Bool
    var decay = DecaySchedule.standard

    private static let activations: [(String, FeedForwardConfiguration.Activation)] = [
        ("gelu", .gelu), ("swish", .swish), ("relu", .relu),
    ]

    init(_ fields: SettingsReader, isOfJuly2023: Bool) {
        self.isOfJuly2023 = isOfJuly2023
        width = fields.int("decoder_embed_dim", in: 1...1 << 18)
        headCount = fields.int("decoder_retention_heads", in: 1...1 << 12)
        layerCount = fields.int("decoder_layers", in: 1...10_000)
        innerSize = fields.int("decoder_ffn_embed_dim", in: 1...1 << 22)
        valueWidth =
            isOfJuly2023 ? 2 * width : fields.int("decoder_value_embed_dim", in: 1...1 << 20)
        activation = fields.choice("activation_fn", Self.activations, default: .gelu) ?? .gelu
        epsilon = fields.double(
            "layernorm_eps", in: SettingsRange.fraction, default: isOfJuly2023 ? 1e-5 : 1e-6)
        embeddingScale = fields.bool("no_scale_embedding", default: true) ? .none : .squareRoot
        embeddingNorm = fields.bool("layernorm_embedding", default: false)
        isPreNorm = fields.bool("decoder_normalize_before", default: true)
        for (key, total) in [("decoder_embed_dim", width), ("decoder_value_embed_dim", valueWidth)]
        where total % headCount != 0 {
            fields.reportContradiction(key, "\(headCount) heads do not divide a width of \(total)")
        }
    }

    func model(vocabularySize: Int, _ feedForward: FeedForwardConfiguration, deepNorm: Bool)
        -> LanguageModelConfiguration
    {
        let kind: HeadNormConfiguration.Kind = isOfJuly2023 ? .layer : .rms
        let retention = RetentionConfiguration(
            headCount: headCount, keySize: max(1, width / headCount),
            valueSize: max(1, valueWidth / headCount), decay: decay, rotation: .interleaved,
            normalization: isOfJuly2023 ? .decayAbsSum : .decay,
            headNorm: HeadNormConfiguration(kind: kind, affine: .none, epsilon: epsilon), gate: .swish,
            biases: isOfJuly2023)
        return LanguageModelConfiguration(
            vocabularySize: vocabularySize, hiddenSize: width, layerCount: layerCount,
            mixer: .retention(retention), feedForward: feedForward,
            norm: NormConfiguration(kind: isOfJuly2023 ? .layer : .rms, epsilon: epsilon),
            preNorm: isPreNorm, finalNorm: isPreNorm, embeddingScale: embeddingScale,
            embeddingNorm: embeddingNorm, deepNorm: deepNorm,
            initialization: isOfJuly2023 ? .torchscale2023 : .torchscale)
    }

    static func written(_ model: LanguageModelConfiguration, dialect: String, isOfJuly2023: Bool) throws
        -> SettingsObject
    {
        guard case .retention(let retention) = model.mixer else {
            throw DialectError.inexpressible(
                dialect: dialect, reasons: ["the mixer is '\(model.mixer.kind.rawValue)', not retention"])
        }
        let activation = activations.first { $0.1 == model.feedForward.activation }?.0 ?? "gelu"
        var fields: SettingsObject = [
            "vocab_size": .int(model.vocabularySize), "decoder_embed_dim": .int(model.hiddenSize),
            "decoder_ffn_embed_dim": .int(model.feedForward.innerSize),
            "decoder_layers": .int(model.layerCount), "decoder_retention_heads": .int(retention.headCount),
            "decoder_normalize_before": .bool(model.preNorm), "activation_fn": .string(activation),
            "dropout": .double(model.dropout.residual),
            "activation_dropout": .double(model.dropout.activation),
            "drop_path_rate": .double(model.dropout.dropPath),
            "no_scale_embedding": .bool(model.embeddingScale == .none),
            "layernorm_embedding": .bool(model.embeddingNorm), "layernorm_eps": .double(model.norm.epsilon),
            "recurrent_chunk_size": 512,
        ]
        if !isOfJuly2023 {
            fields["decoder_value_embed_dim"] = .int(retention.headCount * retention.valueSize)
        }
        return fields
    }

    /// The model with scores that its own recurrent form has: their form says nothing of it.
    static func withoutScoreSums(_ model: LanguageModelConfiguration) -> LanguageModelConfiguration {
        var result = model
        for index in result.pattern.indices {
            guard case .retention(var retention) = result.pattern[index].mixer,
                [.decaySumAbs, .decayAbsSum].contains(retention.normalization)
            else { continue }
            retention.normalization = .decay
            result.pattern[index].mixer = .retention(retention)
        }
        return result
    }

    static func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        table.same("embedding.weight", "embed_tokens.weight")
        table.module("embedding_norm", "layernorm_embedding")
        table.module("final_norm", "layer_norm")
        table.layers(model.layerCount, "layers") { layer, _ in
            layer.module("mixer_norm", "retention_layer_norm")
            layer.module("mixer.query", "retention.q_proj")
            layer.module("mixer.key", "retention.k_proj")
            layer.module("mixer.value", "retention.v_proj")
            layer.module("mixer.gate", "retention.g_proj")
            layer.module("mixer.output", "retention.out_proj")
            // Their name for the norm before the feed-forward.
            layer.module("feed_forward_norm", "final_layer_norm")
            layer.module("feed_forward.up", "ffn.fc1")
            layer.module("feed_forward.gate", "ffn.gate")
            layer.module("feed_forward.sub_norm", "ffn.ffn_layernorm")
            layer.module("feed_forward.down", "ffn.fc2")
        }
        guard case .retention(let retention) = model.mixer else { return }
        table.constant("retnet_rel_pos.angle") { try RetNetBuffers.angles(keySize: retention.keySize) }
        table.constant("retnet_rel_pos.decay") {
            try RetNetBuffers.gammas(retention.decay, headCount: retention.headCount).log()
        }
    }
}

/// The buffers of RetNets that follow torchscale, computed in float32 as they compute them.
enum RetNetBuffers {
    /// 10000^(-j/(a/2-1)), each twice.
    static func angles(keySize: Int) throws -> Tensor {
        let exponents = try linspace(0, 1, count: keySize / 2)
        return try (1 / Tensor.power(10_000, exponents)).repeatInterleaved(2, axis: 0)
    }

    /// The decays of a schedule.
    static func gammas(_ schedule: DecaySchedule, headCount: Int) throws -> Tensor {
        switch schedule {
        case .experiment:
            let logs = try linspace(Float(log(1.0 / 32)), Float(log(1.0 / 512)), count: headCount)
            return try 1 - logs.exp()
        default:
            return try Tensor.from(schedule.gammas(headCount: headCount).map { Float($0) })
        }
    }

    /// Equally spaced numbers as `torch.linspace` has them: counted from the nearer end.
    private static func linspace(_ start: Float, _ end: Float, count: Int) throws -> Tensor {
        let step = (end - start) / Float(max(1, count - 1))
        return try Tensor.from(
            (0..<count).map { index -> Float in
                index < (count + 1) / 2 ? start + step * Float(index) : end - step * Float(count - 1 - index)
            })
    }
}
