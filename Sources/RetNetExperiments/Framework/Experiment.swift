import Foundation
import RetNetEvaluation
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
    /// With `ranks`, which all see the folder, each measures some of the units; speed is measured by rank 0 while the others
    /// wait. Throws ``ExperimentError/interrupted`` soon after `isInterrupted` returns true, on all ranks; results of
    /// finished units are kept.
    @discardableResult
    public func run(
        isInterrupted: @escaping () -> Bool = { false }, showsProgress: Bool = true,
        ranks: (any MeasuringRanks)? = nil
    ) throws -> String {
        let settings = settings
        let store = try open(settings, ranks)
        let units = try recipe.units()
        let known = try units.map { try store.result($0.id) != nil }
        let isDone = try ranks?.gatheredValues(known, "the results that are there")[0] ?? known
        let rank = ranks?.rank ?? 0
        let owners = Self.owners(of: units, isDone, rankCount: ranks?.count ?? 1)
        for index in units.indices where !isDone[index] && owners[index] != rank { units[index].leave() }
        let weights = units.map { max(1, Int(($0.weight * 100).rounded())) }
        let own = units.indices.filter { owners[$0] == rank || isDone[$0] }
        // Units with a result count as done at the start, so that only new work counts for the time left.
        var done = own.reduce(0) { $0 + (isDone[$1] ? weights[$1] : 0) }
        let bar =
            showsProgress && rank == 0
            ? ProgressBar(title: type.name, total: own.reduce(0) { $0 + weights[$1] }, startStep: done) : nil
        defer { bar?.finish() }
        // With ranks, what measures speed comes when the others have finished.
        let phases: [Bool?] = ranks == nil ? [nil] : [false, true]
        for measuresSpeed in phases {
            try together(ranks) {
                for index in own where !isDone[index] {
                    let unit = units[index]
                    guard measuresSpeed.map({ $0 == unit.measuresSpeed }) ?? true else { continue }
                    let result = try measure(unit, isInterrupted) { remark, fraction in
                        let part = Double(weights[index]) * min(max(fraction ?? 0, 0), 1)
                        bar?.update(step: done + Int(part), metrics: [ProgressMetric("\(unit.id) \(remark)")])
                    }
                    try store.save(result)
                    done += weights[index]
                    bar?.update(step: done, metrics: [ProgressMetric(unit.id)])
                }
            }
        }
        guard rank == 0 else { return folder + "/report.md" }
        let finished = try units.compactMap { try store.result($0.id) }
        guard finished.count == units.count else {
            throw ExperimentError.unusable(
                "results of other ranks are missing in '\(folder)': all ranks need the same folder")
        }
        var report = try recipe.report(finished)
        for section in conditions(settings, finished) { report.add(section) }
        // The store holds the lock of the folder.
        try withExtendedLifetime(store) { try report.write(to: folder, results: finished) }
        return folder + "/report.md"
    }

    /// Opens the folder of the results: rank 0 first, which locks it, then the others.
    private func open(_ settings: [String: String], _ ranks: (any MeasuringRanks)?) throws -> ResultStore {
        guard let ranks else { return try ResultStore(folder: folder, settings: settings) }
        let own = ranks.rank == 0 ? try ResultStore(folder: folder, settings: settings) : nil
        let all = try ranks.gatheredValues(settings, "opening the folder of the results")
        for (rank, other) in all.enumerated() where other != all[0] {
            let names = Set(other.keys).union(all[0].keys).filter { other[$0] != all[0][$0] }.sorted()
            throw ExperimentError.unusable(
                "rank \(rank) has other settings than rank 0 (\(names.joined(separator: ", "))): give all ranks the same"
                    + " command and files")
        }
        return try own ?? ResultStore(joining: folder)
    }

    /// Returns the rank that measures each unit: the largest first, each to who has least; speed is for rank 0.
    private static func owners(of units: [ExperimentUnit], _ isDone: [Bool], rankCount: Int) -> [Int] {
        var loads = [Double](repeating: 0, count: rankCount)
        var owners = [Int](repeating: 0, count: units.count)
        let shared = units.indices.filter { !isDone[$0] && !units[$0].measuresSpeed }
        for index in shared.sorted(by: { (units[$1].weight, $0) < (units[$0].weight, $1) }) {
            let rank = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            loads[rank] += units[index].weight
            owners[index] = rank
        }
        return owners
    }

    /// Runs a body and waits for the other ranks; where one was interrupted, all end so.
    private func together(_ ranks: (any MeasuringRanks)?, _ body: () throws -> Void) throws {
        guard let ranks else { return try body() }
        var isInterrupted = false
        do {
            try body()
        } catch ExperimentError.interrupted {
            isInterrupted = true
        }
        if try ranks.gatheredValues(isInterrupted, "the units of all ranks").contains(true) {
            throw ExperimentError.interrupted
        }
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
