import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetDistributed
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTraining

/// `retnet info`: size and cost of a model.
struct InfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Show parameters, FLOPs, state size and memory of a model.",
        discussion: """
            All figures are computed from the configuration. Of a model folder of this package the files' own list of tensors \
            is shown too: sizes, element types, and what their weights are rounded to.

            With --mesh, memory and traffic of one of the ranks that train the model together are shown instead, in a step of \
            the preset's recipe or of the settings that --set changes.
            """)

    @OptionGroup var source: ModelSource

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Ranks along the axes of a training run, as in data=2,sequence=1,tensor=2.", valueName: "axes"))
    var mesh: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "With --mesh, a changed setting of the run; may be given several times.", valueName: "path=value")
    )
    var changes: [String] = []

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if mesh == nil, !changes.isEmpty { throw ValidationError("--set needs --mesh") }
    }

    func run() throws {
        if let mesh { return try show(MeshRequest(parsing: mesh)) }
        if let configuration = try source.encoderDecoder() {
            let accounting = try T5Accounting(configuration)
            return try show(tree(accounting), text(accounting))
        }
        let accounting = try ModelAccounting(source.configuration())
        try show(tree(accounting), text(accounting))
    }

    private func show(_ tree: @autoclosure () -> SettingsTree, _ text: @autoclosure () -> String) throws {
        let stored = try source.storedWeights()
        if json { return try Console.json(tree().merging(["stored": stored?.tree ?? .null])) }
        Console.result(text())
        if let stored {
            let policy = stored.policy.map { "\nrounded: \($0)\n" } ?? ""
            Console.result(policy + "\n" + stored.table)
        }
    }

    private func text(_ accounting: ModelAccounting) -> String {
        let configuration = accounting.configuration
        let counts = accounting.parameters
        var table = TextTable(header: [source.name, "", ""], alignments: [.left, .right, .left])
        func add(_ name: String, _ value: String, _ note: String = "") { table.append([name, value, note]) }
        add("width", Format.grouped(configuration.hiddenSize))
        add("layers", Format.grouped(configuration.layerCount))
        add("vocabulary", Format.grouped(configuration.vocabularySize))
        if let length = configuration.trainingLength {
            add("training length", Format.grouped(length), "tokens")
        }
        add("parameters", Format.grouped(accounting.parameterCount), Format.count(accounting.parameterCount))
        add(
            "  embedding", Format.grouped(counts.embedding), configuration.tiedOutput ? "also the output" : ""
        )
        add("  mixers", Format.grouped(counts.mixers))
        add("  feed-forwards", Format.grouped(counts.feedForwards))
        add("  norms", Format.grouped(counts.norms))
        if counts.altUp > 0 { add("  altup", Format.grouped(counts.altUp)) }
        if counts.output > 0 { add("  output", Format.grouped(counts.output)) }
        add("layer matrices", Format.grouped(accounting.blockMatrixParameterCount), "as papers count")
        add("FLOPs per token", Format.count(accounting.forwardFLOPsPerToken), "forward")
        add("", Format.count(accounting.trainingFLOPsPerToken), "training")
        for position in accounting.stateGrows ? [2048, 16_384] : [2048] {
            let place = accounting.stateGrows ? "after \(Format.grouped(position)) tokens" : "at any position"
            add(
                "", Format.count(accounting.decodingFLOPsPerToken(position: position)), "generation, \(place)"
            )
        }
        for length in accounting.stateGrows ? [2048, 16_384] : [2048] {
            let kind = accounting.stateGrows ? "of \(Format.grouped(length)) tokens" : "of any length"
            add(
                length == 2048 ? "state" : "", Format.bytes(accounting.stateByteCount(tokenCount: length)),
                "per sequence \(kind), float32")
        }
        add("weights", Format.bytes(accounting.weightByteCount(bytesPerParameter: 4)), "float32")
        add("", Format.bytes(accounting.weightByteCount(bytesPerParameter: 2)), "bfloat16")
        add(
            "training", Format.bytes(accounting.trainingByteCount(mixedPrecision: true)),
            "weights, gradients and AdamW, without activations")
        return table.text()
    }

    private func tree(_ accounting: ModelAccounting) -> SettingsTree {
        let parts = ParameterCounts.Part.allCases.map {
            ($0.rawValue, SettingsTree.int(accounting.parameters[$0]))
        }
        return [
            "name": .string(source.name), "parameters": .int(accounting.parameterCount),
            "parameters_by_part": .ordered(parts),
            "block_matrix_parameters": .int(accounting.blockMatrixParameterCount),
            "forward_flops_per_token": .int(accounting.forwardFLOPsPerToken),
            "training_flops_per_token": .int(accounting.trainingFLOPsPerToken),
            "decoding_flops_per_token": .int(accounting.decodingFLOPsPerToken(position: 2048)),
            "state_bytes": .int(accounting.stateByteCount(tokenCount: 2048)),
            "state_grows": .bool(accounting.stateGrows),
            "weight_bytes_float32": .int(accounting.weightByteCount(bytesPerParameter: 4)),
            "weight_bytes_bfloat16": .int(accounting.weightByteCount(bytesPerParameter: 2)),
            "training_bytes": .int(accounting.trainingByteCount(mixedPrecision: true)),
            "configuration": accounting.configuration.settings,
        ]
    }
}

extension InfoCommand {
    /// Returns size and cost of a T5 as a table.
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
            add("tokens per layer", "1 in \(sequence.stride)", "\(sequence.mode.rawValue), encoder")
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
            "FLOPs per example", Format.count(accounting.forwardFLOPs(sourceLength: 512, targetLength: 114)),
            "forward, 512 source and 114 target tokens")
        add("", Format.count(accounting.trainingFLOPs(sourceLength: 512, targetLength: 114)), "training")
        let cache = 4 * accounting.cacheElementCount(sourceLength: 512, targetLength: 114)
        add("cache", Format.bytes(cache), "per such example, float32")
        add("weights", Format.bytes(4 * accounting.parameterCount), "float32")
        add("training", Format.bytes(accounting.trainingByteCount), "with AdamW, without activations")
        return table.text()
    }

    /// Returns size and cost of a T5 for machines.
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
