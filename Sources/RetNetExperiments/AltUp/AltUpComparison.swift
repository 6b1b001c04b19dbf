import Foundation
import RetNetModels
import RetNetReporting
import RetNetStorage
import RetNetTorch

/// What the recipes around AltUp share: models of several families trained alike, scored, and timed in turns.
struct AltUpComparison: RecipeComparison {
    let context: ExperimentContext
    let plan: AltUpPlan
    let rows: [AltUpRow]
    /// How decoder-only models are trained.
    let textRun: TextRun
    /// How T5 is trained; nil where there is none.
    let t5Run: T5Run?

    /// The contender of units that measure latency.
    static let latencyContender = "latency of all models"

    /// All combinations of families, variants and sizes that exist and were asked for.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for unknown contenders and learning rates of models that do not take
    /// part.
    init(
        _ context: ExperimentContext, plan: AltUpPlan, families: [AltUpFamily], sizes: [AltUpPlan.Size],
        variants: [(variant: AltUpVariant, sizes: ClosedRange<Int>)]
    ) throws {
        self.context = context
        self.plan = plan
        func rows(_ families: [AltUpFamily]) -> [AltUpRow] {
            families.flatMap { family in
                variants.flatMap { variant, range in
                    sizes.indices.filter { range.contains($0) }.compactMap { index in
                        AltUpRow(family, variant, sizes[index], namesSize: sizes.count > 1)
                    }
                }
            }
        }
        let all = rows(AltUpFamily.allCases)
        let own = rows(families)
        let keys = all.reduce(into: [String]()) { if !$0.contains($1.key) { $0.append($1.key) } }
        let asked = context.contenders == ["all"] ? keys : context.contenders
        let ownKeys = own.reduce(into: [String]()) { if !$0.contains($1.key) { $0.append($1.key) } }
        let picked = try Contender.picked(asked, from: keys, otherwise: ownKeys) { $0 }
        if let stranger = context.learningRates.keys.sorted().first(where: { !picked.contains($0) }) {
            throw ExperimentError.unusable(
                "no contender '\(stranger)' takes part that could have a learning rate; there are"
                    + " \(picked.joined(separator: ", "))")
        }
        self.rows = all.filter { picked.contains($0.key) }.map { row in
            var row = row
            row.learningRate = context.learningRates[row.key] ?? row.learningRate
            return row
        }
        textRun = TextRun(context: context, settings: plan.decoder)
        t5Run =
            self.rows.contains { $0.family == .t5 } ? try T5Run(context: context, settings: plan.t5) : nil
    }

    /// The families that take part.
    var families: [AltUpFamily] {
        AltUpFamily.allCases.filter { family in rows.contains { $0.family == family } }
    }
    /// The variants that take part, in the order of the recipe.
    var variants: [AltUpVariant] {
        rows.reduce(into: []) { if !$0.contains($1.variant) { $0.append($1.variant) } }
    }
    /// The model of a family, variant and size.
    func row(_ family: AltUpFamily, _ variant: AltUpVariant, _ size: String) -> AltUpRow? {
        rows.first { $0.family == family && $0.variant == variant && $0.size == size }
    }

    // MARK: Recipe

    /// What results depend on.
    var settings: [String: String] {
        var settings = ["machine": context.machine, "rounds of latency": "\(plan.roundCount)"]
        settings["models"] = Checksum.hexadecimal(
            Checksum.crc32(Data(rows.map(\.fingerprint).joined(separator: " ").utf8)))
        if rows.contains(where: { $0.family != .t5 }) { settings["training"] = textRun.settings.text }
        if let t5Run {
            settings["pretraining of T5"] = t5Run.settings.text
            if let text = t5Run.settings.tuning?.text { settings["fine-tuning of T5"] = text }
            settings["tasks"] = t5Run.taskText
        }
        return settings
    }

