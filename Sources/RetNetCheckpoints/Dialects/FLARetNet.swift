import RetNetMixers
import RetNetModels
import RetNetSettings

/// RetNet of fla-org/flash-linear-attention, as of bc3b101 and, with fused gates, before February 2025.
///
/// Keys are rotated in halves by the angles of rotary embeddings, decays are 1 - 2^(-5-i), scores are not normalized,
/// and the head norm has one weight for all heads. Neither angles nor decays are stored.
struct FLARetNet: CheckpointDialect {
    /// True for files in which `mlp.gate_proj` holds the activated branch and, below it, the linear one.
    let gateIsFused: Bool

    var name: String { gateIsFused ? "fla-retnet-fused" : "fla-retnet" }

    var summary: String {
        "RetNet of fla-org/flash-linear-attention"
            + (gateIsFused
                ? " before February 2025, with one matrix for both branches of the feed-forward" : "")
    }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        guard checkpoint.modelType == "retnet", checkpoint.has("hidden_size"), checkpoint.has("num_heads"),
            checkpoint.has("num_hidden_layers"), checkpoint.has("expand_v")
        else { return .no }
        let fields = "config.json has model_type 'retnet' with num_heads and expand_v"
        let tensors = checkpoint.tensors
        guard !tensors.isEmpty else { return gateIsFused ? .no : .yes(because: fields) }
        let telling = "model.layers.0.mlp.gate_proj.weight"
        guard tensors.contains("model.embeddings.weight"), tensors.contains(telling) else {
            return gateIsFused
                ? .no : .refused(because: "\(fields), but there is no tensor '\(telling)' or no embedding")
        }
        guard gateIsFused != tensors.contains("model.layers.0.mlp.up_proj.weight") else { return .no }
        return .yes(because: fields + ", and the tensors are named as there")
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        let width = fields.int("hidden_size", in: 1...1 << 18)
        let heads = fields.int("num_heads", in: 1...1 << 12)
        let groups = fields.optionalInt("num_kv_heads", in: 1...1 << 12)
        func size(_ key: String, _ standard: Double) -> Int {
            let expansion = fields.double(key, in: SettingsRange.positive, default: standard)
            let total = Int(min(Double(width) * expansion, 1e9))
            if total < heads || total % heads != 0 {
                fields.report(key, allowed: "such that \(heads) heads divide a width of \(total)")
            }
            return max(1, total / heads)
        }
        fields.refuse("feature_map", unless: [.null], "no feature map of queries and keys is known here")
        fields.refuse("attnres_block_size", unless: [.null], "attention over residuals is not known here")
        fields.expect("hidden_act", ["swish", "silu"])
        let epsilon = fields.double("norm_eps", in: SettingsRange.fraction, default: 1e-6)
        let isAffine = fields.bool("elementwise_affine", default: true)
        let retention = RetentionConfiguration(
            headCount: heads, keyValueHeadCount: groups == heads ? nil : groups,
            keySize: size("expand_k", 1), valueSize: size("expand_v", 2), decay: .standard, rotation: .halves,
            normalization: .none,
            headNorm: HeadNormConfiguration(
                kind: .rms, affine: isAffine ? .shared : .none, epsilon: epsilon),
            gate: fields.bool("use_output_gate", default: true) ? .swish : .none)
        let feedForward = FeedForwardConfiguration(
            kind: .gated, activation: .swish, innerSize: FLAFields.innerSize(fields, width: width, ratio: 2))
        var model = LanguageModelConfiguration(
            vocabularySize: fields.int("vocab_size", in: 1...1 << 24), hiddenSize: width,
            layerCount: fields.int("num_hidden_layers", in: 1...10_000), mixer: .retention(retention),
            feedForward: feedForward, norm: NormConfiguration(kind: .rms, epsilon: epsilon),
            tiedOutput: fields.bool("tie_word_embeddings", default: false),
            trainingLength: fields.optionalInt("max_position_embeddings", in: 1...Int.max))
        model.tokens = fields.specialTokens(vocabularySize: model.vocabularySize)
        FLAFields.addAttention(fields, to: &model)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let layers = (0..<model.layerCount).map(model.layer)
        guard case .retention(let c)? = layers.lazy.map(\.mixer).first(where: { $0.kind == .retention })
        else {
            throw DialectError.inexpressible(dialect: name, reasons: ["no layer is retention"])
        }
        func expansion(_ total: Int) -> SettingsTree {
            let ratio = Double(total) / Double(model.hiddenSize)
            // Their code rounds down.
            return .double(Int(Double(model.hiddenSize) * ratio) == total ? ratio : ratio.nextUp)
        }
        var fields: SettingsObject = [
            "architectures": ["RetNetForCausalLM"], "model_type": "retnet", "attn_mode": "chunk",
            "hidden_size": .int(model.hiddenSize), "expand_k": expansion(c.headCount * c.keySize),
            "expand_v": expansion(c.headCount * c.valueSize), "hidden_ratio": 2,
            "intermediate_size": .int(model.feedForward.innerSize),
            "num_hidden_layers": .int(model.layerCount), "num_heads": .int(c.headCount),
            "num_kv_heads": c.keyValueHeadCount.map { .int($0) } ?? .null, "feature_map": .null,
            "hidden_act": "swish", "use_short_conv": false, "conv_size": 4,
            "use_output_gate": .bool(c.gate == .swish),
            "max_position_embeddings": .int(model.trainingLength ?? 2048),
            "elementwise_affine": .bool(c.headNorm.affine == .shared),
            "norm_eps": .double(model.norm.epsilon),
            "attn": try FLAFields.attention(of: model), "use_cache": true, "initializer_range": 0.02,
            "fuse_norm": true, "fuse_swiglu": true, "fuse_cross_entropy": true,
            "tie_word_embeddings": .bool(model.tiedOutput), "vocab_size": .int(model.vocabularySize),
        ]
        fields.add(model.tokens)
        return fields
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        let isGated = table.has("layers.0.mixer.gate.weight")
        FLATensors.declare(model, gateIsFused: gateIsFused, in: &table) { layer, _ in
            layer.module("mixer.query", "attn.q_proj")
            layer.module("mixer.key", "attn.k_proj")
            layer.module("mixer.value", "attn.v_proj")
            layer.same("mixer.gate.weight", "attn.g_proj.weight")
            // With `fuse_norm` false, and without a gate, the norm has a module of its own.
            let ownNorm = "attn.g_norm.weight"
            layer.same(
                "mixer.head_norm.weight",
                layer.finds(ownNorm) || !isGated ? ownNorm : "attn.g_norm_swish_gate.weight")
            layer.same("mixer.output.weight", "attn.o_proj.weight")
        }
    }
}

