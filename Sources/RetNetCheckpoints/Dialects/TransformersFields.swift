import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings

/// Fields that the models of Hugging Face Transformers share, and their counterparts here.
enum TransformersFields {
    // MARK: Recognition

    /// Returns whether a checkpoint is of a model type, by its configuration and, where they are known, its tensors.
    ///
    /// `telling` names tensors of which one must be there, without `prefix`, which may be left out.
    static func recognition(
        of checkpoint: CheckpointTraits, type: String, fields: [String], prefix: String, telling: [String]
    ) -> DialectRecognition {
        guard checkpoint.modelType == type, fields.allSatisfy(checkpoint.has) else { return .no }
        let reason = "config.json has model_type '\(type)'"
        guard !checkpoint.tensors.isEmpty else { return .yes(because: reason) }
        for name in telling where checkpoint.tensors.contains("\(prefix).\(name)") {
            return .yes(because: "\(reason), and there is a tensor '\(prefix).\(name)'")
        }
        for name in telling where checkpoint.tensors.contains(name) {
            return .yes(because: "\(reason), and there is a tensor '\(name)'")
        }
        return .refused(because: "\(reason), but there is no tensor '\(prefix).\(telling[0])'")
    }

    /// Returns the prefix of the tensors: checkpoints of the model without its head have none.
    static func prefix(_ usual: String, telling: String, in table: TensorTable) -> String {
        table.finds(telling) && !table.finds("\(usual).\(telling)") ? "" : usual
    }

    // MARK: Sizes and small fields

    /// The number of heads, where that is read.
    static let heads = 1...1 << 12

    /// Reads the vocabulary's size, the width and the number of layers under their names; all are required.
    static func model(
        _ fields: SettingsReader, width: String = "hidden_size", layers: String = "num_hidden_layers"
    ) -> LanguageModelConfiguration {
        refuseQuantized(fields)
        var model = LanguageModelConfiguration(
            vocabularySize: fields.int("vocab_size", in: 1...1 << 24),
            hiddenSize: fields.int(width, in: 1...1 << 18), layerCount: fields.int(layers, in: 1...5_000),
            mixer: .retention(.standard), feedForward: .none)
        model.tokens = fields.specialTokens(vocabularySize: model.vocabularySize)
        if let deviation = fields.tree("initializer_range")?.double, deviation > 0, deviation <= 1 {
            model.initialization = .normal(standardDeviation: deviation)
        }
        return model
    }

    /// Reports weights that are not numbers by themselves.
    static func refuseQuantized(_ fields: SettingsReader) {
        fields.refuse(
            "quantization_config", unless: [.null],
            "quantized weights are not known here; take the checkpoint that they were made of")
    }

    /// Adds what ``model(_:width:layers:)`` reads.
    static func add(
        _ model: LanguageModelConfiguration, to fields: inout SettingsObject, width: String = "hidden_size",
        layers: String = "num_hidden_layers"
    ) {
        fields["vocab_size"] = .int(model.vocabularySize)
        fields[width] = .int(model.hiddenSize)
        fields[layers] = .int(model.layerCount)
        fields["tie_word_embeddings"] = .bool(model.tiedOutput)
        fields["use_cache"] = true
        if case .normal(let deviation) = model.initialization {
            fields["initializer_range"] = .double(deviation)
        }
        fields.add(model.tokens)
    }

    /// Reads a rate of dropout; those that cannot be are 0, since they have no effect on results.
    static func dropout(_ fields: SettingsReader, _ key: String, default: Double) -> Double {
        guard let rate = fields.tree(key)?.double else { return `default` }
        return (0..<1).contains(rate) ? rate : 0
    }

    /// Returns the only mixer of a model; throws if it has several kinds of layer or another mixer.
    static func only<Part>(
        _ model: LanguageModelConfiguration, _ dialect: String, _ what: String,
        _ part: (MixerConfiguration) -> Part?
    ) throws -> Part {
        let layers = (0..<model.layerCount).map(model.layer)
        guard let first = layers.first, layers.allSatisfy({ $0 == first }), let found = part(first.mixer)
        else {
            throw DialectError.inexpressible(
                dialect: dialect, reasons: ["its layers must be equal ones of \(what)"])
        }
        return found
    }

    /// Returns the attention of a model of equal layers.
    static func attention(_ model: LanguageModelConfiguration, _ dialect: String) throws
        -> AttentionConfiguration
    {
        try only(model, dialect, "softmax attention") { mixer -> AttentionConfiguration? in
            guard case .attention(let attention) = mixer else { return nil }
            return attention
        }
    }

    /// Returns a factor by which a width becomes another in code that rounds down.
    static func factor(_ size: Int, of width: Int) -> Double {
        let ratio = Double(size) / Double(max(1, width))
        return Int(Double(width) * ratio) == size ? ratio : ratio.nextUp
    }

