import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetReporting
import RetNetRuntime
import RetNetSettings
import RetNetStorage

/// `retnet-lite info`: what a model folder holds.
struct InfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show the sizes of a model and what it needs to run.")

    @OptionGroup var model: ModelOptions

    @Flag(help: "Read all weights and check that they are finite, and that files are as their checksums say.")
    var verify = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let path = try model.folder.path()
        if verify, FileManager.default.fileExists(atPath: path + "/" + AtomicFolder.checksumsFileName) {
            try AtomicFolder.verify(path)
        }
        if EncoderDecoderFolder.recognizes(path) { return try showEncoderDecoder(path) }
        let model = try RuntimeModel(path: path, stateType: model.stateType)
        if verify { try model.verify() }
        let runner = try self.model.runner(model)
        let c = model.configuration
        let mixers = c.pattern.map(\.mixer.kind.rawValue)
        let kinds = mixers.indices.filter { mixers.firstIndex(of: mixers[$0]) == $0 }.map { mixers[$0] }
        let stored = try StoredWeights(path: model.path)
        if json {
            return try Console.json([
                "model": .string(model.path), "parameters": .int(model.parameterCount),
                "weight_bytes": .int(model.weightByteCount),
                "weight_bytes_per_token": .int(model.weightByteCountPerToken),
                "element_types": .array(model.elementTypes.map { .string($0) }),
                "verified": .bool(verify),
                "state_bytes": .int(model.stateByteCount), "state_dtype": .string(model.stateType.rawValue),
                "state_grows": .bool(c.stateGrows),
                "stored": stored.tree,
                "layers": .int(c.layerCount), "hidden_size": .int(c.hiddenSize),
                "vocabulary_size": .int(c.vocabularySize), "mixers": .array(kinds.map { .string($0) }),
                "threads": .int(runner.threadCount), "instruction_set": .string(runner.instructionSet),
            ])
        }
        var lines: [(String, String)] = [
            ("parameters", Format.grouped(model.parameterCount)),
            ("layers", "\(c.layerCount) of width \(c.hiddenSize), \(kinds.joined(separator: ", "))"),
            ("vocabulary", "\(Format.grouped(c.vocabularySize)) tokens"),
            ("weights", "\(Format.bytes(model.weightByteCount)), matrices in \(model.weightSummary)"),
        ]
        if let policy = stored.policy { lines.append(("rounding", policy)) }
        lines += [
            ("read per token", Format.bytes(model.weightByteCountPerToken)),
            (
                "state",
                Format.bytes(model.stateByteCount)
                    + (c.stateGrows ? ", and keys and values of every token" : "")
            ),
        ]
        show(lines, runner, stored)
    }

    private func show(_ lines: [(String, String)], _ runner: SequenceRunner, _ stored: StoredWeights) {
        let threads = runner.threadCount
        let more = [
            ("processor", "\(runner.instructionSet), \(threads) thread\(threads == 1 ? "" : "s")"),
            ("verified", verify ? "all weights are finite" : "no: --verify reads all weights"),
        ]
        for (name, value) in lines + more {
            Console.result(name + String(repeating: " ", count: max(1, 16 - name.count)) + value)
        }
        Console.result("\n" + stored.table)
    }

    private func showEncoderDecoder(_ path: String) throws {
        let model = try EncoderDecoderModel(path: path, stateType: model.stateType)
        if verify { try model.verify() }
        let runner = try EncoderDecoderRunner(
            model, threads: self.model.threads ?? SequenceRunner.defaultThreadCount)
        let c = model.configuration
        let stored = try StoredWeights(path: path)
        if json {
            return try Console.json([
                "model": .string(path), "parameters": .int(model.parameterCount),
                "weight_bytes": .int(model.weightByteCount),
                "element_types": .array(model.elementTypes.map { .string($0) }), "verified": .bool(verify),
                "state_bytes_per_token": .int(model.stateByteCountPerToken),
                "state_dtype": .string(model.stateType.rawValue), "stored": stored.tree,
                "encoder_layers": .int(c.encoderLayerCount), "decoder_layers": .int(c.decoderLayerCount),
                "hidden_size": .int(c.hiddenSize), "vocabulary_size": .int(c.vocabularySize),
                "feed_forward": .string(c.feedForward.rawValue), "tied_output": .bool(c.tiedOutput),
                "threads": .int(runner.threadCount), "instruction_set": .string(runner.instructionSet),
            ])
        }
        var lines: [(String, String)] = [
            ("parameters", Format.grouped(model.parameterCount)),
            (
                "layers",
                "\(c.encoderLayerCount) of the encoder and \(c.decoderLayerCount) of the decoder, of width"
                    + " \(c.hiddenSize), \(c.feedForward.rawValue)"
            ),
            ("vocabulary", "\(Format.grouped(c.vocabularySize)) tokens"),
            ("weights", "\(Format.bytes(model.weightByteCount)), matrices in \(model.weightSummary)"),
        ]
        if let policy = stored.policy { lines.append(("rounding", policy)) }
        lines.append(
            ("state", Format.bytes(model.stateByteCountPerToken) + " per token of source and output"))
        show(lines, runner, stored)
    }
}
