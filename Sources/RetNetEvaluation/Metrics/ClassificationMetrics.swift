import Foundation

/// Figures of predicted labels beside true ones; labels are compared as they are.
///
/// Everything is from 0 to 1, Matthews' coefficient from -1 to 1. Predictions that are no label at all, as
/// text-to-text models may give, count as wrong.
public enum ClassificationMetrics {
    /// The share of right predictions; 0 for none.
    public static func accuracy<Label: Equatable>(_ predictions: [Label], _ truths: [Label]) -> Double {
        let pairs = zip(predictions, truths)
        let count = min(predictions.count, truths.count)
        guard count > 0 else { return 0 }
        return Double(pairs.reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }) / Double(count)
    }

    /// F1 of one label: the harmonic mean of precision and recall; 0 where neither is there.
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

    /// The mean of F1 over the given labels, as CommitmentBank is scored.
    public static func meanF1<Label: Equatable>(
        over labels: [Label], _ predictions: [Label], _ truths: [Label]
    ) -> Double {
        guard !labels.isEmpty else { return 0 }
        return labels.reduce(0) { $0 + f1(of: $1, predictions, truths) } / Double(labels.count)
    }

    /// Matthews' correlation coefficient for any number of labels (Gorodkin 2004); 0 where it is not defined.
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
