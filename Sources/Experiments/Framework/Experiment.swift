import Foundation
import Reporting

/// Runs a recipe in a folder: what is missing is done, and the report is written at the end.
public struct Experiment {
    private let recipe: any Recipe
    private let name: String
    private let context: ExperimentContext
    private let folder: String

    /// All recipes, in the order of the paper.
    public static let recipes: [any Recipe.Type] = [
        ScalingRecipe.self, TrainingCostRecipe.self, InferenceCostRecipe.self, ArchitecturesRecipe.self,
        AblationsRecipe.self, ContextLengthRecipe.self,
    ]

    /// The recipe of a name; throws ``ExperimentError/unknownRecipe(_:suggestion:known:)``.
    public static func recipe(named name: String) throws -> any Recipe.Type {
        guard let recipe = recipes.first(where: { $0.name == name }) else {
            let known = recipes.map { $0.name }
            let prefix = known.first { $0.hasPrefix(name.prefix(3)) && name.count > 2 }
            throw ExperimentError.unknownRecipe(name, suggestion: prefix, known: known)
        }
        return recipe
    }

    /// An experiment by its recipe's name.
    public init(_ type: any Recipe.Type, context: ExperimentContext, folder: String) throws {
        recipe = try type.init(context)
        name = type.name
        self.context = context
        self.folder = folder
    }

    /// What the experiment would cost, where that needs thought before it starts.
    public func estimate() throws -> ExperimentCost? { try recipe.estimate() }

    /// Does what is not done yet and writes the report; returns the path of `report.md`.
    ///
    /// Throws ``ExperimentError/interrupted`` soon after `isInterrupted` has become true; finished parts are kept.
    @discardableResult
    public func run(isInterrupted: @escaping () -> Bool = { false }, showsProgress: Bool = true) throws -> String {
        var settings = recipe.settings
        settings["recipe"] = name
        settings["scale"] = context.scale.rawValue
        settings["texts"] = context.texts.fingerprint
        settings["seeds"] = context.seeds.map(String.init).joined(separator: " ")
        settings["contenders"] = context.contenders?.joined(separator: " ") ?? "those of the recipe"
        settings["element type"] = context.computeType.rawValue
        let store = try RunStore(folder: folder, settings: settings)
        let units = try recipe.units()
        let weights = units.map { max(1, Int($0.weight.rounded())) }
        let bar = showsProgress ? ProgressBar(title: name, total: weights.reduce(0, +)) : nil
        var results: [UnitResult] = []
        var done = 0
        for (unit, weight) in zip(units, weights) {
            if let result = try store.result(unit.id) {
                results.append(result)
            } else {
                results.append(try finish(unit, store, bar, done, isInterrupted))
            }
            done += weight
            bar?.update(step: done, metrics: [ProgressMetric(unit.id)])
        }
        bar?.finish()
        try recipe.report(results).write(to: folder, results: results)
        return folder + "/report.md"
    }

    private func finish(
        _ unit: ExperimentUnit, _ store: RunStore, _ bar: ProgressBar?, _ done: Int,
        _ isInterrupted: @escaping () -> Bool
    ) throws -> UnitResult {
        if isInterrupted() { throw ExperimentError.interrupted }
        let start = ContinuousClock.now
        let progress = ExperimentUnit.Progress { remark in
            bar?.update(step: done, metrics: [ProgressMetric("\(unit.id) \(remark)")])
            if isInterrupted() { throw ExperimentError.interrupted }
        }
        let values: [String: Double]
        do {
            values = try unit.run(progress)
        } catch let error as ExperimentError {
            throw error
        } catch {
            throw ExperimentError.failed(unit: unit.id, reason: "\(error)")
        }
        let result = UnitResult(
            id: unit.id, contender: unit.contender, seed: unit.seed, values: values,
            seconds: (ContinuousClock.now - start) / .seconds(1))
        try store.save(result)
        return result
    }
}
