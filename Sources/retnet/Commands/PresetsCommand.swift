import ArgumentParser
import Models
import Reporting
import Settings

/// `retnet presets`: the architectures that have names.
struct PresetsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "presets", abstract: "List the presets with their sizes.")

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        var table = TextTable(
            header: ["preset", "parameters", "state", "what it is"],
            alignments: [.left, .right, .right, .left])
        var entries: [SettingsTree] = []
        for preset in Preset.all {
            let accounting = try ModelAccounting(preset.configuration)
            let configuration = preset.configuration
            table.append([
                preset.name, Format.count(accounting.parameterCount),
                Format.bytes(accounting.stateByteCount(tokenCount: 2048)),
                preset.summary,
            ])
            entries.append([
                "name": .string(preset.name), "summary": .string(preset.summary),
                "source": .string(preset.source), "parameters": .int(accounting.parameterCount),
                "hidden_size": .int(configuration.hiddenSize), "layers": .int(configuration.layerCount),
                "vocabulary_size": .int(configuration.vocabularySize),
                "state_bytes": .int(accounting.stateByteCount(tokenCount: 2048)),
            ])
        }
        if json {
            try Console.json(["presets": .array(entries)])
        } else {
            Console.result(table.text())
        }
    }
}
