import Foundation
import RetNetModels
import RetNetPlots
import RetNetReporting
import RetNetStorage
import RetNetText

/// Contenders that are trained on one text and scored, with the parts of their report: the runner of all text recipes.
struct TextComparison: RecipeComparison {
    /// Returns numbers about a trained model by name.
    typealias Score = (_ model: LanguageModel, _ training: TextTraining, _ progress: ExperimentUnit.Progress)
        throws -> [String: Double]

    let context: ExperimentContext
    let contenders: [Contender]
    let training: TextTraining
    /// The sizes of a model by name, which belong to its results.
    private let sizes: (LanguageModelConfiguration) throws -> [String: Double]
    private let score: Score

    /// Creates a comparison that scores the validation text and all domains.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for learning rates of models that do not take part.
    init(context: ExperimentContext, contenders: [Contender], settings: TextTraining.Settings) throws {
        try self.init(
            context: context, contenders: contenders, settings: settings,
            sizes: { configuration in
                let accounting = try ModelAccounting(configuration)
                return [
                    "parameters": Double(accounting.parameterCount),
                    "block_parameters": Double(
                        accounting.parameters.mixers + accounting.parameters.feedForwards),
                    "state_numbers": Double(accounting.stateElementCount(tokenCount: settings.length)),
                ]
            }, score: Self.textScores)
    }

    /// Creates a comparison with scores of its own.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for learning rates of models that do not take part.
    init(
        context: ExperimentContext, contenders: [Contender], settings: TextTraining.Settings,
        sizes: @escaping (LanguageModelConfiguration) throws -> [String: Double] = { _ in [:] },
        score: @escaping Score
    ) throws {
        self.context = context
        var settings = settings
        settings.unit = context.texts.unit
        training = TextTraining(context: context, settings: settings)
        try context.checkLearningRates(of: Set(contenders.map(\.key)).sorted())
        self.contenders = contenders.map { contender in
            var result = contender
            // They are made for bytes; texts may be tokens.
            result.configuration.vocabularySize = context.texts.training.vocabularySize
            result.learningRate = context.learningRates[contender.key] ?? contender.learningRate
            return result
        }
        self.sizes = sizes
        self.score = score
    }

    /// Settings that results depend on: training and models.
    var settings: [String: String] {
        let models = contenders.map { $0.fingerprint + " \($0.learningRate ?? 0)" }.joined(separator: " ")
        return [
            "training": training.settings.text,
            "models": Checksum.hexadecimal(Checksum.crc32(Data(models.utf8))),
        ]
    }

    /// Returns one unit per contender and seed, ordered by seed, so that an early stop leaves complete comparisons.
    func units() throws -> [ExperimentUnit] {
        let costs = try contenders.map { try ModelAccounting($0.configuration).trainingFLOPsPerToken }
        let largest = Double(costs.max() ?? 1)
        return context.seeds.flatMap { seed in
            zip(contenders, costs).map { contender, cost in
                ExperimentUnit(
                    id: "\(contender.slug)-seed\(seed)", contender: contender.name, seed: seed,
                    weight: 10 * Double(cost) / largest
                ) { progress in
                    let results = try training.values(
                        contender.configuration, seed: seed, learningRate: contender.learningRate, progress
                    ) { try score($0, training, progress) }
                    return try sizes(contender.configuration).merging(results) { $1 }
                }
            }
        }
    }

    /// Returns the work of all units; nil at the smallest scale.
    func estimate() throws -> ExperimentCost? {
        guard context.scale != .tiny else { return nil }
        var cost = ExperimentCost(trainingFLOPs: 0, tokenCount: 0, modelCount: 0, largestByteCount: 0)
        for contender in contenders {
            let accounting = try ModelAccounting(contender.configuration)
            let tokens = Double(training.settings.tokenCount) * Double(context.seeds.count)
            cost.trainingFLOPs += tokens * Double(accounting.trainingFLOPsPerToken)
            cost.tokenCount += tokens
            cost.modelCount += context.seeds.count
            cost.largestByteCount = max(
                cost.largestByteCount,
                accounting.trainingByteCount(mixedPrecision: context.computeType == .bfloat16))
        }
        if context.scale == .paper {
            cost.remarks.append(
                "Sizes, tokens and schedule are those of the paper as far as it states them. It states neither"
                    + " tokenizer, vocabulary nor text; the given text is read as \(context.texts.unit).")
        }
        return cost
    }

    // MARK: Scores

    /// Nats per byte of the validation text and of every domain.
    private static func textScores(
        _ model: LanguageModel, _ training: TextTraining, _ progress: ExperimentUnit.Progress
    ) throws -> [String: Double] {
        let texts = training.context.texts
        var values = ["validation": try training.natsPerByte(model, texts.validation)]
        for (index, domain) in texts.domains.enumerated() {
            values[key(domain: domain.name)] = try training.natsPerByte(model, domain.stream)
            let share = Double(index + 2) / Double(texts.domains.count + 1)
            try progress.report("scored \(domain.name)", fraction: 0.9 + 0.1 * share)
        }
        return values
    }

    /// Returns the name of a domain's score, which no other value has.
    private static func key(domain: String) -> String { "domain \(domain)" }

    /// The columns of scores: the validation text, then the domains.
    private var columns: [(key: String, title: String)] {
        [("validation", "in-domain")] + context.texts.domains.map { (Self.key(domain: $0.name), $0.name) }
    }

    // MARK: Report

