import Foundation
import RetNetReporting
import RetNetSettings

/// Runs a recipe in a folder: measures the units that have no result yet and writes the report.
public struct Experiment {
    private let recipe: any Recipe
    private let type: any Recipe.Type
    private let context: ExperimentContext
    private let folder: String

    /// All recipes: those of RetNet in the order of its paper, then those of AltUp.
    public static var recipes: [any Recipe.Type] {
        [
            ScalingRecipe.self, TrainingCostRecipe.self, InferenceCostRecipe.self, ArchitecturesRecipe.self,
            AblationsRecipe.self, ContextLengthRecipe.self, RecallRecipe.self, AltUpRecipe.self,
            AltUpT5Recipe.self, AltUpBlocksRecipe.self, SequenceAltUpRecipe.self, AltUpExpertsRecipe.self,
        ]
    }

    /// Returns the recipe of a name; throws ``ExperimentError/unknownRecipe(_:suggestion:known:)``.
    public static func recipe(named name: String) throws -> any Recipe.Type {
        guard let recipe = recipes.first(where: { $0.name == name }) else {
            let known = recipes.map { $0.name }
            throw ExperimentError.unknownRecipe(
                name, suggestion: NameMatcher.nearest(to: name, in: known), known: known)
        }
        return recipe
    }

    /// Creates an experiment from a recipe.
    public init(_ type: any Recipe.Type, context: ExperimentContext, folder: String) throws {
        recipe = try type.init(context)
        self.type = type
        self.context = context
        self.folder = folder
    }

    /// Returns the cost of the experiment if it should be considered before the start.
    public func estimate() throws -> ExperimentCost? { try recipe.estimate() }

    /// Measures the units that have no result yet and writes the report; returns the path of `report.md`.
    ///
    /// Throws ``ExperimentError/interrupted`` soon after `isInterrupted` returns true; results of finished units are
    /// kept.
    @discardableResult
    public func run(isInterrupted: @escaping () -> Bool = { false }, showsProgress: Bool = true) throws
        -> String
    {
        let settings = settings
        let store = try ResultStore(folder: folder, settings: settings)
        let units = try recipe.units()
        var results = try units.map { try store.result($0.id) }
        let weights = units.map { max(1, Int(($0.weight * 100).rounded())) }
        // Units with a result count as done at the start, so that only new work counts for the time left.
        var done = zip(results, weights).reduce(0) { $0 + ($1.0 == nil ? 0 : $1.1) }
        let bar =
            showsProgress ? ProgressBar(title: type.name, total: weights.reduce(0, +), startStep: done) : nil
        defer { bar?.finish() }
        for (index, unit) in units.enumerated() where results[index] == nil {
            results[index] = try measure(unit, isInterrupted) { remark, fraction in
                let part = Double(weights[index]) * min(max(fraction ?? 0, 0), 1)
                bar?.update(step: done + Int(part), metrics: [ProgressMetric("\(unit.id) \(remark)")])
            }
            try results[index].map { try store.save($0) }
            done += weights[index]
            bar?.update(step: done, metrics: [ProgressMetric(unit.id)])
        }
        let finished = results.compactMap { $0 }
        var report = try recipe.report(finished)
        for section in conditions(settings, finished) { report.add(section) }
        // The store holds the lock of the folder.
        try withExtendedLifetime(store) { try report.write(to: folder, results: finished) }
        return folder + "/report.md"
    }

    /// All settings that results depend on.
    private var settings: [String: String] {
        var settings = recipe.settings
        settings["recipe"] = type.name
        settings["scale"] = context.scale.rawValue
        settings["seeds"] = context.seeds.map(String.init).joined(separator: " ")
        settings["contenders"] = context.contenders?.joined(separator: " ") ?? "those of the recipe"
        settings["element type"] = context.computeType.rawValue
        if type.readsTexts { settings["texts"] = context.texts.fingerprint }
        if !context.learningRates.isEmpty {
            settings["learning rates"] = context.learningRates.sorted { $0.key < $1.key }
                .map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        }
        return settings
    }

    private func measure(
        _ unit: ExperimentUnit, _ isInterrupted: @escaping () -> Bool,
        _ show: @escaping (_ remark: String, _ fraction: Double?) -> Void
    ) throws -> UnitResult {
        if isInterrupted() { throw ExperimentError.interrupted }
        let start = ContinuousClock.now
        let progress = ExperimentUnit.Progress(reportFraction: { remark, fraction in
            show(remark, fraction)
            if isInterrupted() { throw ExperimentError.interrupted }
        })
        let values: [String: Double]
        do {
            values = try unit.measure(progress)
        } catch {
            // Ctrl-C also ends measuring processes, whose failure is then only a consequence.
            if isInterrupted() { throw ExperimentError.interrupted }
            if error is ExperimentError { throw error }
            throw ExperimentError.failed(unit: unit.id, reason: "\(error)")
        }
        return UnitResult(
            id: unit.id, contender: unit.contender, seed: unit.seed, values: values,
            seconds: (ContinuousClock.now - start) / .seconds(1))
    }

    /// The end of every report: all settings, the time, and the grades of published numbers.
    private func conditions(_ settings: [String: String], _ results: [UnitResult])
        -> [ExperimentReport.Section]
    {
        var table = MarkdownTable(header: ["setting", "value"], alignments: [.left, .left])
        for (key, value) in settings.sorted(by: { $0.key < $1.key }) { table.append([key, value]) }
        table.append(["repetitions", "\(context.seeds.count)"])
        table.append(["units", "\(results.count)"])
        table.append([
            "time of all units", Format.duration(seconds: results.reduce(0) { $0 + $1.seconds }),
        ])
        let grades = PublishedValue.Grade.allCases.map { "*\($0.rawValue)*: \($0.explanation)" }
        return [
            .heading("Conditions"), .table(table),
            .text(
                "Numbers under \"published\" or \"paper\" are those of other authors and were not measured here."
                    + " Their grades: \(grades.joined(separator: "; "))."),
        ]
    }
}

/// An experiment that cannot be run or continued.
public enum ExperimentError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// No recipe has that name.
    case unknownRecipe(String, suggestion: String?, known: [String])
    /// The folder holds results of other settings or data.
    case otherSettings(folder: String, differences: [String])
    /// Another process is running an experiment in the folder.
    case inUse(folder: String)
    /// A result file cannot be read.
    case unreadableResult(path: String, reason: String)
    /// The experiment was interrupted; results of finished units are kept.
    case interrupted
    /// A unit of an experiment failed.
    case failed(unit: String, reason: String)
    /// A text or an option is not usable.
    case unusable(String)

    /// The fault and its remedy.
    public var description: String {
        switch self {
        case .unknownRecipe(let name, let suggestion, let known):
            "unknown recipe '\(name)': "
                + (suggestion.map { "did you mean '\($0)'?" }
                    ?? "choose one of \(known.joined(separator: ", "))")
        case .otherSettings(let folder, let differences):
            "'\(folder)' holds results of other settings (\(differences.joined(separator: "; "))): choose another"
                + " folder, or use the same settings to resume"
        case .inUse(let folder):
            "another experiment is running in '\(folder)': wait for it to end, or choose another folder"
        case .unreadableResult(let path, let reason):
            "'\(path)' is not a result of this experiment (\(reason)): remove it to have that unit measured again"
        case .interrupted: "interrupted: run the same experiment again to resume it"
        case .failed(let unit, let reason): "unit '\(unit)' failed: \(reason)"
        case .unusable(let reason): reason
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
