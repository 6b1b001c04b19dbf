import Foundation
import RetNetText

/// The choice of the tokens of one row.
public struct Sampler: Sendable {
    /// A chosen token.
    public struct Choice: Sendable, Equatable {
        /// The token.
        public let token: Int32
        /// Log-probability in nats under the model itself, before any step; nil if not recorded.
        public let logProbability: Double?
    }

    /// The random number generator, which can be saved and restored.
    public var generator: SeededGenerator
    private let repetitionPenalty: RepetitionPenalty
    private let filters: [any SamplingStep]
    private let isGreedy: Bool
    private let recordsLogProbabilities: Bool

    /// Creates a sampler for valid parameters.
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

    /// Chooses a token from float32 logits, as from their values; nil if they are not finite.
    public mutating func choose(_ logits: UnsafeBufferPointer<Float>, recent: ArraySlice<Int32>) -> Choice? {
        guard isGreedy, repetitionPenalty.penalty == 1, !recordsLogProbabilities else {
            return choose(logits.map(Double.init), recent: recent)
        }
        var best = -1
        for index in logits.indices {
            guard logits[index] < .infinity else { return nil }
            if logits[index] > (best < 0 ? -.infinity : logits[best]) { best = index }
        }
        return best < 0 ? nil : Choice(token: Int32(best), logProbability: nil)
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

/// The tokens that may be chosen next, in ascending order, with their logits.
public struct TokenCandidates: Sendable, Equatable {
    /// The tokens, ascending.
    public private(set) var tokens: [Int32]
    /// The logit of each token; the largest is finite.
    public private(set) var logits: [Double]

    /// Creates the candidates `0 ..< logits.count` without those whose logit is minus infinity.
    ///
    /// Nil if a logit is NaN or plus infinity, or if no token is left.
    public init?(logits: some Collection<Double>) {
        var tokens: [Int32] = []
        var kept: [Double] = []
        tokens.reserveCapacity(logits.count)
        kept.reserveCapacity(logits.count)
        var token: Int32 = 0
        for logit in logits {
            guard logit < .infinity else { return nil }
            if logit > -.infinity {
                tokens.append(token)
                kept.append(logit)
            }
            token &+= 1
        }
        guard !tokens.isEmpty else { return nil }
        self.tokens = tokens
        self.logits = kept
    }

    /// The number of tokens.
    public var count: Int { tokens.count }

    /// The largest logit.
    public var largestLogit: Double { logits.max() ?? -.infinity }

    /// The token with the largest logit, the lowest of them if there are several.
    public var mostProbable: Int32 {
        var best = 0
        for index in logits.indices where logits[index] > logits[best] { best = index }
        return tokens[best]
    }

    /// Returns the index of a token, or nil if it is not among the candidates.
    public func index(of token: Int32) -> Int? {
        var (low, high) = (0, tokens.count)
        while low < high {
            let middle = (low + high) / 2
            if tokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        return low < tokens.count && tokens[low] == token ? low : nil
    }

    /// Returns the probability of each token.
    public func probabilities() -> [Double] {
        let largest = largestLogit
        var values = logits.map { exp($0 - largest) }
        // At least 1, because the largest contributes exp(0).
        let total = values.reduce(0, +)
        for index in values.indices { values[index] /= total }
        return values
    }

    fileprivate func logProbability(of token: Int32) -> Double? {
        guard let index = index(of: token) else { return nil }
        let largest = largestLogit
        return logits[index] - largest - log(logits.reduce(0) { $0 + exp($1 - largest) })
    }

    /// Replaces every logit.
    public mutating func mapLogits(_ transform: (Double) -> Double) {
        for index in logits.indices { logits[index] = transform(logits[index]) }
    }

    fileprivate mutating func setLogit(at index: Int, to value: Double) { logits[index] = value }

    /// Keeps the indices for which `isKept` holds; if it holds for none, nothing changes.
    public mutating func keep(where isKept: (_ index: Int) -> Bool) {
        let indices = logits.indices.filter(isKept)
        guard !indices.isEmpty, indices.count < count else { return }
        tokens = indices.map { tokens[$0] }
        logits = indices.map { logits[$0] }
    }
}

// MARK: Steps

/// One step from logits to the distribution that a token is drawn from.
public protocol SamplingStep: Sendable {
    /// Changes or removes candidates; `recent` are the last tokens of the row, oldest first.
    func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>)
}

/// A penalty on recent tokens: positive logits are divided by it, others multiplied.
///
/// Source: CTRL (arXiv 1909.05858), section 4.1, as every tool of the field applies it.
public struct RepetitionPenalty: SamplingStep {
    /// The penalty; above 1 discourages repetition, below 1 encourages it.
    public let penalty: Double
    /// Number of last tokens that count.
    public let window: Int

    /// Creates a penalty over a window of tokens.
    public init(penalty: Double, window: Int) {
        self.penalty = penalty
        self.window = window
    }

    /// Penalizes each token of the window once, regardless of its number of occurrences.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard penalty != 1 else { return }
        for token in Set(recent.suffix(max(0, window))) {
            guard let index = candidates.index(of: token) else { continue }
            let logit = candidates.logits[index]
            candidates.setLogit(at: index, to: logit > 0 ? logit / penalty : logit * penalty)
        }
    }
}

/// A division of the logits: below 1 sharpens the distribution, above 1 flattens it.
public struct Temperature: SamplingStep {
    /// The divisor, a positive number.
    public let temperature: Double

