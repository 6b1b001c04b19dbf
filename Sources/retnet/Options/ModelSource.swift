import ArgumentParser
import Checkpoints
import Models

/// A preset or a trained model, for commands that need only the architecture.
struct ModelSource: ParsableArguments {
    @Option(help: ArgumentHelp("A preset; `retnet presets` lists them.", valueName: "name"))
    var preset: String?

    @Option(help: ArgumentHelp("A model folder, a checkpoint, or the folder of a run.", valueName: "dir"))
    var model: String?

    func validate() throws {
        if (preset == nil) == (model == nil) { throw ValidationError("give either --preset or --model") }
        if let preset { _ = try Self.preset(named: preset) }
    }

    /// What the user called it.
    var name: String { preset ?? model ?? "" }

    /// The architecture.
    func configuration() throws -> LanguageModelConfiguration {
        if let preset { return try Self.preset(named: preset).configuration }
        return try ModelFolder.configuration(of: ModelOptions.modelPath(model ?? ""))
    }

    /// The preset of a name; an unknown one is a mistake in the command line.
    static func preset(named name: String) throws -> Preset {
        do {
            return try Preset.named(name)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
