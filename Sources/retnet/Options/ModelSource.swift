import ArgumentParser
import RetNetCheckpoints
import RetNetModels

/// A preset or a trained model, for commands that need only the architecture.
struct ModelSource: ParsableArguments {
    @Option(help: ArgumentHelp("A preset; `retnet presets` lists them.", valueName: "name"))
    var preset: String?

    @Option(help: ArgumentHelp("A model folder, a checkpoint, or the folder of a run.", valueName: "dir"))
    var model: String?

    func validate() throws {
        if (preset == nil) == (model == nil) { throw ValidationError("give either --preset or --model") }
        if let preset, encoderDecoderPreset == nil { _ = try Self.preset(named: preset) }
    }

    /// What the user called it.
    var name: String { preset ?? model ?? "" }

    /// The architecture.
    ///
    /// Throws for encoder-decoders, which ``encoderDecoder()`` knows.
    func configuration() throws -> LanguageModelConfiguration {
        if try encoderDecoder() != nil {
            throw CommandError("'\(name)' is an encoder-decoder: see `retnet t5` and `retnet bench t5`")
        }
        if let preset { return try Self.preset(named: preset).configuration }
        return try ModelFolder.configuration(of: ModelOptions.modelPath(model ?? ""))
    }

    /// The architecture of a T5; nil for other models.
    func encoderDecoder() throws -> T5Configuration? {
        if preset != nil { return encoderDecoderPreset?.configuration }
        let path = try ModelOptions.modelPath(model ?? "")
        return T5Folder.recognizes(path) ? try T5Folder.configuration(of: path) : nil
    }

    private var encoderDecoderPreset: T5Preset? { T5Preset.all.first { $0.name == preset } }

    /// The preset of a name; an unknown one is a mistake in the command line.
    static func preset(named name: String) throws -> Preset {
        do {
            return try Preset.named(name)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
