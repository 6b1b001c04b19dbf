import Foundation

/// A metric of a task, with its values per document, its aggregation and its standard error as the harness has them.
public enum TaskMetric: String, Sendable, CaseIterable {
    /// The share of questions whose right choice has the largest log-likelihood, or is given greedily.
    case accuracy = "acc"
    /// The same with log-likelihoods divided by the Unicode code points of the choice.
    case normalizedAccuracy = "acc_norm"
    /// The same with log-likelihoods divided by the UTF-8 bytes of the choice.
    case byteAccuracy = "acc_bytes"
    /// exp of the negative mean log-likelihood of the targets.
    case perplexity
    /// exp of the negative log-likelihood per word of the original text.
    case wordPerplexity = "word_perplexity"
    /// exp of the negative log-likelihood per byte of the original text.
    case bytePerplexity = "byte_perplexity"
    /// The negative log-likelihood in bits per byte of the original text.
    case bitsPerByte = "bits_per_byte"

    /// True for accuracies.
    public var isHigherBetter: Bool {
        switch self {
        case .accuracy, .normalizedAccuracy, .byteAccuracy: true
        default: false
        }
    }

    /// The name of the aggregation in the harness.
    var aggregation: String {
        switch self {
        case .accuracy, .normalizedAccuracy, .byteAccuracy: "mean"
        case .perplexity: "perplexity"
        case .wordPerplexity, .bytePerplexity: "weighted_perplexity"
        case .bitsPerByte: "bits_per_byte"
        }
    }

    /// The value of a document: a number, or a log-likelihood with the words or bytes that it is divided by.
    public enum Value: Sendable, Equatable {
        case number(Double)
        case weighted(Double, Int)

        /// The number, or the log-likelihood.
        public var first: Double {
            switch self {
            case .number(let value), .weighted(let value, _): value
            }
        }
    }

    /// Returns the value of a question for the answers to its requests.
    func value(_ question: TaskQuestion, _ answers: [RequestScore]) -> Value {
        let scores = answers.map(\.logLikelihood)
        switch question {
        case .choices(_, let choices, let gold):
            return .number(Self.prediction(scores, lengths: lengths(choices)) == gold ? 1 : 0)
        case .contexts(let contexts, _, let gold):
            // The harness divides by the lengths of the contexts; no such task has normalized metrics.
            return .number(Self.prediction(scores, lengths: lengths(contexts)) == gold ? 1 : 0)
        case .continuation:
            if self == .perplexity { return .number(scores.first ?? .nan) }
            return .number(answers.first?.isGreedy == true ? 1 : 0)
        case .text(_, let original):
            let count = self == .wordPerplexity ? PythonText.splitCount(original) : original.utf8.count
            return .weighted(scores.first ?? .nan, count)
        }
    }

    private func lengths(_ choices: [String]) -> [Int]? {
        switch self {
        case .normalizedAccuracy: choices.map(\.unicodeScalars.count)
        case .byteAccuracy: choices.map(\.utf8.count)
        default: nil
        }
    }

    /// Returns the first index of the largest score, as `numpy.argmax`, for which NaN is the largest.
    static func prediction(_ scores: [Double], lengths: [Int]? = nil) -> Int {
        let values = lengths.map { zip(scores, $0).map { $0 / Double($1) } } ?? scores
        var best = 0
        for (index, value) in values.enumerated() where !values[best].isNaN {
            if value.isNaN || value > values[best] { best = index }
        }
        return best
    }

    // MARK: Aggregation

    /// Returns the figure of a task; nil without documents.
    public func aggregate(_ values: [Value]) -> Double? {
        guard !values.isEmpty else { return nil }
        switch self {
        case .accuracy, .normalizedAccuracy, .byteAccuracy: return PythonStatistics.mean(values.map(\.first))
        case .perplexity: return exp(-PythonStatistics.mean(values.map(\.first)))
        case .wordPerplexity, .bytePerplexity: return exp(-Self.weightedMean(values))
        case .bitsPerByte: return -Self.weightedMean(values) / log(2)
        }
    }

    private static func weightedMean(_ values: [Value]) -> Double {
        var weights = 0
        for case .weighted(_, let weight) in values { weights += weight }
        return values.reduce(0) { $0 + $1.first } / Double(weights)
    }

    /// Returns the standard error; nil where the harness has none and for fewer than two documents.
    ///
    /// That of means is their sample standard error, that of perplexity comes from `iterations` bootstrap samples, drawn
    /// from Python's generator in blocks of 1,000 with the seeds 0, 1, 2 and so on. 0 iterations turn all of them off.
    public func standardError(_ values: [Value], iterations: Int = 100_000) -> Double? {
        guard iterations > 0, values.count > 1 else { return nil }
        switch self {
        case .accuracy, .normalizedAccuracy, .byteAccuracy:
            return PythonStatistics.meanError(values.map(\.first))
        case .perplexity:
            return PythonStatistics.bootstrapError(values.map(\.first), iterations: iterations) { exp(-$0) }
        case .wordPerplexity, .bytePerplexity, .bitsPerByte: return nil
        }
    }
}

/// Sums and deviations in the order and precision of the harness's Python code.
///
/// Python up to 3.11 adds floats one after the other; later versions compensate, which can change the last digit.
enum PythonStatistics {
    static func mean(_ values: [Double]) -> Double {
        values.reduce(0, +) / Double(values.count)
    }

    /// Returns `sample_stddev(values)`.
    static func deviation(_ values: [Double]) -> Double {
        let mean = mean(values)
        // Python squares by pow(), whose last digit may differ from that of a product.
        let sum = values.reduce(0) { $0 + power($1 - mean, exponent) }
        return (sum / Double(values.count - 1)).squareRoot()
    }

    /// Returns `mean_stderr(values)`.
    static func meanError(_ values: [Double]) -> Double {
        deviation(values) / Double(values.count).squareRoot()
    }

    /// Returns `bootstrap_stderr` of a function of the mean.
    static func bootstrapError(
        _ values: [Double], iterations: Int, _ statistic: @Sendable (_ mean: Double) -> Double
    ) -> Double? {
        let blockSize = min(1000, iterations)
        let blockCount = iterations / blockSize
        guard blockCount * blockSize > 1 else { return nil }
        var results = [Double](repeating: 0, count: blockCount * blockSize)
        let count = Double(values.count)
        results.withUnsafeMutableBufferPointer { results in
            // Each block has a place of its own.
            nonisolated(unsafe) let results = results
            DispatchQueue.concurrentPerform(iterations: blockCount) { block in
                var random = PythonRandom(seed: UInt64(block))
                values.withUnsafeBufferPointer { values in
                    for iteration in 0..<blockSize {
                        var sum = 0.0
                        for _ in 0..<values.count { sum += values[random.choice(count)] }
                        results[block * blockSize + iteration] = statistic(sum / count)
                    }
                }
            }
        }
        return deviation(results)
    }

    /// Kept out of the optimizer's sight, which would turn a power of two into a product.
    @inline(never) private static func power(_ base: Double, _ exponent: Double) -> Double {
        pow(base, exponent)
    }
    @inline(never) @_optimize(none) private static func two() -> Double { 2 }
    private static var exponent: Double { two() }
}
