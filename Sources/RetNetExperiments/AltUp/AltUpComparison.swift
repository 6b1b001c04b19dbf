import Foundation
import RetNetModels
import RetNetReporting
import RetNetStorage
import RetNetTorch

/// Models of several families with and without AltUp, trained, scored and timed: the runner of all recipes of AltUp.
struct AltUpComparison: RecipeComparison {
    let context: ExperimentContext
    let plan: AltUpPlan
    let contenders: [AltUpContender]
    /// Training of decoder-only models.
    let textTraining: TextTraining
    /// Training of T5; nil if no T5 takes part.
    let t5Training: T5Training?

    /// The contender name of units that measure latency.
    static let latencyContender = "latency of all models"

    /// Creates a comparison of all existing combinations of families, variants and sizes, or of the requested ones.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for unknown contenders and learning rates of models that do not take
    /// part.
    init(
        _ context: ExperimentContext, plan: AltUpPlan, families: [AltUpFamily], sizes: [AltUpPlan.Size],
        variants: [(variant: AltUpVariant, sizes: ClosedRange<Int>)]
    ) throws {
        self.context = context
        self.plan = plan
        let all = AltUpFamily.allCases.flatMap { family in
            variants.flatMap { variant, range in
                sizes.indices.filter { range.contains($0) }.compactMap { index in
                    AltUpContender(family, variant, sizes[index], namesSize: sizes.count > 1)
                }
            }
        }
        func keys(_ contenders: [AltUpContender]) -> [String] {
            contenders.reduce(into: []) { if !$0.contains($1.key) { $0.append($1.key) } }
        }
        let picked = try context.requestedContenders(
            from: keys(all), otherwise: keys(all.filter { families.contains($0.family) })
        ) { $0 }
        try context.checkLearningRates(of: picked)
        contenders = all.filter { picked.contains($0.key) }.map { contender in
            var contender = contender
            contender.learningRate = context.learningRates[contender.key] ?? contender.learningRate
            return contender
        }
        textTraining = TextTraining(context: context, settings: plan.decoder)
        t5Training =
            contenders.contains { $0.family == .t5 }
            ? try T5Training(context: context, settings: plan.t5) : nil
    }

    /// The families that take part.
    var families: [AltUpFamily] {
        AltUpFamily.allCases.filter { family in contenders.contains { $0.family == family } }
    }
    /// The variants that take part, in the order of the recipe.
    var variants: [AltUpVariant] {
        contenders.reduce(into: []) { if !$0.contains($1.variant) { $0.append($1.variant) } }
    }
    /// Returns the dense model of the same family and size; nil if it does not take part.
    func dense(of contender: AltUpContender) -> AltUpContender? {
        self.contender(contender.family, .dense, contender.size)
    }
    /// Returns the model of a family, variant and size; nil if it does not take part.
    func contender(_ family: AltUpFamily, _ variant: AltUpVariant, _ size: String) -> AltUpContender? {
        contenders.first { $0.family == family && $0.variant == variant && $0.size == size }
    }

    // MARK: Recipe

    /// Settings that results depend on.
    var settings: [String: String] {
        var settings = ["machine": context.machine, "rounds of latency": "\(plan.roundCount)"]
        settings["models"] = Checksum.hexadecimal(
            Checksum.crc32(Data(contenders.map(\.fingerprint).joined(separator: " ").utf8)))
        if contenders.contains(where: { $0.family != .t5 }) {
            settings["training"] = textTraining.settings.text
        }
        if let t5Training {
            settings["pretraining of T5"] = t5Training.settings.text
            if let text = t5Training.settings.tuning?.text { settings["fine-tuning of T5"] = text }
            settings["tasks"] = t5Training.taskText
        }
        return settings
    }

