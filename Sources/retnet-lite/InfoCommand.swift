import ArgumentParser
import Foundation
import RetNetCommandLine
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
        let model = try RuntimeModel(path: model.model, stateType: model.stateType)
        if verify {
            if FileManager.default.fileExists(
                atPath: self.model.model + "/" + AtomicFolder.checksumsFileName)
            {
                try AtomicFolder.verify(self.model.model)
            }
            try model.verify()
        }
        let runner = try self.model.runner(model)
        let c = model.configuration
        let mixers = c.pattern.map(\.mixer.kind.rawValue)
        let kinds = mixers.indices.filter { mixers.firstIndex(of: mixers[$0]) == $0 }.map { mixers[$0] }
        if json {
            return try Console.json([
                "model": .string(model.path), "parameters": .int(model.parameterCount),
                "weight_bytes": .int(model.weightByteCount),
                "weight_bytes_per_token": .int(model.weightByteCountPerToken),
                "element_types": .array(model.elementTypes.map { .string($0) }),
                "verified": .bool(verify),
                "state_bytes": .int(model.stateByteCount), "state_dtype": .string(model.stateType.rawValue),
                "state_grows": .bool(c.stateGrows),
                "layers": .int(c.layerCount), "hidden_size": .int(c.hiddenSize),
                "vocabulary_size": .int(c.vocabularySize), "mixers": .array(kinds.map { .string($0) }),
                "threads": .int(runner.threadCount), "instruction_set": .string(runner.instructionSet),
            ])
        }
        let lines: [(String, String)] = [
            ("parameters", "\(model.parameterCount)"),
            ("layers", "\(c.layerCount) of width \(c.hiddenSize), \(kinds.joined(separator: ", "))"),
            ("vocabulary", "\(c.vocabularySize) tokens"),
            (
                "weights",
                "\(model.weightByteCount) bytes, matrices in \(model.elementTypes.joined(separator: ", "))"
            ),
            ("read per token", "\(model.weightByteCountPerToken) bytes"),
            (
                "state",
                "\(model.stateByteCount) bytes" + (c.stateGrows ? ", and keys and values of every token" : "")
            ),
            ("verified", verify ? "all weights are finite" : "no: --verify reads all weights"),
            ("processor", "\(runner.instructionSet), \(runner.threadCount) threads"),
        ]
        for (name, value) in lines {
            Console.result(name + String(repeating: " ", count: max(1, 16 - name.count)) + value)
        }
    }
}
