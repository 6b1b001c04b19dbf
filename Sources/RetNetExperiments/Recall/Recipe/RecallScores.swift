import RetNetReporting

/// The results of the recall recipe by task and contender.
struct RecallScores {
    let plans: [TaskPlan]
    let contenders: [RecallContender]
    let results: [UnitResult]

    /// The plan of a name, if it took part.
    func plan(_ name: String) -> TaskPlan? { plans.first { $0.name == name } }

    /// The results of a contender in a task, one a seed.
    ///
    /// Where all learning rates were tried, those of the rate that did best on validation examples in the mean.
    func results(_ plan: TaskPlan, _ contender: RecallContender) -> [UnitResult] {
        let own = results.filter { $0.contender == contender.title && $0.id.hasPrefix(plan.name + "-") }
        guard plan.triesAllRates else { return own }
        let rates = Dictionary(grouping: own) { $0.values["learning_rate"] ?? 0 }
        func validation(_ results: [UnitResult]) -> Double {
            Sample(results.map { $0.values["validation"] ?? 0 }).mean ?? 0
        }
        // The smaller of two rates that did equally well, so that the choice does not depend on chance.
        return rates.sorted { $0.key < $1.key }.map(\.value)
            .reduce([]) { best, next in best.isEmpty || validation(next) > validation(best) ? next : best }
    }

    /// A value of all seeds.
    func sample(_ plan: TaskPlan, _ contender: RecallContender, _ key: String) -> Sample {
        Sample(results(plan, contender).compactMap { $0.values[key] })
    }

    /// The accuracy in one evaluation, the first unless told otherwise; no values where it was not measured.
    func accuracy(_ plan: TaskPlan, _ contender: RecallContender, evaluation: Int = 0) -> Sample {
        let evaluations = plan.task.evaluations
        guard evaluations.indices.contains(evaluation) else { return Sample([]) }
        return sample(plan, contender, RecallRecipe.Entry.accuracyKey(evaluations[evaluation]))
    }

    /// The accuracy by names, for claims; nil where the pair was not measured.
    func accuracy(_ task: String, _ contender: String, evaluation: Int = 0) -> Sample? {
        guard let plan = plan(task), let contender = contenders.first(where: { $0.name == contender }) else {
            return nil
        }
        let sample = accuracy(plan, contender, evaluation: evaluation)
        return sample.count > 0 ? sample : nil
    }
}
