import Foundation
import RetNetCheckpoints
import RetNetDistributed
import RetNetModels
import RetNetSettings
import RetNetTorch

/// Everything that decides a training run; read from YAML or JSON and from assignments like `seed=7`.
///
/// A file holds the settings of both parts at its root, as in
///
///     model: {preset: retnet-3m, dropout: {residual: 0.1}}     data: {paths: [stories.txt], length: 512}
///     optimizer: {learning_rate: 1e-3}     steps: 1000     evaluation: {every: 100}
public struct RunConfiguration<Task: TrainingTask>: Sendable, Equatable {
    /// Model, data and loss.
    public var task: Task.Configuration
    /// Optimization, precision, seed, and intervals of measurements and checkpoints.
    public var training: TrainingConfiguration

    /// A configuration of both parts.
    public init(task: Task.Configuration, training: TrainingConfiguration = .init()) {
        self.task = task
        self.training = training
    }

    /// Reads a configuration; throws `SettingsError` with everything that is wrong with it.
    ///
    /// Later settings of the same name win, as in `assignments`, which are laid over the document. Settings of `model`
    /// are laid over those of the preset or folder that the document names.
    public init(_ document: SettingsDocument, assignments: [SettingsAssignment] = []) throws {
        var document = document
        // The base comes first, so that assignments find the settings that they change.
        for assignment in assignments where ["model.preset", "initial_model"].contains(assignment.path) {
            try document.apply(assignment)
        }
        try Self.fitVocabulary(of: &document, assignments)
        if let base = try Task.Configuration.baseModel(of: document) {
            document.merge(["model": base.merging(document.tree.value(at: "model") ?? [:])])
        }
        var whole = document
        for assignment in assignments where assignment.listPath == nil { try whole.apply(assignment) }
        let defaults = try Task.Configuration.defaults(for: whole)
        for assignment in assignments {
            // An element is changed in the list that holds by default.
            if let path = assignment.listPath, document.tree.value(at: path) == nil,
                let list = TrainingConfiguration(whole.reader, over: defaults.training).settings.value(
                    at: path)
            {
                try document.set(path, to: list)
            }
            try document.apply(assignment)
        }
        let reader = document.reader
        task = Task.Configuration(reader, over: defaults.task)
        training = TrainingConfiguration(reader, over: defaults.training)
        try reader.finish()
    }

    /// Reads the configuration that the run in a folder was started with; throws `SettingsError`.
    public init(runFolder path: String) throws {
        let url = URL(fileURLWithPath: RunFolder(path: path).configurationPath)
        try self.init(SettingsDocument(contentsOf: url))
    }

    /// All settings under their names in configuration files.
    public var settings: SettingsTree { task.settings.merging(training.settings) }

    /// The configuration as YAML, which ``init(_:assignments:)`` reads.
    public var yamlText: String { settings.yamlText() }

    /// Returns the configuration with absolute paths and every automatic choice made.
    ///
    /// Throws `SettingsError` when the model is not sound.
    public func resolved(on device: Device = .cpu) throws -> RunConfiguration {
        try checkMesh()
        var result = self
        result.task = try task.resolved()
        result.training.precision = training.precision.resolved(on: device)
        if case .steps(let count) = training.duration {
            result.training.schedule = training.schedule.resolved(stepCount: count)
        }
        return result
    }

    /// Throws ``TrainingError/unsuitableMesh(mesh:reason:)`` where ranks cannot share the run as the mesh says.
    func checkMesh() throws {
        let mesh = training.distribution.mesh
        var reason = task.refusal(of: mesh)
        if reason == nil, (mesh[.tensor] ?? 1) > 1, training.optimizer.kind != .adamW {
            reason =
                "the optimizer '\(training.optimizer.kind.rawValue)' needs whole parameters on every rank; of parts, as the axis"
                + " 'tensor' makes them, the optimizer 'adamw' can have some"
        }
        if let reason {
            throw TrainingError.unsuitableMesh(mesh: mesh.description, reason: reason)
        }
    }

    // MARK: Resuming

