import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTorch

/// RetNet of Jamie-Stirling/RetNet as of a5841a3, in a module with an embedding and an output.
///
/// The project has the layers alone. A checkpoint is read if the module around them names them `retnet`, its `nn.Embedding`
/// `embedding`, and its `nn.Linear` `out`. Matrices are stored [in, out] and per head; pairs of channels are neighbors, which
/// become halves by an order of rows. Keys are not scaled by A^-1/2, which is the same as an epsilon of the head norm divided by
/// A. All sizes follow from the tensors.
struct JamieStirlingRetNet: CheckpointDialect {
    let name = "jamie-stirling-retnet"
    let summary = "RetNet of Jamie-Stirling/RetNet, between an embedding and an output"

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        let names = checkpoint.tensors
        if names.isEmpty {
            return ["layers", "hidden_dim", "ffn_size", "heads"].allSatisfy(checkpoint.has)
                ? .yes(because: "the arguments are layers, hidden_dim, ffn_size and heads") : .no
        }
        let telling = "retentions.0.retentions.0.W_Q"
        guard names.containsSuffix(telling) else { return .no }
        guard names.contains("retnet." + telling), names.contains("embedding.weight"),
            names.contains("out.weight")
        else {
            return .refused(
                because:
                    "the layers are those of Jamie-Stirling/RetNet, which has neither an embedding nor an output:"
                    + " name the layers 'retnet', the embedding 'embedding' and the output 'out' in the module"
                    + " around them")
        }
        return .yes(because: "there is a tensor 'retnet.\(telling)'")
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        let tensors = checkpoint.tensors
        let queries = tensors.shape("retnet.retentions.0.retentions.0.W_Q") ?? []
        let values = tensors.shape("retnet.retentions.0.retentions.0.W_V") ?? []
        let stored = tensors.shape("embedding.weight") ?? []
        func size(_ key: String, _ found: Int?) -> Int { fields.int(key, in: 1...1 << 22, default: found) }
        func counted(_ count: Int) -> Int? { count > 0 ? count : nil }
        let width = size("hidden_dim", queries.first)
        let heads = size("heads", counted(tensors.count { "retnet.retentions.0.retentions.\($0).W_Q" }))
        if width % heads != 0 {
            fields.reportContradiction("heads", "\(heads) heads do not divide a width of \(width)")
        }
        let keySize = max(1, width / heads)
        let isDouble = fields.bool("double_v_dim", default: values.last == 2 * keySize)
        let retention = RetentionConfiguration(
            headCount: heads, keySize: keySize, valueSize: isDouble ? 2 * keySize : keySize,
            decay: .experiment, rotation: .halves, xPosScaleBase: 512, normalization: .none,
            headNorm: HeadNormConfiguration(
                kind: .layer, affine: .perHead, epsilon: 1e-5 / Double(keySize)))
        return LanguageModelConfiguration(
            vocabularySize: size("vocab_size", stored.first), hiddenSize: width,
            layerCount: size("layers", counted(tensors.count { "retnet.ffns.\($0).0.weight" })),
            mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(
                kind: .plain, activation: .gelu,
                innerSize: size("ffn_size", tensors.shape("retnet.ffns.0.0.weight")?.first), biases: true),
            norm: NormConfiguration(kind: .layer, epsilon: 1e-5), finalNorm: false,
            outputBias: fields.bool("output_bias", default: tensors.contains("out.bias")))
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        guard case .retention(let retention) = model.mixer else {
            throw DialectError.inexpressible(dialect: name, reasons: ["the mixer is not retention"])
        }
        return [
            "vocab_size": .int(model.vocabularySize), "layers": .int(model.layerCount),
            "hidden_dim": .int(model.hiddenSize), "ffn_size": .int(model.feedForward.innerSize),
            "heads": .int(retention.headCount),
            "double_v_dim": .bool(retention.valueSize == 2 * retention.keySize),
            "output_bias": .bool(model.outputBias),
        ]
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        table.same("embedding.weight", "embedding.weight")
        table.module("output", "out")
        guard case .retention(let c) = model.mixer else { return }
        let halves = TensorStep.rows(
            (0..<c.headCount).flatMap { head in
                [0, 1].flatMap { odd in (0..<c.keySize / 2).map { head * c.keySize + 2 * $0 + odd } }
            })
        for i in 0..<model.layerCount {
            table.scope("layers.\(i)", "retnet") { layer in
                func heads(_ name: String) -> [String] {
                    (0..<c.headCount).map { "retentions.\(i).retentions.\($0).\(name)" }
                }
                layer.parts("mixer.query.weight", heads("W_Q"), axis: 1, .transposed, halves)
                layer.parts("mixer.key.weight", heads("W_K"), axis: 1, .transposed, halves)
                layer.parts("mixer.value.weight", heads("W_V"), axis: 1, .transposed)
                for name in heads("xpos.scale") {
                    layer.constant(name) {
                        let even = stride(from: 0, to: c.keySize, by: 2).map { Float($0) }
                        return try (Tensor.from(even) + 0.4 * Double(c.keySize)) / (1.4 * Double(c.keySize))
                    }
                }
                layer.same("mixer.gate.weight", "retentions.\(i).W_G", .transposed)
                layer.module("mixer.head_norm", "retentions.\(i).group_norm")
                layer.same("mixer.output.weight", "retentions.\(i).W_O", .transposed)
                layer.module("mixer_norm", "layer_norms_1.\(i)")
                layer.module("feed_forward_norm", "layer_norms_2.\(i)")
                layer.module("feed_forward.up", "ffns.\(i).0")
                layer.module("feed_forward.down", "ffns.\(i).2")
            }
        }
    }
}
