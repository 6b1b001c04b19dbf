import RetNetMixers
import RetNetModels
import RetNetSettings

/// GLA, DeltaNet and Gated DeltaNet of fla-org/flash-linear-attention as of bc3b101, also with layers of attention.
struct FLAMatrixMixers: CheckpointDialect {
    /// The models, with their model types.
    enum Kind: String, Sendable, CaseIterable {
        /// Gated linear attention.
        case gla
        /// DeltaNet.
        case deltaNet = "delta_net"
        /// Gated DeltaNet.
        case gatedDeltaNet = "gated_deltanet"
    }

    let kind: Kind
    /// True for files in which `mlp.gate_proj` holds the activated branch and, below it, the linear one.
    let gateIsFused: Bool

    var name: String {
        let own =
            switch kind {
            case .gla: "fla-gla"
            case .deltaNet: "fla-deltanet"
            case .gatedDeltaNet: "fla-gated-deltanet"
            }
        return gateIsFused ? own + "-fused" : own
    }

    var summary: String {
        let model =
            switch kind {
            case .gla: "gated linear attention"
            case .deltaNet: "DeltaNet"
            case .gatedDeltaNet: "Gated DeltaNet"
            }
        return "\(model) of fla-org/flash-linear-attention"
            + (gateIsFused
                ? " before February 2025, with one matrix for both branches of the feed-forward" : "")
    }

