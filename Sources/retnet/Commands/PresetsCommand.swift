import ArgumentParser
import RetNetCommandLine
import RetNetModels
import RetNetReporting
import RetNetSettings

/// `retnet presets`: the list of presets.
struct PresetsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "presets", abstract: "List the presets with their sizes.")

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        var table = TextTable(
            header: ["preset", "parameters", "state", "summary"],
            alignments: [.left, .right, .right, .left])
        var entries: [SettingsTree] = []
        var encoderDecoders: [SettingsTree] = []
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
        for preset in T5Preset.all {
            let accounting = try T5Accounting(preset.configuration)
            let cache = 4 * accounting.cacheElementCount(sourceLength: 512, targetLength: 114)
            table.append([
                preset.name, Format.count(accounting.parameterCount), Format.bytes(cache), preset.summary,
            ])
            encoderDecoders.append([
                "name": .string(preset.name), "summary": .string(preset.summary),
                "parameters": .int(accounting.parameterCount),
                "hidden_size": .int(preset.configuration.hiddenSize), "cache_bytes": .int(cache),
            ])
        }
        if json {
            try Console.json(["presets": .array(entries), "t5_presets": .array(encoderDecoders)])
        } else {
            Console.result(table.text())
        }
    }
}
