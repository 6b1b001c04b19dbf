import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetSettings

extension T5TrainingConfiguration {
    /// Reads a configuration; throws `SettingsError` with everything that is wrong with it.
    ///
    /// `model.preset` names a preset and `initial_model` a folder; other settings of `model` are laid over theirs. Later
    /// settings of the same name win, as in `assignments` (`path=value`, the texts of `--set` options), which are laid
    /// over the document. Throws `StorageError` too, where the folder of `initial_model` cannot be read.
    public init(_ document: SettingsDocument, assignments: [String] = []) throws {
        var document = document
        // The base comes first, so that assignments find what they change.
        let bases = ["model.preset=", "initial_model="]
        for assignment in assignments where bases.contains(where: assignment.hasPrefix) {
            try document.apply(assignment: assignment)
        }
        if let base = try Self.base(of: document) {
            let changes = document.tree.value(at: "model") ?? [:]
            document.merge(["model": base.settings.merging(changes)])
        }
        let optimizer = document.tree.value(at: "optimizer") ?? [:]
        let kind =
            TrainingConfiguration.assigned("optimizer.kind", assignments)
            ?? optimizer.value(at: "kind")?.string
        if kind == "adamw", optimizer.value(at: "betas") == nil {
            let standard = OptimizerConfiguration()
            document.merge([
                "optimizer": ["betas": [.double(standard.beta1), .double(standard.beta2)]]
            ])
        }
        for assignment in assignments { try document.apply(assignment: assignment) }
        let reader = document.reader
        self.init(reader)
        try reader.finish()
    }

    /// The architecture that changes are laid over; nil where all of it is written out.
    private static func base(of document: SettingsDocument) throws -> T5Configuration? {
        func named(_ key: String) -> String? {
            guard let found = document.tree.value(at: key), found != .null else { return nil }
            return found.string ?? found.summary
        }
        // Where the architecture is written out, as runs write it, the folder need not be there any more.
        let isComplete = document.tree.value(at: "model.vocabulary_size") != nil
        if let folder = named("initial_model"), named("model.preset") == nil, !isComplete {
            return try T5Folder.configuration(of: RunFolder.modelPath(for: folder))
        }
        return try document.preset { try T5Preset.named($0).configuration }
    }

    private init(_ reader: SettingsReader) {
        let modelReader = reader.object("model")
        // Known, so that it is not reported; it has been looked up already.
        _ = modelReader.has("preset")
        self.init(model: T5Configuration(reading: modelReader))
        initialModel = reader.optionalString("initial_model")
        data = T5DataConfiguration(reader.optionalObject("data"))
        if data.learnsTasks { applyFineTuningDefaults() }
        let own = reader.optionalObject("optimizer")
        var standard = optimizer
        if own?.tree("kind")?.string == OptimizerConfiguration.Kind.adamW.rawValue {
            standard = OptimizerConfiguration()
        }
        optimizer = OptimizerConfiguration(own, defaults: standard)
        schedule = ScheduleConfiguration(reader.optionalObject("schedule"), defaults: schedule)
        lossGuard = GuardConfiguration(reader.optionalObject("guard"), defaults: lossGuard)
        monitoring = MonitoringConfiguration(reader, defaults: monitoring)
        duration = RunDuration.read(reader, default: duration)
        accumulationCount = reader.int("accumulation", in: 1...1_000_000, default: accumulationCount)
        precision = reader.enumeration("precision", default: precision)
        zLoss = reader.double("z_loss", in: SettingsRange.nonNegative, default: zLoss)
        seed = UInt64(reader.int("seed", in: 0...Int.max, default: Int(seed)))
    }

    /// The configuration that the run in a folder was started with; throws `SettingsError`.
    public init(runFolder path: String) throws {
        let url = URL(fileURLWithPath: RunFolder(path: path).configurationPath)
        try self.init(written: SettingsDocument(contentsOf: url))
    }

    /// What a run wrote, with everything written out: the folder that it began with may be gone.
    private init(written document: SettingsDocument) throws {
        let reader = document.reader
        self.init(reader)
        try reader.finish()
    }

    /// All settings under their names in configuration files.
    public var settings: SettingsTree {
        var object: SettingsObject = ["model": model.settings]
        if let initialModel { object["initial_model"] = .string(initialModel) }
        let rest: SettingsTree = [
            "data": data.settings, "optimizer": optimizer.settings, "schedule": schedule.settings,
            "guard": lossGuard.settings, duration.setting.key: duration.setting.value,
            "accumulation": .int(accumulationCount), "precision": .string(precision.rawValue),
            "z_loss": .double(zLoss), "seed": .int(Int(clamping: seed)),
        ]
        return SettingsTree.object(object).merging(rest).merging(monitoring.settings)
    }

    /// The configuration as YAML, which ``init(_:assignments:)`` reads.
    public var yamlText: String { settings.yamlText() }

    /// The settings for the folder of a run; data and tokenizer are found by checksums, so their places may change.
    var runSettings: RunSettings {
        RunSettings(
            tree: settings,
            changeableKeys: [
                "steps", "tokens", "epochs", "log", "evaluation", "sample", "checkpoint", "initial_model",
                "data.paths", "data.validation_paths", "data.tokenizer",
            ], read: { try T5TrainingConfiguration(written: $0).settings })
    }
}
