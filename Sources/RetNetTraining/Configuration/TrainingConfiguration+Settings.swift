import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings

extension TrainingConfiguration {
    /// Reads a configuration; throws `SettingsError` with everything that is wrong with it.
    ///
    /// `model.preset` names a preset, whose recipe gives the defaults of optimiser and schedule; other settings
    /// of `model` are laid over the preset's. Later settings of the same name win, as in `assignments`
    /// (`path=value`, the texts of `--set` options), which are laid over the document.
    public init(_ document: SettingsDocument, assignments: [String] = []) throws {
        var document = document
        // The preset and the lists of the defaults come first, so that assignments find what they change.
        for assignment in assignments where assignment.hasPrefix("model.preset=") {
            try document.apply(assignment: assignment)
        }
        let preset = try Self.preset(of: document)
        if let preset, let changes = document.tree.value(at: "model") {
            document.merge(["model": preset.configuration.settings.merging(changes)])
        }
        let optimizer = document.tree.value(at: "optimizer") ?? [:]
        let kind = Self.assigned("optimizer.kind", assignments) ?? optimizer.value(at: "kind")?.string
        if optimizer.object != nil, kind ?? "adamw" == "adamw",
            document.tree.value(at: "optimizer.betas") == nil
        {
            let betas =
                preset?.recipe.betas ?? [OptimizerConfiguration().beta1, OptimizerConfiguration().beta2]
            document.merge(["optimizer": ["betas": .array(betas.map { .double($0) })]])
        }
        for assignment in assignments { try document.apply(assignment: assignment) }
        let reader = document.reader
        self.init(reader, preset: preset)
        try reader.finish()
    }

    /// The text that the last assignment gives to a setting.
    static func assigned(_ path: String, _ assignments: [String]) -> String? {
        assignments.last { $0.hasPrefix(path + "=") }.map { String($0.dropFirst(path.count + 1)) }
    }

    /// The configuration that the run in a folder was started with; throws `SettingsError`.
    public init(runFolder path: String) throws {
        let url = URL(fileURLWithPath: RunFolder(path: path).configurationPath)
        try self.init(try SettingsDocument(contentsOf: url))
    }

    /// The run that a preset's recipe describes, without text.
    public init(preset: Preset) {
        self.init(model: preset.configuration)
        apply(preset.recipe)
    }

    private init(_ reader: SettingsReader, preset: Preset?) {
        let modelReader = reader.object("model")
        // Known, so that it is not reported; it has been looked up already.
        _ = modelReader.has("preset")
        self.init(model: LanguageModelConfiguration(reading: modelReader))
        if let preset { apply(preset.recipe) }
        data = DataConfiguration(reader.optionalObject("data"), defaults: data)
        optimizer = OptimizerConfiguration(reader.optionalObject("optimizer"), defaults: optimizer)
        schedule = ScheduleConfiguration(reader.optionalObject("schedule"), defaults: schedule)
        lossGuard = GuardConfiguration(reader.optionalObject("guard"), defaults: lossGuard)
        monitoring = MonitoringConfiguration(reader, defaults: monitoring)
        duration = RunDuration.read(reader, default: duration)
        accumulationCount = reader.int("accumulation", in: 1...1_000_000, default: accumulationCount)
        precision = reader.enumeration("precision", default: precision)
        recomputesActivations = reader.bool("recompute_activations", default: recomputesActivations)
        seed = UInt64(reader.int("seed", in: 0...Int.max, default: Int(seed)))
        readForm(reader)
        if data.mode == .contiguous, model.stateGrows {
            reader.reportContradiction(
                "data.mode",
                "carrying the state over all text needs a state of fixed size, and this model's grows; use 'shuffled'"
            )
        }
    }

    private mutating func readForm(_ reader: SettingsReader) {
        guard let text = reader.optionalString("form"), text != "auto" else { return }
        guard let form = MixerForm(parsing: text), form != .recurrent else {
            reader.report("form", allowed: "'auto', 'parallel' or 'chunkwise:N'")
            return
        }
        self.form = form
        if let obstacle = model.unsupportedReason(for: form) { reader.reportContradiction("form", obstacle) }
    }

    private static func preset(of document: SettingsDocument) throws -> Preset? {
        try document.preset { try Preset.named($0) }
    }

    /// All settings under their names in configuration files.
    public var settings: SettingsTree {
        let head: SettingsTree = [
            "model": model.settings, "data": data.settings, "optimizer": optimizer.settings,
            "schedule": schedule.settings, "guard": lossGuard.settings,
            duration.setting.key: duration.setting.value, "accumulation": .int(accumulationCount),
            "form": .string(form?.description ?? "auto"), "precision": .string(precision.rawValue),
            "recompute_activations": .bool(recomputesActivations),
            "seed": .int(Int(clamping: seed)),
        ]
        return head.merging(monitoring.settings)
    }

    /// The configuration as YAML, which ``init(_:assignments:)`` reads.
    public var yamlText: String { settings.yamlText() }
}