/// Tensors that the models of fla-org/flash-linear-attention share.
enum FLATensors {
    /// Declares everything but the mixers, which `mixer` adds for a layer by its index.
    static func declare(
        _ model: LanguageModelConfiguration, gateIsFused: Bool, in table: inout TensorTable,
        mixer: (inout TensorTable, Int) -> Void
    ) {
        table.same("embedding.weight", "model.embeddings.weight")
        table.same("final_norm.weight", "model.norm.weight")
        table.output("lm_head", tiedTo: "model.embeddings.weight")
        table.layers(model.layerCount, "model.layers") { layer, index in
            layer.same("mixer_norm.weight", "attn_norm.weight")
            mixer(&layer, index)
            layer.same("feed_forward_norm.weight", "mlp_norm.weight")
            if gateIsFused {
                layer.fused(["feed_forward.up.weight", "feed_forward.gate.weight"], "mlp.gate_proj.weight")
            } else {
                layer.same("feed_forward.up.weight", "mlp.gate_proj.weight")
                layer.same("feed_forward.gate.weight", "mlp.up_proj.weight")
            }
            layer.same("feed_forward.down.weight", "mlp.down_proj.weight")
        }
    }
}

/// Fields that the models of fla-org/flash-linear-attention share.
enum FLAFields {
    /// Returns the inner width of the gated feed-forward: a multiple of 256 near 2/3 · ratio · width unless it is given.
    static func innerSize(_ fields: SettingsReader, width: Int, ratio standard: Double) -> Int {
        let ratio = fields.double("hidden_ratio", in: SettingsRange.positive, default: standard)
        if let size = fields.optionalInt("intermediate_size", in: 1...1 << 22) { return size }
        return (Int(min(Double(width) * ratio * 2 / 3, 1e9)) + 255) / 256 * 256
    }

    /// Puts softmax attention into the layers that `attn` lists.
    static func addAttention(_ fields: SettingsReader, to model: inout LanguageModelConfiguration) {
        guard let given = fields.tree("attn") else { return }
        let specifications =
            given.array == nil ? fields.optionalObject("attn").map { [$0] } ?? [] : fields.objects("attn")
        var pattern = (0..<model.layerCount).map(model.layer)
        for one in specifications {
            let heads = one.int("num_heads", in: 1...1 << 12)
            let groups = one.optionalInt("num_kv_heads", in: 1...1 << 12)
            one.refuse("window_size", unless: [.null], "attention within a window is not known here")
            let hasBiases = one.bool("qkv_bias", default: false)
            let attention = AttentionConfiguration(
                headCount: heads, keyValueHeadCount: groups == heads ? nil : groups,
                headSize: max(1, model.hiddenSize / heads), rotation: .halves,
                rotaryBase: one.double("rope_theta", in: 1...1e12, default: 10_000),
                biases: hasBiases, outputBiases: hasBiases ? false : nil)
            for layer in one.ints("layers", in: 0...max(0, model.layerCount - 1))
            where pattern.indices.contains(layer) {
                pattern[layer].mixer = .attention(attention)
            }
        }
        model.pattern = pattern
    }

    /// Returns `attn` of a model whose other layers are of one kind; `.null` without attention.
    static func attention(of model: LanguageModelConfiguration) throws -> SettingsTree {
        var found: [(attention: AttentionConfiguration, layers: [Int])] = []
        for index in 0..<model.layerCount {
            guard case .attention(let attention) = model.layer(index).mixer else { continue }
            if let place = found.firstIndex(where: { $0.attention == attention }) {
                found[place].layers.append(index)
            } else {
                found.append((attention, [index]))
            }
        }
        let list = found.map { attention, layers -> SettingsTree in
            [
                "layers": .array(layers.map { .int($0) }), "num_heads": .int(attention.headCount),
                "num_kv_heads": .int(attention.keyValueHeadCount ?? attention.headCount),
                "qkv_bias": .bool(attention.biases), "rope_theta": .double(attention.rotaryBase),
                "window_size": .null,
            ]
        }
        return list.isEmpty ? .null : list.count == 1 ? list[0] : .array(list)
    }
}
