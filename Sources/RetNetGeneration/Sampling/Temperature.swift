/// Divides logits by a temperature: below 1 sharpens the distribution, above 1 flattens it.
public struct Temperature: SamplingStep {
    /// A positive number.
    public let temperature: Double

    /// A step for a positive temperature.
    public init(_ temperature: Double) { self.temperature = temperature }

    /// Divides; the largest logit becomes 0, so that tiny temperatures cannot overflow.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard temperature > 0, temperature != 1 else { return }
        let largest = candidates.largestLogit
        candidates.mapLogits { ($0 - largest) / temperature }
    }
}