    /// Settings that do not change what a step does.
    ///
    /// Changed data and another tokenizer are found by their checksums, so their places may change. The length of the
    /// run may change too, and with it the rest of the learning rate's course.
    private static var changeableKeys: [String] {
        [
            "steps", "tokens", "epochs", "log", "evaluation", "sample", "checkpoint", "distributed",
        ] + placeKeys + Task.Configuration.changeableKeys
    }

    /// Settings that name places, which may differ from machine to machine.
    private static var placeKeys: [String] { ["data.paths", "data.validation_paths", "data.tokenizer"] }

    /// Everything that ranks of one run must have in common, by path.
    func sharedSettings() -> [(name: String, value: String)] {
        let places = Self.placeKeys + ["initial_model"]
        return Self.leaves(settings).filter { !places.contains($0.key) }.map { setting in
            let text = setting.value.string ?? (try? setting.value.jsonText()) ?? setting.value.summary
            return (
                name: setting.key, value: text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            )
        }.sorted { $0.name < $1.name }
    }

    /// Returns the paths of settings that differ from another configuration's and decide the course of a run.
    public func decisiveDifferences(from other: RunConfiguration) -> [String] {
        let (own, others) = (Self.leaves(settings), Self.leaves(other.settings))
        return Set(own.keys).union(others.keys).filter { key in
            own[key] != others[key]
                && !Self.changeableKeys.contains { key == $0 || key.hasPrefix($0 + ".") }
        }.sorted()
    }

    /// Throws ``TrainingError/configurationChanged(keys:)`` unless the run in a folder can be resumed with this.
    ///
    /// A folder without a configuration belongs to a run that died before its first step: anything fits.
    func checkResumable(in folder: RunFolder) throws {
        guard FileManager.default.fileExists(atPath: folder.configurationPath) else { return }
        let begun = try RunConfiguration(runFolder: folder.path)
        var keys = decisiveDifferences(from: begun)
        // What was trained at the beginning stays, so another recipe would mean nothing.
        if try task.tokenizerRecipe() != nil, task.tokenizerName != begun.task.tokenizerName {
            keys.append("data.tokenizer")
        }
        guard keys.isEmpty else { throw TrainingError.configurationChanged(keys: keys) }
    }

    /// Takes over the warm-up of the run in a folder unless this configuration was given one of its own.
    ///
    /// The default follows from the length of the run, which may change when it is resumed; its warm-up must not.
    mutating func adoptWarmup(of folder: RunFolder) throws {
        guard training.schedule.warmupShare < 1,
            FileManager.default.fileExists(atPath: folder.configurationPath)
        else { return }
        let begun = try RunConfiguration(runFolder: folder.path).training.schedule
        training.schedule.warmupStepCount = begun.warmupStepCount
        training.schedule.warmupShare = begun.warmupShare
    }

    private static func leaves(_ tree: SettingsTree, path: String = "") -> [String: SettingsTree] {
        guard let object = tree.object else { return [path: tree] }
        var result: [String: SettingsTree] = [:]
        for entry in object.entries {
            let name = path.isEmpty ? entry.key : path + "." + entry.key
            result.merge(leaves(entry.value, path: name)) { first, _ in first }
        }
        return result
    }
}

extension RunConfiguration: SettingsDocumented {
    /// One row per setting of a configuration file.
    public static var settingsRows: [SettingsRow] {
        Task.Configuration.settingsRows + TrainingConfiguration.settingsRows
    }
}

extension TaskConfiguration {
    /// Looks up the preset that `model.preset` names; returns nil where it is left out.
    ///
    /// Throws `SettingsError` with the place of a name that is not known.
    static func preset<Value>(of document: SettingsDocument, _ lookUp: (String) throws -> Value) throws
        -> Value?
    {
        guard let found = document.tree.value(at: "model.preset"), found != .null else { return nil }
        do {
            return try lookUp(found.string ?? found.summary)
        } catch let error as PresetError {
            let problem = SettingsProblem(
                kind: .contradiction, path: "model.preset", allowed: error.description,
                position: document.positions["model.preset"])
            throw SettingsError([problem], sourceName: document.sourceName)
        }
    }
}
