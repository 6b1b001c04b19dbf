import Foundation
import RetNetLayers

/// First values of T5's parameters, as T5X draws them.
///
/// The head of v1.1 has the variance 1/d: with Hugging Face's N(0, 1) the first losses are near 60.
struct T5Initializers {
    let embedding = Initializer.normal(standardDeviation: 1)
    let query: Initializer
    let output: Initializer
    let positions: Initializer
    let head: Initializer

    init(_ c: T5Configuration, headWidth: Int? = nil) {
        // Scores are not scaled by d_kv^(-1/2); the first queries are.
        query = .normal(standardDeviation: pow(Double(c.hiddenSize) * Double(c.keySize), -0.5))
        output = .normal(standardDeviation: pow(Double(c.attentionSize), -0.5))
        // Variance-scaling over the mean of fan-in and fan-out.
        let bound = (3 * 2 / Double(c.headCount + c.bucketCount)).squareRoot()
        positions = .uniform(from: -bound, to: bound)
        head = .truncatedNormal(standardDeviation: pow(Double(headWidth ?? c.hiddenSize), -0.5))
    }

    /// Keys and values that read a given width.
    func keyValue(inputSize: Int) -> Initializer {
        .normal(standardDeviation: pow(Double(inputSize), -0.5))
    }

    /// A matrix of the feed-forward that reads a given width.
    func feedForward(inputSize: Int) -> Initializer {
        .truncatedNormal(standardDeviation: pow(Double(inputSize), -0.5))
    }
}
