import Foundation
import RetNetRuntime
import RetNetSampling

/// A story that goes on where it ended, also after the app was closed.
///
/// Everything that the model remembers of it is a state of 400 KB, whatever its length.
actor Storyteller {
    private let folder: RuntimeFolder
    private let generator: TextGenerator
    private let stateFile: String
    private var saved: SavedSequences?
    /// The text so far.
    private(set) var story = ""

    /// Opens the model, and the state of the last session if there is one.
    init(model: String, stateFile: String) throws {
        folder = try RuntimeFolder(path: model)
        generator = TextGenerator(try ModelRunner(folder.model), tokenizer: try folder.tokenizer)
        generator.keepsUnfinishedText = true
        self.stateFile = stateFile
        guard FileManager.default.fileExists(atPath: stateFile) else { return }
        let last = try folder.model.load(stateFile, tokenizer: generator.tokenizer)
        saved = last
        story = last.texts["story"] ?? ""
    }

    /// Adds a text to the story and lets the model go on; `onText` gets each piece as soon as it is certain.
    func tell(_ text: String, tokens: Int = 120, onText: @Sendable (String) -> Void) throws {
        var parameters = SamplingParameters(defaults: folder.defaults)
        parameters.temperature = 0.7
        parameters.maxTokens = tokens
        let result = try generator.generate([text], from: saved, parameters) { _, text in onText(text) }
        story += text + (result.first?.text ?? "")
        saved = generator.saved
    }

    /// Saves the state for the next session.
    func save() throws {
        guard var saved else { return }
        saved.texts["story"] = story
        try folder.model.save(saved, to: stateFile)
    }

    /// Begins a new story.
    func forget() {
        saved = nil
        story = ""
    }
}

extension Storyteller {
    /// The model in the bundle, and a state file among the app's own.
    static func bundled(stateFile: String? = nil) throws -> Storyteller {
        guard let model = Bundle.module.url(forResource: "Story", withExtension: nil) else {
            throw CocoaError(.fileNoSuchFile)
        }
        let files = FileManager.default
        let own = try files.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        return try Storyteller(
            model: model.path, stateFile: stateFile ?? own.appendingPathComponent("story.state").path)
    }
}
