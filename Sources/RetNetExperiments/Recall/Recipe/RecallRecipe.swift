import Foundation
import RetNetModels
import RetNetReporting
import RetNetTorch

/// Synthetic tasks on which mixers differ in minutes, with the size of the state beside every score.
///
/// Models are far too small for a thread more than one, so as many runs as there are threads go side by side.
public struct RecallRecipe: Recipe {
    /// `recall`.
    public static let name = "recall"
    /// What it shows.
    public static let summary =
        "multi-query recall, induction and parity: accuracy beside state size (synthetic tasks)"
    /// The tasks write their own examples.
    public static let readsTexts = false

    /// One run: a contender learns a task with a seed, at one rate or at several in turn.
    struct Entry: Sendable {
        let plan: TaskPlan
        let contender: RecallContender
        let seed: Int
        let rates: [Double]
        let device: Device

        var id: String {
            let rate = plan.triesAllRates ? "-lr\(rates.first ?? 0)" : ""
            return "\(plan.name)-\(contender.name)\(rate)-seed\(seed)"
        }
    }

    let context: ExperimentContext
    let plans: [TaskPlan]
    let contenders: [RecallContender]
    private let entries: [Entry]
    private let runs: LookAhead<[String: Double]>

    /// The tasks of the scale and the contenders asked for; texts are not needed.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        contenders = try RecallContender.named(context.contenders)
        plans = try TaskPlan.plans(context.scale).map { plan in
            var plan = plan
            plan.settings.stepCount = context.steps(plan.settings.stepCount)
            return plan
        }
        // Seeds outermost, so that an early stop leaves complete comparisons.
        entries = context.seeds.flatMap { [plans, contenders] seed in
            plans.flatMap { plan in
                contenders.flatMap { contender in
                    let rates = plan.triesAllRates ? plan.learningRates.map { [$0] } : [plan.learningRates]
                    return rates.map {
                        Entry(
                            plan: plan, contender: contender, seed: seed, rates: $0,
                            device: context.device)
                    }
                }
            }
        }
        runs = LookAhead(
            entries.map { entry in { try entry.values($0) } },
            threadCount: context.device == .cpu ? Runtime.threadCount : 1)
    }

    /// The sizes of all tasks.
    public var settings: [String: String] {
        plans.reduce(into: [:]) {
            $0["task \($1.name)"] = "\($1.task.summary); \($1.model.summary); \($1.trainingSummary)"
        }
    }

    /// One unit a task, contender and seed, and where all rates are tried also a rate.
    public func units() throws -> [ExperimentUnit] {
        entries.enumerated().map { index, entry in
            ExperimentUnit(
                id: entry.id, contender: entry.contender.title, seed: entry.seed,
                weight: Double(entry.plan.settings.stepCount * entry.plan.task.training.lengths.upperBound)
                    / 1024
            ) { [runs] progress in
                try runs.result(index) { try progress.report($0) }
            }
        }
    }

    /// The work of all units without early ends, for all scales but the smallest.
    public func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        var cost = ExperimentCost(trainingFLOPs: 0, tokenCount: 0, modelCount: 0, largestByteCount: 0)
        for entry in entries {
            let plan = entry.plan
            let accounting = try ModelAccounting(entry.configuration)
            let tokens = Double(
                plan.settings.stepCount * plan.settings.batchSize * plan.task.training.lengths.upperBound)
            cost.trainingFLOPs += tokens * Double(accounting.trainingFLOPsPerToken)
            cost.tokenCount += tokens
            cost.modelCount += 1
            cost.largestByteCount = max(
                cost.largestByteCount, accounting.trainingByteCount(mixedPrecision: false))
        }
        return cost
    }

    /// Tables, plots and what the literature says.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        // Runs ahead of results that were there already would go on while the program ends.
        runs.stop()
        return RecallReport(context: context, plans: plans, contenders: contenders, results: results).report()
    }
}

extension RecallRecipe.Entry {
    /// The name of an evaluation's accuracy among the values.
    static func accuracyKey(_ split: TaskSplit) -> String { "accuracy, \(split.name)" }

    /// The model that learns.
    var configuration: LanguageModelConfiguration {
        contender.configuration(plan.place, plan.model, task: plan.task)
    }

    /// Runs at each rate until one solves the task, and gives the values of the best by validation.
    func values(_ report: (String) throws -> Void) throws -> [String: Double] {
        var best: TaskOutcome?
        var seconds = 0.0
        for rate in rates {
            var settings = plan.settings
            settings.learningRate = rate
            var run = TaskRun(task: plan.task, configuration: configuration, settings: settings, seed: seed)
            run.device = device
            let outcome = try run.run { step, accuracy in
                try report(
                    "step \(step)/\(settings.stepCount) accuracy \(Format.fixed(accuracy, decimals: 3))")
            }
            seconds += outcome.seconds
            if best.map({ outcome.validation > $0.validation }) ?? true { best = outcome }
            if outcome.stepsToGoal != nil { break }
        }
        guard let best else { return [:] }
        let accounting = try ModelAccounting(configuration)
        let state = accounting.stateElementCount(tokenCount: plan.task.training.lengths.upperBound)
        var values = [
            "validation": best.validation, "learning_rate": best.learningRate,
            "steps": Double(best.stepCount), "diverged": best.diverged ? 1 : 0,
            "parameters": Double(best.parameterCount), "state_numbers": Double(state),
            "run_seconds": seconds,
        ]
        if let steps = best.stepsToGoal { values["steps_to_goal"] = Double(steps) }
        for (split, accuracy) in zip(plan.task.evaluations, best.accuracies) {
            values[Self.accuracyKey(split)] = accuracy
        }
        return values
    }
}
