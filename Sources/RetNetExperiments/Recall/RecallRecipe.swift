import Foundation
import RetNetModels
import RetNetReporting
import RetNetTorch

/// Synthetic tasks on which mixers differ within minutes of training, with accuracy and size of the state.
///
/// The models are too small to use several threads, so one model per thread is trained at a time.
public struct RecallRecipe: Recipe {
    /// `recall`.
    public static let name = "recall"
    /// Synthetic tasks of several papers.
    public static let summary =
        "accuracy of mixers in multi-query recall, induction and parity, with the size of the state (synthetic tasks)"
    /// False: the tasks generate their examples.
    public static let readsTexts = false

    /// A contender and a task with a seed, trained at one learning rate or at several in sequence.
    struct Entry: Sendable {
        let plan: RecallPlan
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
    let plans: [RecallPlan]
    let contenders: [RecallContender]
    private let entries: [Entry]
    private let jobs: JobQueue<[String: Double]>

    /// Plans the tasks of the scale for the requested contenders.
    public init(_ context: ExperimentContext) throws {
        self.context = context
        contenders = try context.requestedContenders(
            from: RecallContender.all, otherwise: RecallContender.all
        ) { $0.name }
        plans = try RecallPlan.plans(context.scale).map { plan in
            var plan = plan
            plan.settings.stepCount = context.steps(plan.settings.stepCount)
            return plan
        }
        // Ordered by seed, so that an early stop leaves complete comparisons.
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
        jobs = JobQueue(
            entries.map { entry in { try entry.values($0) } },
            threadCount: context.device == .cpu ? Runtime.threadCount : 1)
    }

    /// The sizes and the training of all tasks.
    public var settings: [String: String] {
        plans.reduce(into: [:]) {
            $0["task \($1.name)"] = "\($1.task.summary); \($1.model.summary); \($1.trainingSummary)"
        }
    }

    /// Returns one unit per task, contender and seed, and per learning rate if all are tried.
    public func units() throws -> [ExperimentUnit] {
        entries.enumerated().map { index, entry in
            ExperimentUnit(
                id: entry.id, contender: entry.contender.title, seed: entry.seed,
                weight: Double(entry.plan.settings.stepCount * entry.plan.task.training.lengths.upperBound)
                    / 1024, leave: { [jobs] in jobs.leave(index) }
            ) { [jobs] progress in try jobs.result(index) { try progress.report($0) } }
        }
    }

    /// Returns the work of all units without early ends; nil at the smallest scale.
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

    /// Reports accuracies, the size of the state and claims of the literature.
    public func report(_ results: [UnitResult]) throws -> ExperimentReport {
        // Jobs ahead of results that existed already would otherwise continue while the program ends.
        jobs.stop()
        return RecallReport(context: context, plans: plans, contenders: contenders, results: results).report()
    }
}

extension RecallRecipe.Entry {
    /// Returns the name of an evaluation's accuracy among the values.
    static func accuracyKey(_ split: TaskSplit) -> String { "accuracy, \(split.name)" }

    /// The model.
    var configuration: LanguageModelConfiguration { contender.configuration(for: plan) }

    /// Trains at each learning rate until one solves the task; returns the values of the one that validates best.
    func values(_ report: (String) throws -> Void) throws -> [String: Double] {
        var best: RecallTraining.Outcome?
        var seconds = 0.0
        for rate in rates {
            var settings = plan.settings
            settings.learningRate = rate
            var training = RecallTraining(
                task: plan.task, configuration: configuration, settings: settings, seed: seed)
            training.device = device
            let outcome = try training.run { step, accuracy in
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
