import Foundation
import RetNetText

/// Chooses the tokens of one row.
public struct Sampler: Sendable {
    /// A chosen token.
    public struct Choice: Sendable, Equatable {
        /// The token.
        public let token: Int32
        /// Its log-probability in nats under the model itself, before any step; nil unless asked for.
        public let logProbability: Double?
    }

    /// The generator, which can be saved and put back.
    public var generator: SeededGenerator
    private let repetitionPenalty: RepetitionPenalty
    private let filters: [any SamplingStep]
    private let isGreedy: Bool
    private let recordsLogProbabilities: Bool

    /// A sampler for valid parameters.
    public init(_ parameters: SamplingParameters, generator: SeededGenerator) {
        self.generator = generator
        repetitionPenalty = RepetitionPenalty(
            penalty: parameters.repetitionPenalty, window: parameters.repetitionWindow)
        filters = [
            Temperature(parameters.temperature), TopK(parameters.topK), TopP(parameters.topP),
            MinP(parameters.minP),
        ]
        isGreedy = parameters.temperature == 0
        recordsLogProbabilities = parameters.recordsLogProbabilities
    }

    /// Chooses a token from logits over the vocabulary; nil if they are not finite.
    ///
    /// Takes one number from the generator, or none at temperature 0.
    public mutating func choose(_ logits: some Collection<Double>, recent: ArraySlice<Int32>) -> Choice? {
        guard var candidates = TokenCandidates(logits: logits) else { return nil }
        let original = recordsLogProbabilities ? candidates : nil
        repetitionPenalty.apply(to: &candidates, recent: recent)
        let token: Int32
        if isGreedy {
            token = candidates.mostProbable
        } else {
            for filter in filters { filter.apply(to: &candidates, recent: recent) }
            token = draw(candidates)
        }
        return Choice(token: token, logProbability: original?.logProbability(of: token))
    }

    private mutating func draw(_ candidates: TokenCandidates) -> Int32 {
        let number = generator.unitDouble()
        var mass = 0.0
        var last = 0
        for (index, probability) in candidates.probabilities().enumerated() where probability > 0 {
            mass += probability
            last = index
            if number < mass { break }
        }
        // Rounding may leave the sum just below the number; then it is the last possible token.
        return candidates.tokens[last]
    }
}

extension TokenCandidates {
    fileprivate func logProbability(of token: Int32) -> Double? {
        guard let index = index(of: token) else { return nil }
        let largest = largestLogit
        return logits[index] - largest - log(logits.reduce(0) { $0 + exp($1 - largest) })
    }
}