    /// Creates a step for a positive temperature.
    public init(_ temperature: Double) { self.temperature = temperature }

    /// Divides the logits; the largest becomes 0, so that tiny temperatures cannot overflow.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard temperature > 0, temperature != 1 else { return }
        let largest = candidates.largestLogit
        candidates.mapLogits { ($0 - largest) / temperature }
    }
}

/// A filter that keeps a fixed number of most probable tokens.
public struct TopK: SamplingStep {
    /// Number of tokens to keep; 0 keeps all.
    public let count: Int

    /// Creates a filter that keeps `count` tokens.
    public init(_ count: Int) { self.count = count }

    /// Keeps the tokens with the largest logits; of equal ones those with the lowest numbers.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard count > 0, count < candidates.count else { return }
        let logits = candidates.logits
        let threshold = Self.largest(count, of: logits)
        var roomForEqual = count - logits.reduce(0) { $0 + ($1 > threshold ? 1 : 0) }
        candidates.keep { index in
            if logits[index] > threshold { return true }
            guard logits[index] == threshold, roomForEqual > 0 else { return false }
            roomForEqual -= 1
            return true
        }
    }

    /// Returns the value of a rank (from 1) in descending order, found without sorting everything.
    private static func largest(_ rank: Int, of values: [Double]) -> Double {
        var values = values
        var (low, high) = (0, values.count - 1)
        let place = rank - 1
        while low < high {
            // Median of three, and three parts, so that sorted and constant values stay fast.
            let pivot = [values[low], values[(low + high) / 2], values[high]].sorted()[1]
            var (larger, index, smaller) = (low, low, high)
            while index <= smaller {
                if values[index] > pivot {
                    values.swapAt(index, larger)
                    larger += 1
                    index += 1
                } else if values[index] < pivot {
                    values.swapAt(index, smaller)
                    smaller -= 1
                } else {
                    index += 1
                }
            }
            if place < larger {
                high = larger - 1
            } else if place > smaller {
                low = smaller + 1
            } else {
                return pivot
            }
        }
        return values[place]
    }
}

/// A filter that keeps the smallest set of most probable tokens with a share of the probability (nucleus sampling).
///
/// Source: Holtzman et al. (arXiv 1904.09751), section 3.1. The token that reaches the share is kept.
public struct TopP: SamplingStep {
    /// The share, above 0; 1 keeps all.
    public let share: Double

    /// Creates a filter that keeps a share of the probability.
    public init(_ share: Double) { self.share = share }

    /// Keeps the nucleus; of equally probable tokens the lowest numbers come first.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard share < 1, candidates.count > 1 else { return }
        let probabilities = candidates.probabilities()
        // All tokens below this one together have less than 1 - share, so none of them is in the nucleus.
        let cutoff = (1 - share) / Double(candidates.count)
        let order = probabilities.indices.filter { probabilities[$0] >= cutoff }
            .sorted {
                probabilities[$0] == probabilities[$1] ? $0 < $1 : probabilities[$0] > probabilities[$1]
            }
        var kept = [Bool](repeating: false, count: candidates.count)
        var mass = 0.0
        for index in order {
            kept[index] = true
            mass += probabilities[index]
            if mass >= share { break }
        }
        candidates.keep { kept[$0] }
    }
}

/// A filter that keeps the tokens with at least a share of the most probable token's probability.
///
/// Source: Nguyen et al. (arXiv 2407.01082).
public struct MinP: SamplingStep {
    /// The share, from 0 (keeps all) to 1.
    public let share: Double

    /// Creates a filter for a share of the largest probability.
    public init(_ share: Double) { self.share = share }

    /// Keeps the tokens that reach the share.
    public func apply(to candidates: inout TokenCandidates, recent: ArraySlice<Int32>) {
        guard share > 0 else { return }
        let threshold = candidates.largestLogit + log(share)
        let logits = candidates.logits
        candidates.keep { logits[$0] >= threshold }
    }
}
