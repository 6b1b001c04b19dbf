import RetNetMixers
import RetNetModels
import RetNetSettings

/// RetNet of fkodom/yet-another-retnet as of fdd1c0e.
///
/// It has no file of a configuration: the arguments of its class, as JSON beside the tensors, serve as one. What they leave out
/// is read from the shapes of the tensors, and the activation and the order of norms are then those of its class.
struct FkodomRetNet: CheckpointDialect {
    let name = "fkodom-retnet"
    let summary = "RetNet of fkodom/yet-another-retnet"

    private static let activations: [(String, FeedForwardConfiguration.Activation)] = [
        ("swish", .swish), ("gelu", .gelu),
    ]

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        let telling = "decoder.layers.0.retention.q_proj.weight"
        if checkpoint.tensors.isEmpty {
            return ["num_tokens", "d_model", "nhead", "dim_feedforward"].allSatisfy(checkpoint.has)
                ? .yes(because: "the arguments are num_tokens, d_model and nhead") : .no
        }
        guard checkpoint.tensors.contains(telling), checkpoint.tensors.contains("embedding.weight"),
            checkpoint.tensors.contains("decoder.layers.0.linear1.weight")
        else { return .no }
        return .yes(because: "there are tensors '\(telling)' and 'decoder.layers.0.linear1.weight'")
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        let tensors = checkpoint.tensors
        func size(_ key: String, _ stored: Int?) -> Int {
            fields.int(key, in: 1...1 << 24, default: stored)
        }
        let width = size("d_model", tensors.shape("embedding.weight")?.last)
        let keySize = tensors.shape("decoder.layers.0.retention.thetas")?.first
        let heads = size("nhead", keySize.map { max(1, width / max(1, $0)) })
        let layers = tensors.count { "decoder.layers.\($0).linear1.weight" }
        if width % heads != 0 {
            fields.reportContradiction("nhead", "\(heads) heads do not divide a width of \(width)")
        }
        fields.refuse(
            "norm_first", unless: [true], "norms of the branches alone, behind them, are not known here")
        let activation = fields.choice("activation", Self.activations, default: .swish) ?? .swish
        let retention = RetentionConfiguration(
            headCount: heads, keySize: max(1, width / heads), valueSize: max(1, width / heads),
            decay: .experiment, rotation: .interleaved, normalization: .none,
            headNorm: HeadNormConfiguration(kind: .layer, affine: .none, epsilon: 1e-6),
            gate: activation == .gelu ? .gelu : .swish, biases: true)
        return LanguageModelConfiguration(
            vocabularySize: size("num_tokens", tensors.shape("embedding.weight")?.first), hiddenSize: width,
            layerCount: fields.int("num_layers", in: 1...10_000, default: layers > 0 ? layers : nil),
            mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(
                kind: .plain, activation: activation,
                innerSize: size(
                    "dim_feedforward", tensors.shape("decoder.layers.0.linear1.weight")?.first),
                biases: true),
            norm: NormConfiguration(
                kind: .layer,
                epsilon: fields.double("layer_norm_eps", in: SettingsRange.fraction, default: 1e-6)),
            finalNorm: false, outputBias: true,
            dropout: DropoutConfiguration(
                residual: fields.double("dropout", in: SettingsRange.belowOne, default: 0)))
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        guard case .retention(let retention) = model.mixer else {
            throw DialectError.inexpressible(dialect: name, reasons: ["the mixer is not retention"])
        }
        let activation = Self.activations.first { $0.1 == model.feedForward.activation }?.0 ?? "swish"
        return [
            "num_tokens": .int(model.vocabularySize), "d_model": .int(model.hiddenSize),
            "nhead": .int(retention.headCount), "num_layers": .int(model.layerCount),
            "dropout": .double(model.dropout.residual), "activation": .string(activation),
            "dim_feedforward": .int(model.feedForward.innerSize), "norm_first": true,
            "layer_norm_eps": .double(model.norm.epsilon),
        ]
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        table.same("embedding.weight", "embedding.weight")
        table.module("output", "out")
        guard case .retention(let retention) = model.mixer else { return }
        table.layers(model.layerCount, "decoder.layers") { layer, _ in
            layer.module("mixer_norm", "norm1")
            layer.module("mixer.query", "retention.q_proj")
            layer.module("mixer.key", "retention.k_proj")
            layer.module("mixer.value", "retention.v_proj")
            layer.module("mixer.gate", "retention.g_proj")
            layer.module("mixer.output", "retention.out_proj")
            layer.constant("retention.thetas") { try RetNetBuffers.angles(keySize: retention.keySize) }
            layer.module("feed_forward_norm", "norm2")
            layer.module("feed_forward.up", "linear1")
            layer.module("feed_forward.down", "linear2")
        }
    }
}