    /// Returns one unit per model and seed, and one per seed that measures the latency of all models.
    func units() throws -> [ExperimentUnit] {
        let costs = try contenders.map { Double(try work($0).flops) }
        let largest = max(1, costs.max() ?? 1)
        return context.seeds.flatMap { seed in
            let jobs = jobs(seed: seed)
            return zip(contenders, costs).enumerated().map { index, entry in
                let (contender, cost) = entry
                return ExperimentUnit(
                    id: "\(contender.slug)-seed\(seed)", contender: contender.name, seed: seed,
                    weight: 10 * cost / largest, leave: { jobs?.leave(index) }
                ) { progress in
                    guard let jobs else { return try values(contender, seed: seed, progress) }
                    return try jobs.result(index) { try progress.report($0) }
                }
            } + [
                ExperimentUnit(
                    id: "latency-seed\(seed)", contender: Self.latencyContender, seed: seed, weight: 2,
                    measuresSpeed: true
                ) { progress in
                    // Jobs ahead of results that existed already would disturb the measurement.
                    jobs?.stop()
                    return try AltUpLatency(context: context, plan: plan).values(
                        contenders, seed: seed, progress)
                }
            ]
        }
    }

    /// Returns jobs that train the models of a seed with one thread each; nil if models are large enough for all threads.
    private func jobs(seed: Int) -> JobQueue<[String: Double]>? {
        guard context.scale == .tiny, context.device == .cpu, Runtime.threadCount > 1 else { return nil }
        // Jobs share only texts, which they do not modify.
        struct Job: @unchecked Sendable {
            let values: (ExperimentUnit.Progress) throws -> [String: Double]
        }
        return JobQueue(
            contenders.map { contender in
                let job = Job { try values(contender, seed: seed, $0) }
                return { report in
                    try withoutActuallyEscaping(report) { report in
                        try job.values(ExperimentUnit.Progress { try report($0) })
                    }
                }
            }, threadCount: Runtime.threadCount)
    }

    private func values(_ contender: AltUpContender, seed: Int, _ progress: ExperimentUnit.Progress) throws
        -> [String: Double]
    {
        let parameters = try contender.parameters()
        let sizes = ["parameters": Double(parameters.all), "end_parameters": Double(parameters.ends)]
        let rate = contender.learningRate
        switch contender.architecture {
        case .decoder(let model):
            let text = context.texts.validation
            return try textTraining.values(model, seed: seed, learningRate: rate, progress) { trained in
                [
                    "loss": try textTraining.natsPerByte(trained, text),
                    "accuracy": try textTraining.accuracy(trained, text),
                ]
            }.merging(sizes) { $1 }
        case .encoderDecoder(let model):
            guard let t5Training else { return sizes }
            return try t5Training.values(model, seed: seed, learningRate: rate, progress)
                .merging(sizes) { $1 }
        }
    }

    /// Returns FLOPs and tokens of training one model with one seed.
    private func work(_ contender: AltUpContender) throws -> (flops: Double, tokens: Double) {
        switch contender.architecture {
        case .decoder(let model):
            let tokens = Double(plan.decoder.tokenCount)
            return (tokens * Double(try ModelAccounting(model).trainingFLOPsPerToken), tokens)
        case .encoderDecoder(let model):
            return try plan.t5.work(T5Accounting(model))
        }
    }

    /// Returns the work of all units; nil at the smallest scale.
    func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        var cost = ExperimentCost(trainingFLOPs: 0, tokenCount: 0, modelCount: 0, largestByteCount: 0)
        let seeds = Double(context.seeds.count)
        for contender in contenders {
            let work = try work(contender)
            cost.trainingFLOPs += work.flops * seeds
            cost.tokenCount += work.tokens * seeds
            cost.modelCount += context.seeds.count
            cost.largestByteCount = max(
                cost.largestByteCount,
                try contender.trainingByteCount(mixedPrecision: context.computeType == .bfloat16))
        }
        if context.scale == .paper {
            cost.remarks.append(
                "Sizes of T5, batches, steps and schedule are those of the paper as far as it states them; text and"
                    + " vocabulary are not: the given text is read as bytes instead of C4 as pieces. Decoder-only"
                    + " models have the same widths, depths, batches and steps, because none have been published."
            )
        }
        return cost
    }
}
