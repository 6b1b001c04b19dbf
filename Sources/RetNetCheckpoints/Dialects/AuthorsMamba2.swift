import RetNetMixers
import RetNetModels
import RetNetSettings

/// Mamba-2 of its authors (state-spaces/mamba), as the checkpoints `state-spaces/mamba2-*` are.
///
/// The vocabulary of the configuration is rounded up in the tensors; the rows that are added stay a part of the model.
struct AuthorsMamba2: CheckpointDialect {
    var name: String { "mamba2-authors" }
    var summary: String { "Mamba-2 of state-spaces/mamba" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        guard checkpoint.modelType == nil, checkpoint.has("d_model"), checkpoint.has("n_layer"),
            checkpoint.has("ssm_cfg")
        else { return .no }
        let layer = checkpoint.fields.value(at: "ssm_cfg.layer")?.string ?? "Mamba1"
        let telling = "backbone.embedding.weight"
        guard layer == "Mamba2" else {
            return .refused(because: "only layers of the kind 'Mamba2' are known here, not '\(layer)'")
        }
        guard checkpoint.tensors.isEmpty || checkpoint.tensors.contains(telling) else {
            return .refused(because: "config.json has ssm_cfg, but there is no tensor '\(telling)'")
        }
        return .yes(because: "config.json has ssm_cfg with the layer 'Mamba2'")
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        let width = fields.int("d_model", in: 1...1 << 18)
        let multiple = fields.int("pad_vocab_size_multiple", in: 1...1 << 16, default: 8)
        let vocabulary = fields.int("vocab_size", in: 1...1 << 23)
        fields.refuse("rms_norm", unless: [true], "layer norms are not known here")
        fields.refuse("d_intermediate", unless: [.null, 0], "layers with a feed-forward are not known here")
        fields.refuse("attn_layer_idx", unless: [.null, []], "layers of attention are not known here")
        var mixer = Mamba2Configuration(width: width)
        if let layer = fields.optionalObject("ssm_cfg") {
            read(layer, width, into: &mixer)
        }
        return LanguageModelConfiguration(
            vocabularySize: (vocabulary + multiple - 1) / multiple * multiple, hiddenSize: width,
            layerCount: fields.int("n_layer", in: 1...5_000), mixer: .mamba2(mixer), feedForward: .none,
            norm: NormConfiguration(kind: .rms, epsilon: 1e-5),
            tiedOutput: fields.bool("tie_embeddings", default: true))
    }

    private func read(_ layer: SettingsReader, _ width: Int, into mixer: inout Mamba2Configuration) {
        layer.expect("layer", ["Mamba2"])
        let inner = Int(
            min(Double(width) * layer.double("expand", in: SettingsRange.positive, default: 2), 1e9))
        let size = layer.int("headdim", in: 1...1 << 16, default: 64)
        if inner < size || inner % size != 0 {
            layer.report("headdim", allowed: "a divisor of the width inside (\(inner))")
        }
        layer.refuse(
            "d_ssm", unless: [.null, .int(inner)], "channels outside the state space are not known here")
        layer.refuse(
            "rmsnorm", unless: [true], "layers without the norm before the output are not known here")
        layer.refuse("norm_before_gate", unless: [false], "a norm before the gate is not known here")
        layer.refuse("D_has_hdim", unless: [false], "one skip per channel is not known here")
        let taps = layer.int("d_conv", in: 2...64, default: 4)
        mixer = Mamba2Configuration(
            headCount: max(1, inner / size), headSize: size,
            stateSize: layer.int("d_state", in: 1...1 << 16, default: 128),
            groupCount: layer.int("ngroups", in: 1...1 << 16, default: 1), convolutionWidth: taps,
            epsilon: 1e-5, biases: layer.bool("bias", default: false),
            convolutionBiases: layer.bool("conv_bias", default: true))
        guard layer.has("dt_limit") else { return }
        (mixer.minimumStep, mixer.maximumStep) = TransformersMamba2.stepLimits(layer, "dt_limit")
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let mixer = try TransformersFields.only(model, name, "Mamba-2") { mixer -> Mamba2Configuration? in
            guard case .mamba2(let mamba) = mixer else { return nil }
            return mamba
        }
        var layer: SettingsObject = [
            "layer": "Mamba2", "d_state": .int(mixer.stateSize), "d_conv": .int(mixer.convolutionWidth),
            "expand": .double(TransformersFields.factor(mixer.innerSize, of: model.hiddenSize)),
            "headdim": .int(mixer.headSize), "ngroups": .int(mixer.groupCount), "bias": .bool(mixer.biases),
            "conv_bias": .bool(mixer.convolutionBiases),
        ]
        if let high = mixer.maximumStep {
            layer["dt_limit"] = [.double(mixer.minimumStep), .double(high)]
        } else if mixer.minimumStep > 0 {
            throw DialectError.inexpressible(
                dialect: name, reasons: ["a smallest step needs a largest one: JSON has no infinity"])
        }
        return [
            "d_model": .int(model.hiddenSize), "d_intermediate": 0, "n_layer": .int(model.layerCount),
            "vocab_size": .int(model.vocabularySize), "ssm_cfg": .object(layer), "attn_layer_idx": [],
            "attn_cfg": .object([:]), "rms_norm": true, "residual_in_fp32": true, "fused_add_norm": true,
            "pad_vocab_size_multiple": 1, "tie_embeddings": .bool(model.tiedOutput),
        ]
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        TransformersMamba2.declare(model, embedding: "embedding", prefix: "backbone", in: &table)
        if model.tiedOutput {
            // Their code looks for it in any case.
            table.copy("lm_head.weight", of: "backbone.embedding.weight", isWritten: true)
        } else {
            table.module("output", "lm_head")
        }
    }
}
