import RetNetModels
import RetNetReporting
import RetNetSettings

extension InfoCommand {
    /// What a T5 weighs and costs, for people.
    func text(_ accounting: T5Accounting) -> String {
        let configuration = accounting.configuration
        var table = TextTable(header: [source.name, "", ""], alignments: [.left, .right, .left])
        func add(_ name: String, _ value: String, _ note: String = "") { table.append([name, value, note]) }
        add("width", Format.grouped(configuration.hiddenSize))
        add(
            "layers", "\(configuration.encoderLayerCount)+\(configuration.decoderLayerCount)",
            "encoder, decoder")
        add("vocabulary", Format.grouped(configuration.vocabularySize))
        if let altUp = configuration.altUp, altUp.kind != .none {
            add("blocks", Format.grouped(altUp.streamCount), altUp.kind.rawValue)
        }
        if let experts = configuration.experts {
            let sides = experts.sides == .both ? "encoder and decoder" : experts.sides.rawValue
            let layers = experts.period > 1 ? "1 in \(experts.period) layers" : "all layers"
            add(
                "experts", Format.grouped(experts.experts.count),
                "\(experts.experts.routing.rawValue), \(sides), \(layers)")
        }
        if let sequence = configuration.altUp?.sequence {
            add("tokens seen", "1 in \(sequence.stride)", "\(sequence.mode.rawValue), encoder")
        }
        add("parameters", Format.grouped(accounting.parameterCount), Format.count(accounting.parameterCount))
        add(
            "  embedding", Format.grouped(accounting.embeddingParameterCount),
            configuration.tiedOutput ? "also the output" : "with the output")
        if accounting.altUpParameterCount > 0 {
            add("  altup", Format.grouped(accounting.altUpParameterCount))
        }
        add("  others", Format.grouped(accounting.otherParameterCount - accounting.altUpParameterCount))
        add(
            "FLOPs an example", Format.count(accounting.forwardFLOPs(sourceLength: 512, targetLength: 114)),
            "forward, 512 source and 114 target tokens")
        add("", Format.count(accounting.trainingFLOPs(sourceLength: 512, targetLength: 114)), "training")
        let cache = 4 * accounting.cacheElementCount(sourceLength: 512, targetLength: 114)
        add("cache", Format.bytes(cache), "of such an example, float32")
        add("weights", Format.bytes(4 * accounting.parameterCount), "float32")
        add("training", Format.bytes(accounting.trainingByteCount), "with AdamW; activations come on top")
        return table.text()
    }

    /// The same for machines.
    func tree(_ accounting: T5Accounting) -> SettingsTree {
        [
            "name": .string(source.name), "parameters": .int(accounting.parameterCount),
            "embedding_parameters": .int(accounting.embeddingParameterCount),
            "altup_parameters": .int(accounting.altUpParameterCount),
            "forward_flops": .int(accounting.forwardFLOPs(sourceLength: 512, targetLength: 114)),
            "training_flops": .int(accounting.trainingFLOPs(sourceLength: 512, targetLength: 114)),
            "cache_bytes": .int(4 * accounting.cacheElementCount(sourceLength: 512, targetLength: 114)),
            "training_bytes": .int(accounting.trainingByteCount),
            "configuration": accounting.configuration.settings,
        ]
    }
}
