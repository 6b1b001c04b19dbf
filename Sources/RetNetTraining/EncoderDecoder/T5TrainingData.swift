import RetNetEvaluation
import RetNetModels
import RetNetText

/// What a run of a T5 learns from, and what it is measured on.
struct T5TrainingData {
    let source: any TextToTextSource
    /// Batches that are never trained on, always the same.
    let validation: [() throws -> TextToTextBatch]

    /// Reads text or tasks; throws `TextError`, `StorageError`, `EvaluationError` or ``TrainingError``.
    init(_ configuration: T5TrainingConfiguration, tokenizer: any Tokenizer) throws {
        try Self.check(tokenizer, configuration.model)
        let limit = configuration.monitoring.evaluationBatchCount
        (source, validation) =
            configuration.data.learnsTasks
            ? try Self.tasks(configuration, tokenizer, limit) : try Self.text(configuration, tokenizer, limit)
    }

    /// Throws unless the tokens and the model mean the same by their numbers.
    static func check(_ tokenizer: any Tokenizer, _ model: T5Configuration) throws {
        guard tokenizer.vocabularySize <= model.vocabularySize else {
            throw TrainingError.vocabularyTooSmall(
                modelSize: model.vocabularySize, tokenizerSize: tokenizer.vocabularySize)
        }
        if let end = tokenizer.endToken, Int(end) != model.endToken {
            throw TrainingError.unsuitableTokenizer(
                reason: "its texts end with the token \(end), and the model's with \(model.endToken)")
        }
    }

    private static func text(
        _ configuration: T5TrainingConfiguration, _ tokenizer: any Tokenizer, _ limit: Int
    ) throws -> (any TextToTextSource, [() throws -> TextToTextBatch]) {
        let own = configuration.data
        var plain = DataConfiguration()
        plain.paths = own.paths
        plain.separator = own.separator
        plain.validationPaths = own.validationPaths
        plain.validationFraction = own.validationFraction
        let data = try TrainingData(plain, tokenizer: tokenizer, seed: configuration.seed)
        let objective = try objective(own, configuration.model, tokenizer)
        let source = try ObjectiveWindows(
            stream: data.training, objective: objective, rowCount: own.batchSize,
            inputLength: own.inputLength, seed: configuration.seed)
        return (source, data.validation.map { source.evaluationBatches(of: $0, limit: limit) } ?? [])
    }

    private static func objective(
        _ data: T5DataConfiguration, _ model: T5Configuration, _ tokenizer: any Tokenizer
    ) throws -> TextObjective {
        let end = Int32(clamping: model.endToken)
        switch data.objective {
        case .prefixLanguageModel: return .prefixLanguageModel(endToken: end)
        case .languageModel: return .languageModel(endToken: end)
        case .spanCorruption:
            guard let tokenizer = tokenizer as? any SentinelTokenizer else {
                throw TrainingError.unsuitableTokenizer(
                    reason: "span corruption needs sentinels, and it has none; take data.objective=prefix_lm")
            }
            return .spanCorruption(
                try SpanCorruption(
                    sentinels: tokenizer.sentinels, endToken: end, noiseDensity: Float(data.noiseDensity),
                    meanSpanLength: Float(data.meanSpanLength)))
        }
    }

    private static func tasks(
        _ configuration: T5TrainingConfiguration, _ tokenizer: any Tokenizer, _ limit: Int
    ) throws -> (any TextToTextSource, [() throws -> TextToTextBatch]) {
        let own = configuration.data
        func pairs(_ task: TextToTextTask, _ path: String) throws -> [TokenPair] {
            try TextToTextFile.examples(task, path: path).map {
                TokenPair(
                    source: tokenizer.encode($0.input), target: tokenizer.encode($0.target),
                    endToken: Int32(clamping: configuration.model.endToken), sourceLength: own.inputLength,
                    targetLength: own.targetLength)
            }
        }
        let sets = try own.tasks.map {
            TextToTextSet(name: $0.task.rawValue, examples: try pairs($0.task, $0.path))
        }
        let source = try TextToTextMixture(
            sets: sets,
            shares: MixtureRates.shares(
                sizes: sets.map(\.examples.count), limit: own.sizeLimit, temperature: own.temperature),
            rowCount: own.batchSize, inputLength: own.inputLength, targetLength: own.targetLength,
            isPacked: own.isPacked, alignment: configuration.model.altUp?.sequence?.stride ?? 1,
            seed: configuration.seed)
        let validation = try own.tasks.flatMap { task in
            guard let path = task.validationPath else { return [TextToTextBatch]() }
            let examples = try pairs(task.task, path)
            return stride(from: 0, to: examples.count, by: own.batchSize).prefix(limit).map {
                TextToTextBatch(Array(examples[$0..<min($0 + own.batchSize, examples.count)]))
            }
        }
        return (source, validation.map { batch in { batch } })
    }
}
