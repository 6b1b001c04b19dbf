import Foundation
import RetNetReporting
import RetNetSettings

/// Runs a recipe in a folder: what is missing is done, and the report is written at the end.
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

    /// The recipe of a name; throws ``ExperimentError/unknownRecipe(_:suggestion:known:)``.
    public static func recipe(named name: String) throws -> any Recipe.Type {
        guard let recipe = recipes.first(where: { $0.name == name }) else {
            let known = recipes.map { $0.name }
            throw ExperimentError.unknownRecipe(
                name, suggestion: NameMatcher.nearest(to: name, in: known), known: known)
        }
        return recipe
    }

    /// An experiment by its recipe.
    public init(_ type: any Recipe.Type, context: ExperimentContext, folder: String) throws {
        recipe = try type.init(context)
        self.type = type
        self.context = context
        self.folder = folder
    }

    /// What the experiment would cost, where that needs thought before it starts.
    public func estimate() throws -> ExperimentCost? { try recipe.estimate() }

    /// Does what is not done yet and writes the report; returns the path of `report.md`.
    ///
    /// Throws ``ExperimentError/interrupted`` soon after `isInterrupted` has become true; finished parts are kept.
    @discardableResult
    public func run(isInterrupted: @escaping () -> Bool = { false }, showsProgress: Bool = true) throws
        -> String
    {
        let settings = settings
        let store = try RunStore(folder: folder, settings: settings)
        let units = try recipe.units()
        var results = try units.map { try store.result($0.id) }
        let weights = units.map { max(1, Int(($0.weight * 100).rounded())) }
        // Parts of an earlier run come first, so that only new work counts for the time left.
        var done = zip(results, weights).reduce(0) { $0 + ($1.0 == nil ? 0 : $1.1) }
        let bar =
            showsProgress ? ProgressBar(title: type.name, total: weights.reduce(0, +), startStep: done) : nil
        defer { bar?.finish() }
        for (index, unit) in units.enumerated() where results[index] == nil {
            results[index] = try finish(unit, isInterrupted) { remark, fraction in
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
        try report.write(to: folder, results: finished)
        return folder + "/report.md"
    }

    /// What results depend on, for telling folders apart.
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

    private func finish(
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
            values = try unit.run(progress)
        } catch {
            // Ctrl-C ends processes that measure too, and then it is no failure of theirs.
            if isInterrupted() { throw ExperimentError.interrupted }
            if error is ExperimentError { throw error }
            throw ExperimentError.failed(unit: unit.id, reason: "\(error)")
        }
        return UnitResult(
            id: unit.id, contender: unit.contender, seed: unit.seed, values: values,
            seconds: (ContinuousClock.now - start) / .seconds(1))
    }

    /// The foot of every report: all settings, the time, and how published numbers are graded.
    private func conditions(_ settings: [String: String], _ results: [UnitResult])
        -> [ExperimentReport.Section]
    {
        var table = MarkdownTable(header: ["setting", "value"], alignments: [.left, .left])
        for (key, value) in settings.sorted(by: { $0.key < $1.key }) { table.append([key, value]) }
        table.append(["repetitions", "\(context.seeds.count)"])
        table.append(["parts", "\(results.count)"])
        table.append([
            "time of all parts", Format.duration(seconds: results.reduce(0) { $0 + $1.seconds }),
        ])
        let grades = PublishedValue.Grade.allCases.map { "*\($0.rawValue)*: \($0.explanation)" }
        return [
            .heading("Conditions"), .table(table),
            .text(
                "Numbers under \"published\" or \"paper\" are other people's and were not measured here. Their grades:"
                    + " \(grades.joined(separator: "; "))."),
        ]
    }
}
