import RetNetMixers
import RetNetModels
import RetNetSettings

/// Mamba-2 of Hugging Face Transformers.
struct TransformersMamba2: CheckpointDialect {
    var name: String { "mamba2" }
    var summary: String { "Mamba-2 of Hugging Face Transformers" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        TransformersFields.recognition(
            of: checkpoint, type: "mamba2", fields: ["hidden_size", "num_heads", "state_size"],
            prefix: "backbone", telling: ["embeddings.weight", "embedding.weight"])
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        var model = TransformersFields.model(fields)
        let epsilon = fields.double("layer_norm_epsilon", in: SettingsRange.fraction, default: 1e-5)
        let taps = fields.int("conv_kernel", in: 1...64, default: 4)
        if taps == 1 { fields.report("conv_kernel", allowed: "an integer from 2 to 64") }
        var mixer = Mamba2Configuration(
            headCount: fields.int("num_heads", in: 1...1 << 16),
            headSize: fields.int("head_dim", in: 1...1 << 16),
            stateSize: fields.int("state_size", in: 1...1 << 16),
            groupCount: fields.int("n_groups", in: 1...1 << 16, default: 8), convolutionWidth: taps,
            epsilon: epsilon, biases: fields.bool("use_bias", default: false),
            convolutionBiases: fields.bool("use_conv_bias", default: true))
        if let expand = fields.tree("expand")?.double, expand > 0, expand < 1e6,
            Int(expand * Double(model.hiddenSize)) != mixer.innerSize
        {
            fields.reportContradiction(
                "expand", "num_heads · head_dim is \(mixer.innerSize), not \(expand) times hidden_size")
        }
        fields.expect("hidden_act", ["silu", "swish"])
        fields.refuse(
            "rms_norm", unless: [true], "layers without the norm before the output are not known here")
        fields.refuse("norm_before_gate", unless: [false], "a norm before the gate is not known here")
        (mixer.minimumStep, mixer.maximumStep) = Self.stepLimits(fields, "time_step_limit")
        model.mixer = .mamba2(mixer)
        model.norm = NormConfiguration(kind: .rms, epsilon: epsilon)
        model.tiedOutput = fields.bool("tie_word_embeddings", default: false)
        return model
    }

    /// Reads the limits of steps; the upper one is usually infinite, in one of three spellings.
    static func stepLimits(_ fields: SettingsReader, _ key: String) -> (Double, Double?) {
        guard let given = fields.tree(key) else { return (0, nil) }
        guard let pair = given.array, pair.count == 2, let low = pair[0].double, low >= 0, low.isFinite else {
            fields.report(key, allowed: "a list of two numbers from 0")
            return (0, nil)
        }
        let text = pair[1].object?["__float__"]?.string ?? pair[1].string
        if pair[1].double == .infinity || ["Infinity", "inf"].contains(text) { return (low, nil) }
        guard let high = pair[1].double, high >= low, high.isFinite else {
            fields.report(key, allowed: "a list of two numbers from 0, the smaller one first")
            return (low, nil)
        }
        return (low, high)
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let mixer = try TransformersFields.only(model, name, "Mamba-2") { mixer -> Mamba2Configuration? in
            guard case .mamba2(let mamba) = mixer else { return nil }
            return mamba
        }
        guard mixer.innerSize % model.hiddenSize == 0 else {
            throw DialectError.inexpressible(
                dialect: name,
                reasons: [
                    "the width inside (\(mixer.innerSize)) must be a multiple of hidden_size (\(model.hiddenSize))"
                ])
        }
        var fields: SettingsObject = [
            "architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2",
            "num_heads": .int(mixer.headCount), "head_dim": .int(mixer.headSize),
            "state_size": .int(mixer.stateSize), "n_groups": .int(mixer.groupCount),
            "expand": .int(mixer.innerSize / model.hiddenSize), "conv_kernel": .int(mixer.convolutionWidth),
            "use_bias": .bool(mixer.biases), "use_conv_bias": .bool(mixer.convolutionBiases),
            "hidden_act": "silu", "layer_norm_epsilon": .double(model.norm.epsilon), "chunk_size": 256,
            "residual_in_fp32": true, "rms_norm": true,
        ]
        if let high = mixer.maximumStep {
            fields["time_step_limit"] = [.double(mixer.minimumStep), .double(high)]
        } else if mixer.minimumStep > 0 {
            // JSON has no infinity; this is the spelling of Transformers 5.
            fields["time_step_limit"] = [.double(mixer.minimumStep), ["__float__": "Infinity"]]
        }
        TransformersFields.add(model, to: &fields)
        return fields
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        // Some checkpoints keep the authors' name of the table.
        let embedding = table.finds("backbone.embedding.weight") ? "embedding" : "embeddings"
        let prefix = TransformersFields.prefix("backbone", telling: "\(embedding).weight", in: table)
        Self.declare(model, embedding: embedding, prefix: prefix, in: &table)
        table.output("lm_head", tiedTo: (prefix.isEmpty ? "" : prefix + ".") + "\(embedding).weight")
    }

    /// Declares everything but the output matrix.
    static func declare(
        _ model: LanguageModelConfiguration, embedding: String, prefix: String, in table: inout TensorTable
    ) {
        guard case .mamba2(let mixer) = model.mixer else { return }
        let channels = mixer.innerSize + 2 * mixer.groupCount * mixer.stateSize
        let taps = mixer.convolutionWidth
        table.scope("", prefix) { root in
            root.module("embedding", embedding)
            root.module("final_norm", "norm_f")
            root.layers(model.layerCount, "layers") { layer, _ in
                layer.module("mixer_norm", "norm")
                layer.module("mixer.input", "mixer.in_proj")
                layer.same(
                    "mixer.convolution.weight", "mixer.conv1d.weight",
                    .reshaped(from: [channels, 1, taps], to: [channels, taps]))
                layer.same("mixer.convolution.bias", "mixer.conv1d.bias")
                layer.same("mixer.step_bias", "mixer.dt_bias")
                layer.same("mixer.decay_log", "mixer.A_log")
                layer.same("mixer.skip", "mixer.D")
                layer.module("mixer.norm", "mixer.norm")
                layer.module("mixer.output", "mixer.out_proj")
            }
        }
    }
}
