import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetHub
import RetNetModels
import RetNetRuntime
import RetNetText
import RetNetTorch

/// The trained model that a command works on.
struct ModelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Model folder, checkpoint, folder of a run, or OWNER/NAME[@REVISION] on the hub.",
            valueName: "dir"))
    var model: String

    /// Loads the model onto the device in one element type.
    func load(on device: Device, as type: ElementType) throws -> LoadedModel {
        try ModelFolder.load(
            modelPath(), elementType: type, device: device, computeType: type, sharesFiles: true)
    }

    /// Returns the model folder of the option.
    func modelPath() throws -> String { try Self.modelPath(model) }

    /// Returns the tokenizer that goes with a copy of a model, or nil with a warning if the folder has one that cannot be used.
    static func tokenizerToCopy(from path: String, _ read: () throws -> any Tokenizer) -> (any Tokenizer)? {
        do {
            return try read()
        } catch {
            if TokenizerLoader.hasFiles(in: path) { Console.warn("the tokenizer is not copied: \(error)") }
            return nil
        }
    }

    /// Returns the model of a path: the folder or file itself, the newest intact checkpoint of a run, or a model of the hub.
    static func modelPath(_ path: String, for purpose: HubPurpose = .model) throws -> String {
        let path = try HubModels.folder(path, for: purpose)
        guard FileManager.default.fileExists(atPath: path) else {
            throw CommandError("there is no model at '\(path)': check the path")
        }
        let file = URL(fileURLWithPath: path)
        if file.pathExtension == "json", !file.hasDirectoryPath {
            throw CommandError(
                "'\(path)' describes a model but holds no weights: give its folder, '\(file.deletingLastPathComponent().relativePath)'"
            )
        }
        return try RunFolder.modelPath(for: path) { Console.warn($0) }
    }
}

/// A preset or a trained model, for commands that need only the configuration.
struct ModelSource: ParsableArguments {
    @Option(
        parsing: .unconditional, help: ArgumentHelp("Preset; `retnet presets` lists them.", valueName: "name")
    )
    var preset: String?

    @Option(
        help: ArgumentHelp(
            "Model folder, checkpoint, folder of a run, or OWNER/NAME[@REVISION] on the hub.",
            valueName: "dir"))
    var model: String?

    func validate() throws {
        if (preset == nil) == (model == nil) { throw ValidationError("give either --preset or --model") }
        if let preset, encoderDecoderPreset == nil { _ = try Self.preset(named: preset) }
    }

    /// The name of the preset or the path of the model, as given.
    var name: String { preset ?? model ?? "" }

    /// Returns the configuration of a language model; throws for encoder-decoders.
    func configuration() throws -> LanguageModelConfiguration {
        if try encoderDecoder() != nil {
            throw CommandError("'\(name)' is an encoder-decoder: see `retnet t5` and `retnet bench t5`")
        }
        if let preset { return try Self.preset(named: preset).configuration }
        return try reading { try ModelFolder.configuration(of: $0) }
    }

    /// Returns what the files of a folder of this package say about its weights; nil for presets and other forms.
    func storedWeights() throws -> StoredWeights? {
        guard let model, HubModels.reference(model) == nil else { return nil }
        let path = try ModelOptions.modelPath(model)
        guard try T5Folder.recognizes(path) || ModelFolder.isOwn(path) else { return nil }
        // A configuration without weights has figures too.
        return try? StoredWeights(path: path)
    }

    /// Returns the configuration of a T5; nil for other models.
    func encoderDecoder() throws -> T5Configuration? {
        if preset != nil { return encoderDecoderPreset?.configuration }
        return try reading { T5Folder.recognizes($0) ? try T5Folder.configuration(of: $0) : nil }
    }

    /// Reads the configuration of the model; of a model of the hub nothing else is fetched unless it is needed.
    private func reading<R>(_ body: (String) throws -> R) throws -> R {
        let model = model ?? ""
        let path = try ModelOptions.modelPath(model, for: .configuration)
        do {
            return try body(path)
        } catch  where HubModels.reference(model) != nil {
            return try body(ModelOptions.modelPath(model))
        }
    }

    private var encoderDecoderPreset: T5Preset? { T5Preset.all.first { $0.name == preset } }

    /// Returns the preset of a name; an unknown name is a usage error.
    static func preset(named name: String) throws -> Preset {
        do {
            return try Preset.named(name)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
