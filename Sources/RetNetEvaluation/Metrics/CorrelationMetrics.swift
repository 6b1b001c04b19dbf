import Foundation

/// Correlations of predicted numbers with true ones, from -1 to 1; 0 where one side does not vary.
public enum CorrelationMetrics {
    /// Pearson's coefficient: linear correlation.
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

    /// Spearman's coefficient: Pearson's of the ranks, equal numbers sharing the mean of their ranks.
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