    /// One unit a model and seed, and one that measures latency after those of a seed.
    func units() throws -> [ExperimentUnit] {
        let costs = try rows.map { Double(try work($0).flops) }
        let largest = max(1, costs.max() ?? 1)
        return context.seeds.flatMap { seed in
            let runs = sideBySide(seed: seed)
            return zip(rows, costs).enumerated().map { index, entry in
                let (row, cost) = entry
                return ExperimentUnit(
                    id: "\(row.slug)-seed\(seed)", contender: row.name, seed: seed,
                    weight: 10 * cost / largest
                ) { progress in
                    guard let runs else { return try values(row, seed: seed, progress) }
                    return try runs.result(index) { try progress.report($0) }
                }
            } + [
                ExperimentUnit(
                    id: "latency-seed\(seed)", contender: Self.latencyContender, seed: seed, weight: 2
                ) { progress in
                    // Nothing else may run: models of this seed whose results were there already, say.
                    runs?.stop()
                    return try AltUpLatency(context: context, plan: plan).values(rows, seed: seed, progress)
                }
            ]
        }
    }

    /// The models of a seed, one a thread; nil where they are large enough to take all threads.
    private func sideBySide(seed: Int) -> LookAhead<[String: Double]>? {
        guard context.scale == .tiny, context.device == .cpu, Runtime.threadCount > 1 else { return nil }
        // Runs share nothing but texts, which none of them changes.
        struct Run: @unchecked Sendable {
            let values: (ExperimentUnit.Progress) throws -> [String: Double]
        }
        return LookAhead(
            rows.map { row in
                let run = Run { try values(row, seed: seed, $0) }
                return { report in
                    try withoutActuallyEscaping(report) { report in
                        try run.values(ExperimentUnit.Progress { try report($0) })
                    }
                }
            }, threadCount: Runtime.threadCount)
    }

    private func values(_ row: AltUpRow, seed: Int, _ progress: ExperimentUnit.Progress) throws
        -> [String: Double]
    {
        let parameters = try row.parameters()
        var values = [
            "parameters": Double(parameters.all), "end_parameters": Double(parameters.ends),
        ]
        switch row.architecture {
        case .decoder(let model):
            let scores = try textRun.scores(
                model, seed: seed, learningRate: row.learningRate, progress)
            values.merge(scores) { $1 }
        case .encoderDecoder(let model):
            guard let t5Run else { break }
            let scores = try t5Run.values(model, seed: seed, learningRate: row.learningRate, progress)
            values.merge(scores) { $1 }
        }
        return values
    }

    /// FLOPs and tokens of training one model with one seed.
    private func work(_ row: AltUpRow) throws -> (flops: Double, tokens: Double) {
        switch row.architecture {
        case .decoder(let model):
            let tokens = Double(plan.decoder.tokenCount)
            return (tokens * Double(try ModelAccounting(model).trainingFLOPsPerToken), tokens)
        case .encoderDecoder(let model):
            return try plan.t5.work(T5Accounting(model))
        }
    }

    /// The work of all units; nil at the smallest scale.
    func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        var cost = ExperimentCost(trainingFLOPs: 0, tokenCount: 0, modelCount: 0, largestByteCount: 0)
        let seeds = Double(context.seeds.count)
        for row in rows {
            let work = try work(row)
            cost.trainingFLOPs += work.flops * seeds
            cost.tokenCount += work.tokens * seeds
            cost.modelCount += context.seeds.count
            cost.largestByteCount = max(
                cost.largestByteCount,
                try row.trainingByteCount(mixedPrecision: context.computeType == .bfloat16))
        }
        if context.scale == .paper {
            cost.remarks.append(
                "Sizes of T5, batches, steps and schedule are the paper's as far as it states them; the text and"
                    + " the vocabulary are not: this reads bytes of the text given, not pieces of C4. Decoder-only"
                    + " models take the same widths, depths, batches and steps, for nobody has published any."
            )
        }
        return cost
    }
}