    /// The methods, for the start of a report.
    func method() -> ExperimentReport.Section {
        let size = contenders[0].configuration
        return .text(
            """
            **Methods.** \(contenders.count) contenders with \(size.layerCount) layers of width \
            \(size.hiddenSize), \(context.seeds.count) seeds each, all with the same order of text, number of \
            tokens, schedule and parameter budget: \(training.settings.text). \(rates)\(context.texts.origin) \
            Forward and backward passes in \(context.computeType.rawValue). Figures are means ± standard deviations \
            over seeds.
            """)
    }

    /// Learning rates that differ from that of the comparison, as a sentence.
    var rates: String {
        let own = contenders.filter {
            $0.learningRate != nil && $0.learningRate != training.settings.learningRate
        }
        guard !own.isEmpty else { return "" }
        let list = own.map { "\($0.name) \($0.learningRate ?? 0)" }.joined(separator: ", ")
        return "Different learning rates: \(list). "
    }

    /// Returns a table of the sizes and scores of all contenders.
    func scoreTable(_ results: [UnitResult]) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["contender", "parameters", "in blocks", "state"]
                + columns.map { "\($0.title) (nats/byte)" }
                + ["in-domain (bits/byte)"],
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: columns.count + 4))
        for contender in contenders {
            func size(_ key: String) -> String {
                results.sample(contender.name, key).mean.map { Format.count($0) } ?? "–"
            }
            let bits = Sample(results.sample(contender.name, "validation").values.map { $0 / log(2) })
            table.append(
                [contender.name, size("parameters"), size("block_parameters"), size("state_numbers")]
                    + columns.map { results.sample(contender.name, $0.key).text(decimals: 3) }
                    + [bits.text(decimals: 3)])
        }
        return table
    }

    /// Returns a sentence on the contenders that diverged; nil for none.
    func divergence(_ results: [UnitResult]) -> ExperimentReport.Section? {
        let counts = contenders.compactMap { contender -> String? in
            let count = results.sample(contender.name, "diverged").count
            return count > 0 ? "\(contender.name) with \(count) of \(context.seeds.count) seeds" : nil
        }
        guard !counts.isEmpty else { return nil }
        return .text("**Diverged and not included in the means:** \(counts.joined(separator: ", ")).")
    }

    /// Returns gaps to a base: those here in nats per byte and published ones in nats per token on a similar text.
    func gapTable(_ results: [UnitResult], base: String, published: PublishedTable) -> MarkdownTable {
        var titles: [String] = []
        for column in columns {
            titles.append("\(column.title), here")
            if let theirs = Self.published(column.title, in: published) { titles.append("\(theirs), paper") }
        }
        var table = MarkdownTable(
            header: ["gap to \(base) (nats)"] + titles,
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: titles.count))
        for contender in contenders where contender.name != base {
            var row = [contender.name]
            for column in columns {
                row.append(
                    Self.gap(results.sample(contender.name, column.key), results.sample(base, column.key))
                        .map(Self.signed) ?? "–")
                guard let theirs = Self.published(column.title, in: published) else { continue }
                row.append(
                    Self.publishedGap(contender.name, base: base, theirs, in: published).map(Self.signed)
                        ?? "–")
            }
            table.append(row)
        }
        return table
    }

    /// Compares the in-domain order of contenders and base with the published one, in one paragraph.
    func agreement(_ results: [UnitResult], base: String, published: PublishedTable) -> String {
        var (agree, differ, open): ([String], [String], [String]) = ([], [], [])
        let own = results.sample(base, "validation")
        for contender in contenders where contender.name != base {
            guard let gap = Self.publishedGap(contender.name, base: base, "in-domain", in: published) else {
                continue
            }
            let sample = results.sample(contender.name, "validation")
            if own.isClearlyBelow(sample) {
                if gap < 0 { differ.append(contender.name) } else { agree.append(contender.name) }
            } else if sample.isClearlyBelow(own) {
                if gap < 0 { agree.append(contender.name) } else { differ.append(contender.name) }
            } else {
                open.append(contender.name)
            }
        }
        func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }
        return
            "**Order relative to \(base), in domain:** agrees with the paper: \(list(agree)); differs:"
            + " \(list(differ)); not decided by these seeds: \(list(open))."
            + " (Decided: the means differ by more than the sum of both standard deviations.)"
    }

    /// Returns a chart of the in-domain scores.
    func chart(_ results: [UnitResult], title: String) -> BarChart {
        let samples = contenders.map { results.sample($0.name, "validation") }
        return BarChart(
            title: title, subtitle: "held-out text, mean and standard deviation of seeds; lower is better",
            categories: contenders.map(\.name), valueAxis: ChartAxis("nats per byte"),
            series: [
                BarChart.Series(
                    name: "", values: samples.map(\.mean), errors: samples.map(\.standardDeviation))
            ], mark: .points)
    }

    // MARK: Gaps

    /// Returns the difference of two means.
    static func gap(_ sample: Sample, _ base: Sample) -> Double? {
        guard let mean = sample.mean, let baseMean = base.mean else { return nil }
        return mean - baseMean
    }

    /// Returns the difference of two published perplexities of a column, in nats.
    static func publishedGap(_ contender: String, base: String, _ column: String, in table: PublishedTable)
        -> Double?
    {
        let name = table.rows.map(\.name).first { contender == $0 || contender.hasPrefix($0 + "-") }
        guard let name, let ours = table.value(name, column), let reference = table.value(base, column) else {
            return nil
        }
        return log(ours.value / reference.value)
    }

    /// Returns the published column that corresponds to a column here: the same name, or PG22 for novels.
    static func published(_ column: String, in table: PublishedTable) -> String? {
        let name = column == "novels" ? "PG22" : column
        return table.columns.contains(name) ? name : nil
    }

    /// Returns a number with its sign.
    static func signed(_ value: Double) -> String {
        (value < 0 ? "−" : "+") + Format.fixed(abs(value), decimals: 3)
    }
}
