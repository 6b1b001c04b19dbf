import RetNetMixers
import RetNetModels
import RetNetSettings

/// RWKV-4 of its authors (BlinkDL/RWKV-LM), usually one `.pth` file without a configuration.
///
/// Sizes are those of the tensors, or the arguments `n_layer`, `n_embd`, `vocab_size` and `dim_ffn` of their training code.
/// Their code computes in float32 and bfloat16 as it is written; only in float16 it halves the residual stream.
struct AuthorsRWKV4: CheckpointDialect {
    var name: String { "rwkv4-authors" }
    var summary: String { "RWKV-4 of BlinkDL/RWKV-LM, a .pth file" }

    func recognition(of checkpoint: CheckpointTraits) -> DialectRecognition {
        let tensors = checkpoint.tensors
        guard checkpoint.modelType == nil, tensors.contains("emb.weight"),
            tensors.containsPrefix("blocks.0.att.")
        else { return .no }
        // Later versions have a norm behind time mixing, or vectors of other names.
        if let later = ["blocks.0.att.ln_x.weight", "blocks.0.att.time_maa_k", "blocks.0.att.x_k"]
            .first(where: tensors.contains)
        {
            return .refused(because: "only RWKV-4 is known here, but there is a tensor '\(later)'")
        }
        let telling = "blocks.0.att.time_mix_k"
        return tensors.contains(telling) && tensors.contains("blocks.0.ffn.time_mix_k")
            ? .yes(because: "there are tensors 'emb.weight' and '\(telling)'") : .no
    }

    func configuration(reading fields: SettingsReader, _ checkpoint: CheckpointTraits)
        -> LanguageModelConfiguration
    {
        let tensors = checkpoint.tensors
        func size(_ key: String, _ tensor: String, axis: Int, in range: ClosedRange<Int>) -> Int {
            if fields.has(key) { return fields.int(key, in: range) }
            if let shape = tensors.shape(tensor), shape.indices.contains(axis), range.contains(shape[axis]) {
                return shape[axis]
            }
            fields.report(key, allowed: "given, or a tensor '\(tensor)' that shows it")
            return range.lowerBound
        }
        let width = size("n_embd", "emb.weight", axis: 1, in: 1...1 << 18)
        let inner = size("dim_ffn", "blocks.0.ffn.key.weight", axis: 0, in: 1...1 << 22)
        var layers = 0
        while layers < 5_000, tensors.contains("blocks.\(layers).att.time_decay") { layers += 1 }
        layers = fields.int("n_layer", in: 1...5_000, default: layers == 0 ? nil : layers)
        fields.refuse(
            "dim_att", unless: [.null, .int(width), 0],
            "time mixing of another width than n_embd (\(width)) is not known here")
        var model = LanguageModelConfiguration(
            vocabularySize: size("vocab_size", "emb.weight", axis: 0, in: 1...1 << 24), hiddenSize: width,
            layerCount: 2 * layers, mixer: .rwkv(RWKVConfiguration(channelCount: width)), feedForward: .none,
            norm: NormConfiguration(kind: .layer, epsilon: 1e-5), embeddingNorm: true,
            trainingLength: fields.optionalInt("ctx_len", in: 1...Int.max))
        model.pattern = RWKV4Blocks.pattern(width: width, innerSize: inner)
        return model
    }

    func fields(for model: LanguageModelConfiguration) throws -> SettingsObject {
        let mix = try RWKV4Blocks.channelMixing(of: model, dialect: name)
        return [
            "n_layer": .int(model.layerCount / 2), "n_embd": .int(model.hiddenSize),
            "dim_att": .int(model.hiddenSize), "dim_ffn": .int(mix.innerSize),
            "vocab_size": .int(model.vocabularySize), "ctx_len": .int(model.trainingLength ?? 1024),
        ]
    }

    func declareTensors(of model: LanguageModelConfiguration, in table: inout TensorTable) throws {
        RWKV4Tensors(
            embedding: "emb", firstNorm: "ln0", timeMixing: "att", channelMixing: "ffn",
            letters: ["key": "k", "value": "v", "receptance": "r"]
        ).declare(model, in: &table)
        table.output("head", tiedTo: "emb.weight")
    }
}

/// Time mixing and channel mixing in turns: two blocks here for one layer there.
enum RWKV4Blocks {
    static func pattern(width: Int, innerSize: Int) -> [LayerConfiguration] {
        [
            LayerConfiguration(mixer: .rwkv(RWKVConfiguration(channelCount: width)), feedForward: .none),
            LayerConfiguration(
                mixer: .rwkvChannelMix(
                    RWKVChannelMixConfiguration(channelCount: width, innerSize: innerSize)),
                feedForward: .none),
        ]
    }

    /// Returns the channel mixing of a model; throws ``DialectError`` for one of other blocks.
    static func channelMixing(of model: LanguageModelConfiguration, dialect: String) throws
        -> RWKVChannelMixConfiguration
    {
        guard model.layerCount % 2 == 0, model.layerCount > 0,
            case .rwkvChannelMix(let mix) = model.layer(1).mixer
        else {
            throw DialectError.inexpressible(
                dialect: dialect,
                reasons: ["its layers must be time mixing and channel mixing of RWKV-4 in turns"])
        }
        return mix
    }
}

/// The names of RWKV-4's tensors in a project.
struct RWKV4Tensors {
    let embedding: String
    /// The norm behind the embedding, which is in the first block there.
    let firstNorm: String
    let timeMixing: String
    let channelMixing: String
    /// The ends of the names of mixtures.
    let letters: [String: String]

    /// Declares everything but the output matrix; two blocks here are one there.
    func declare(_ model: LanguageModelConfiguration, in table: inout TensorTable) {
        let width = model.hiddenSize
        let vector = TensorStep.reshaped(from: [1, 1, width], to: [width])
        func mixtures(_ parts: [String], _ theirs: String, _ half: inout TensorTable) {
            for part in parts {
                half.same("mixer.time_mix_\(part)", "\(theirs).time_mix_\(letters[part] ?? part)", vector)
            }
        }
        table.module("embedding", embedding)
        table.module("embedding_norm", "blocks.0.\(firstNorm)")
        table.module("final_norm", "ln_out")
        for layer in 0..<model.layerCount / 2 {
            let theirs = "blocks.\(layer)"
            table.scope("layers.\(2 * layer)", theirs) { half in
                half.module("mixer_norm", "ln1")
                half.same("mixer.time_decay", "\(timeMixing).time_decay")
                half.same("mixer.time_first", "\(timeMixing).time_first")
                mixtures(["key", "value", "receptance"], timeMixing, &half)
                for part in ["key", "value", "receptance", "output"] {
                    half.module("mixer.\(part)", "\(timeMixing).\(part)")
                }
            }
            table.scope("layers.\(2 * layer + 1)", theirs) { half in
                half.module("mixer_norm", "ln2")
                mixtures(["key", "receptance"], channelMixing, &half)
                for part in ["key", "receptance", "value"] {
                    half.module("mixer.\(part)", "\(channelMixing).\(part)")
                }
            }
        }
    }
}