    // MARK: Activations

    /// Their names of the activations of feed-forwards; the first of each is written.
    private static let activations: [(String, FeedForwardConfiguration.Activation)] = [
        ("silu", .swish), ("swish", .swish), ("gelu", .gelu), ("gelu_new", .geluTanh),
        ("gelu_pytorch_tanh", .geluTanh), ("gelu_fast", .geluTanh), ("relu", .relu),
    ]

    /// Reads the activation of feed-forwards.
    static func activation(_ fields: SettingsReader, _ key: String, default name: String)
        -> FeedForwardConfiguration.Activation
    {
        let standard = activations.first { $0.0 == name }?.1 ?? .gelu
        return fields.choice(key, activations, default: standard) ?? standard
    }

    /// Returns their name of an activation.
    static func name(of activation: FeedForwardConfiguration.Activation) -> SettingsTree {
        .string(activations.first { $0.1 == activation }?.0 ?? activation.rawValue)
    }

    // MARK: Rotary positions

    /// Names of fields that differ between models.
    struct RotaryNames {
        /// The base of the angles.
        var base = "rope_theta"
        /// The share of a head's channels that are rotated; nil for models that rotate all.
        var share: String?
        /// The share where none is given.
        var standardShare = 1.0
    }

    /// Reads base, rotated channels and scaling of the angles into attention, in the words of Transformers 5 or earlier.
    static func readRotary(
        _ fields: SettingsReader, _ names: RotaryNames = .init(), into attention: inout AttentionConfiguration
    ) {
        let parameters = fields.optionalObject("rope_parameters")
        var scaling = parameters
        if scaling == nil, fields.has("rope_scaling") { scaling = fields.optionalObject("rope_scaling") }
        let bases = 1.0...1e12
        attention.rotation = .halves
        attention.rotaryBase =
            parameters?.optionalDouble("rope_theta", in: bases)
            ?? fields.double(names.base, in: bases, default: 10_000)
        let shares = Double.leastNonzeroMagnitude...1
        if let own = names.share {
            let share =
                parameters?.optionalDouble("partial_rotary_factor", in: shares)
                ?? fields.double(own, in: shares, default: names.standardShare)
            let size = Int(Double(attention.headSize) * share)
            if size < 2 || size % 2 != 0 {
                fields.report(
                    own, allowed: "such that an even number of \(attention.headSize) channels is rotated")
            }
            attention.rotarySize = size == attention.headSize ? nil : max(2, size)
        } else {
            parameters?.refuse(
                "partial_rotary_factor", unless: [1, 1.0], "these models rotate all channels of a head")
        }
        attention.rotaryScaling = scaling.flatMap { rotaryScaling($0, fields) }
    }

    private static func rotaryScaling(_ scaling: SettingsReader, _ fields: SettingsReader) -> RotaryScaling? {
        // Before version 4.43 the field was called `type`.
        let key = scaling.has("rope_type") || !scaling.has("type") ? "rope_type" : "type"
        let kinds: [(String, RotaryScaling.Kind?)] = [
            ("default", nil), ("linear", .linear), ("llama3", .llama3),
        ]
        guard let kind = scaling.choice(key, kinds, default: .some(nil)), let kind else { return nil }
        var result = RotaryScaling(kind: kind, factor: scaling.double("factor", in: 1...1e6))
        guard kind == .llama3 else { return result }
        result.originalLength =
            scaling.optionalInt("original_max_position_embeddings", in: 1...1 << 40)
            ?? fields.int("max_position_embeddings", in: 1...1 << 40)
        result.lowFrequencyFactor = scaling.double("low_freq_factor", in: SettingsRange.positive)
        result.highFrequencyFactor = scaling.double("high_freq_factor", in: SettingsRange.positive)
        return result
    }

    /// Adds base, rotated channels and scaling in the words that every version reads.
    static func addRotary(
        _ attention: AttentionConfiguration, _ names: RotaryNames = .init(), to fields: inout SettingsObject
    ) {
        fields[names.base] = .double(attention.rotaryBase)
        if let share = names.share {
            fields[share] = .double(
                factor(attention.rotarySize ?? attention.headSize, of: attention.headSize))
        }
        guard let scaling = attention.rotaryScaling else {
            fields["rope_scaling"] = .null
            return
        }
        var object: SettingsObject = [
            "rope_type": .string(scaling.kind.rawValue), "factor": .double(scaling.factor),
        ]
        if scaling.kind == .llama3 {
            object["low_freq_factor"] = .double(scaling.lowFrequencyFactor)
            object["high_freq_factor"] = .double(scaling.highFrequencyFactor)
            object["original_max_position_embeddings"] = .int(scaling.originalLength)
        }
        fields["rope_scaling"] = .object(object)
    }
}