    private var className: SettingsTree {
        switch kind {
        case .gla: "GLAForCausalLM"
        case .deltaNet: "DeltaNetForCausalLM"
        case .gatedDeltaNet: "GatedDeltaNetForCausalLM"
        }
    }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        let found = TransformersFields.recognition(
            of: checkpoint, type: kind.rawValue, fields: ["hidden_size", "num_heads"], prefix: "model",
            telling: ["embeddings.weight"])
        guard case .yes = found else { return gateIsFused ? .no : found }
        let isFused = !checkpoint.tensors.isEmpty && !checkpoint.tensors.containsSuffix("mlp.up_proj.weight")
        return isFused == gateIsFused ? found : .no
    }

    // MARK: Configuration

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        var model = TransformersFields.model(fields)
        let epsilon = fields.double("norm_eps", in: SettingsRange.fraction, default: 1e-6)
        fields.refuse("attnres_block_size", unless: [.null], "attention over residuals is not known here")
        fields.expect("hidden_act", ["swish", "silu"])
        let heads = fields.int("num_heads", in: 1...1 << 12)
        let norm = HeadNormConfiguration(kind: .rms, affine: .shared, epsilon: epsilon)
        switch kind {
        case .gla: model.mixer = .gatedLinearAttention(gla(fields, model.hiddenSize, heads, norm))
        case .deltaNet: model.mixer = .gatedDeltaNet(deltaNet(fields, model.hiddenSize, heads, norm))
        case .gatedDeltaNet: model.mixer = .gatedDeltaNet(gatedDeltaNet(fields, heads, norm))
        }
        model.feedForward = FeedForwardConfiguration(
            kind: .gated, activation: .swish,
            innerSize: FLAFields.innerSize(fields, width: model.hiddenSize, ratio: 4))
        model.norm = NormConfiguration(kind: .rms, epsilon: epsilon)
        model.tiedOutput = fields.bool("tie_word_embeddings", default: false)
        model.trainingLength = fields.optionalInt("max_position_embeddings", in: 1...Int.max)
        FLAFields.addAttention(fields, to: &model)
        return model
    }

    /// Reads a width relative to another and returns the width of each of the heads that divide it.
    private func size(_ fields: SettingsReader, _ key: String, of width: Int, _ heads: Int, default: Double)
        -> Int
    {
        let total = Int(
            min(Double(width) * fields.double(key, in: SettingsRange.positive, default: `default`), 1e9))
        if total < heads || total % heads != 0 {
            fields.report(key, allowed: "such that \(heads) heads divide a width of \(total)")
        }
        return max(1, total / heads)
    }

    private func taps(_ fields: SettingsReader, default: Bool) -> Int {
        guard fields.bool("use_short_conv", default: `default`) else { return 1 }
        return fields.int("conv_size", in: 2...64, default: 4)
    }

    private func gla(_ fields: SettingsReader, _ width: Int, _ heads: Int, _ norm: HeadNormConfiguration)
        -> GatedLinearAttentionConfiguration
    {
        fields.refuse(
            "num_kv_heads", unless: [.null, .int(heads)],
            "heads that share keys and values are not known here")
        fields.refuse("feature_map", unless: [.null], "feature maps of queries and keys are not known here")
        var norm = norm
        if !fields.bool("elementwise_affine", default: true) { norm.affine = .none }
        return GatedLinearAttentionConfiguration(
            headCount: heads, keySize: size(fields, "expand_k", of: width, heads, default: 0.5),
            valueSize: size(fields, "expand_v", of: width, heads, default: 1), gateRank: 16, gateDivisor: 16,
            minimumLogGate: fields.optionalDouble("clamp_min", in: -1e6...0),
            convolutionWidth: taps(fields, default: false), headNorm: norm,
            gate: fields.bool("use_output_gate", default: true) ? .swish : .none)
    }

    private func deltaNet(_ fields: SettingsReader, _ width: Int, _ heads: Int, _ norm: HeadNormConfiguration)
        -> GatedDeltaNetConfiguration
    {
        fields.expect("qk_norm", ["l2"])
        fields.expect("qk_activation", ["silu"])
        fields.refuse("use_beta", unless: [true], "writes of full strength are not known here")
        return GatedDeltaNetConfiguration(
            headCount: heads, keySize: size(fields, "expand_k", of: width, heads, default: 1),
            valueSize: size(fields, "expand_v", of: width, heads, default: 1),
            convolutionWidth: taps(fields, default: true),
            betaRange: fields.bool("allow_neg_eigval", default: false) ? 2 : 1, decays: false, headNorm: norm,
            gate: fields.bool("use_gate", default: false) ? .swish : .none)
    }

    private func gatedDeltaNet(_ fields: SettingsReader, _ heads: Int, _ norm: HeadNormConfiguration)
        -> GatedDeltaNetConfiguration
    {
        fields.refuse(
            "num_v_heads", unless: [.null, .int(heads)],
            "more heads of values than of keys are not known here")
        let keySize = fields.int("head_dim", in: 1...1 << 16, default: 256)
        return GatedDeltaNetConfiguration(
            headCount: heads, keySize: keySize,
            valueSize: size(fields, "expand_v", of: keySize, 1, default: 2),
            convolutionWidth: taps(fields, default: true),
            betaRange: fields.bool("allow_neg_eigval", default: false) ? 2 : 1, decays: true, headNorm: norm,
            gate: fields.bool("use_gate", default: true) ? .swish : .none)
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let width = model.hiddenSize
        var fields: SettingsObject = [
            "architectures": [className], "model_type": .string(kind.rawValue), "attn_mode": "chunk",
            "hidden_act": "swish", "intermediate_size": .int(model.feedForward.innerSize), "hidden_ratio": 4,
            "norm_eps": .double(model.norm.epsilon), "attn": try FLAFields.attention(of: model),
            "max_position_embeddings": .int(model.trainingLength ?? 2048), "fuse_norm": true,
            "fuse_swiglu": true, "fuse_cross_entropy": true,
        ]
        func expansion(_ size: Int, of width: Int) -> SettingsTree {
            .double(TransformersFields.factor(size, of: width))
        }
        func add(convolutions taps: Int) {
            fields["use_short_conv"] = .bool(taps > 1)
            fields["conv_size"] = .int(taps > 1 ? taps : 4)
        }
        let mixers = (0..<model.layerCount).map { model.layer($0).mixer }
        switch (kind, mixers.first { $0.kind != .attention }) {
        case (.gla, .gatedLinearAttention(let c)?):
            fields["num_heads"] = .int(c.headCount)
            fields["num_kv_heads"] = .null
            fields["expand_k"] = expansion(c.headCount * c.keySize, of: width)
            fields["expand_v"] = expansion(c.headCount * c.valueSize, of: width)
            fields["feature_map"] = .null
            fields["use_output_gate"] = .bool(c.gate == .swish)
            fields["elementwise_affine"] = .bool(c.headNorm.affine == .shared)
            fields["clamp_min"] = c.minimumLogGate.map { .double($0) } ?? .null
            add(convolutions: c.convolutionWidth)
        case (.deltaNet, .gatedDeltaNet(let c)?):
            fields["num_heads"] = .int(c.headCount)
            fields["expand_k"] = expansion(c.headCount * c.keySize, of: width)
            fields["expand_v"] = expansion(c.headCount * c.valueSize, of: width)
            fields["use_gate"] = .bool(c.gate == .swish)
            fields["allow_neg_eigval"] = .bool(c.betaRange == 2)
            (fields["qk_norm"], fields["qk_activation"], fields["use_beta"]) = ("l2", "silu", true)
            add(convolutions: c.convolutionWidth)
        case (.gatedDeltaNet, .gatedDeltaNet(let c)?):
            fields["num_heads"] = .int(c.headCount)
            fields["num_v_heads"] = .null
            fields["head_dim"] = .int(c.keySize)
            fields["expand_v"] = expansion(c.valueSize, of: c.keySize)
            fields["use_gate"] = .bool(c.gate == .swish)
            fields["allow_neg_eigval"] = .bool(c.betaRange == 2)
            add(convolutions: c.convolutionWidth)
        default:
            throw DialectError.inexpressible(dialect: name, reasons: ["it has no layer of that kind"])
        }
        TransformersFields.add(model, to: &fields)
        return fields
    }

    // MARK: Tensors

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        FLATensors.declare(model, gateIsFused: gateIsFused, in: &table) { layer, index in
            for (ours, theirs) in [("query", "q"), ("key", "k"), ("value", "v")] {
                layer.module("mixer.\(ours)", "attn.\(theirs)_proj")
            }
            declareMixer(model.layer(index).mixer, in: &layer)
            layer.module("mixer.output", "attn.o_proj")
        }
    }

    /// Declares what is no projection that attention has too.
    private func declareMixer(_ mixer: MixerConfiguration, in layer: inout TensorTable) {
        switch mixer {
        case .gatedLinearAttention(let c):
            layer.same("mixer.decay_down.weight", "attn.gk_proj.0.weight")
            layer.module("mixer.decay_up", "attn.gk_proj.1")
            // With `fuse_norm` false, and without a gate, the norm has a module of its own.
            let ownNorm = "attn.g_norm.weight"
            layer.same(
                "mixer.head_norm.weight",
                layer.finds(ownNorm) || c.gate == .none ? ownNorm : "attn.g_norm_swish_gate.weight")
            declareConvolutions(c.convolved, taps: c.convolutionWidth, in: &layer)
        case .gatedDeltaNet(let c):
            layer.same("mixer.strength.weight", "attn.b_proj.weight")
            layer.same("mixer.decay.weight", "attn.a_proj.weight")
            layer.same("mixer.step_bias", "attn.dt_bias")
            layer.same("mixer.decay_log", "attn.A_log")
            layer.same("mixer.head_norm.weight", "attn.o_norm.weight")
            declareConvolutions(c.convolved, taps: c.convolutionWidth, in: &layer)
        default: return
        }
        layer.same("mixer.gate.weight", "attn.g_proj.weight")
    }

    /// Declares the convolutions of queries, keys and values, of one channel each.
    private func declareConvolutions(
        _ convolved: [(name: String, size: Int)], taps: Int, in layer: inout TensorTable
    ) {
        for (name, size) in convolved {
            layer.same(
                "mixer.\(name)_convolution.weight", "attn.\(name.prefix(1))_conv1d.weight",
                .reshaped(from: [size, 1, taps], to: [size, taps]))
        }
    }
}
