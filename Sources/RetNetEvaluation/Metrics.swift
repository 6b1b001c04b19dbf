import Foundation

/// Metrics of predicted labels against true ones, without any normalization of labels.
///
/// Values are from 0 to 1, Matthews' coefficient from -1 to 1. Predictions that are no label at all, as
/// text-to-text models may generate, count as wrong.
public enum ClassificationMetrics {
    /// Returns the share of right predictions; 0 without predictions.
    public static func accuracy<Label: Equatable>(_ predictions: [Label], _ truths: [Label]) -> Double {
        let pairs = zip(predictions, truths)
        let count = min(predictions.count, truths.count)
        guard count > 0 else { return 0 }
        return Double(pairs.reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }) / Double(count)
    }

    /// Returns F1 of one label, the harmonic mean of precision and recall; 0 where neither is defined.
    public static func f1<Label: Equatable>(of label: Label, _ predictions: [Label], _ truths: [Label])
        -> Double
    {
        var (hits, predicted, actual) = (0, 0, 0)
        for (prediction, truth) in zip(predictions, truths) {
            if prediction == label { predicted += 1 }
            if truth == label { actual += 1 }
            if prediction == label, truth == label { hits += 1 }
        }
        return predicted + actual == 0 ? 0 : 2 * Double(hits) / Double(predicted + actual)
    }

    /// Returns the mean of F1 over the given labels, the metric of CommitmentBank.
    public static func meanF1<Label: Equatable>(
        over labels: [Label], _ predictions: [Label], _ truths: [Label]
    ) -> Double {
        guard !labels.isEmpty else { return 0 }
        return labels.reduce(0) { $0 + f1(of: $1, predictions, truths) } / Double(labels.count)
    }

    /// Returns Matthews' correlation coefficient for any number of labels (Gorodkin 2004); 0 where undefined.
    public static func matthews<Label: Hashable>(_ predictions: [Label], _ truths: [Label]) -> Double {
        var (predicted, actual): ([Label: Double], [Label: Double]) = ([:], [:])
        var (hits, count) = (0.0, 0.0)
        for (prediction, truth) in zip(predictions, truths) {
            predicted[prediction, default: 0] += 1
            actual[truth, default: 0] += 1
            hits += prediction == truth ? 1 : 0
            count += 1
        }
        let product = predicted.reduce(0) { $0 + $1.value * (actual[$1.key] ?? 0) }
        let predictedSquares = predicted.values.reduce(0) { $0 + $1 * $1 }
        let actualSquares = actual.values.reduce(0) { $0 + $1 * $1 }
        let denominator = (count * count - predictedSquares) * (count * count - actualSquares)
        return denominator > 0 ? (hits * count - product) / denominator.squareRoot() : 0
    }
}

/// Correlations of predicted numbers with true ones, from -1 to 1; 0 where one side is constant.
public enum CorrelationMetrics {
    /// Returns Pearson's coefficient of linear correlation.
    public static func pearson(_ predictions: [Double], _ truths: [Double]) -> Double {
        let count = min(predictions.count, truths.count)
        guard count > 1 else { return 0 }
        let (x, y) = (predictions.prefix(count), truths.prefix(count))
        let (meanX, meanY) = (x.reduce(0, +) / Double(count), y.reduce(0, +) / Double(count))
        var (xy, xx, yy) = (0.0, 0.0, 0.0)
        for (a, b) in zip(x, y) {
            xy += (a - meanX) * (b - meanY)
            xx += (a - meanX) * (a - meanX)
            yy += (b - meanY) * (b - meanY)
        }
        let denominator = (xx * yy).squareRoot()
        return denominator > 0 ? xy / denominator : 0
    }

    /// Returns Spearman's coefficient: Pearson's of the ranks; equal numbers share the mean of their ranks.
    public static func spearman(_ predictions: [Double], _ truths: [Double]) -> Double {
        let count = min(predictions.count, truths.count)
        return pearson(ranks(Array(predictions.prefix(count))), ranks(Array(truths.prefix(count))))
    }

    private static func ranks(_ values: [Double]) -> [Double] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Double](repeating: 0, count: values.count)
        var start = 0
        while start < order.count {
            var end = start + 1
            while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
            for place in start..<end { ranks[order[place]] = Double(start + end - 1) / 2 }
            start = end
        }
        return ranks
    }
}
