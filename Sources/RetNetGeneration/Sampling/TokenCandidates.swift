import Foundation

/// The tokens that may be chosen next, in ascending order, with their logits.
public struct TokenCandidates: Sendable, Equatable {
    /// The tokens, ascending.
    public private(set) var tokens: [Int32]
    /// The logit of each token; the largest is finite.
    public private(set) var logits: [Double]

    /// The tokens `0 ..< logits.count`; tokens with a logit of minus infinity are left out.
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

    /// The place of a token, or nil if it is not among the candidates.
    public func index(of token: Int32) -> Int? {
        var (low, high) = (0, tokens.count)
        while low < high {
            let middle = (low + high) / 2
            if tokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        return low < tokens.count && tokens[low] == token ? low : nil
    }

    /// The probability of each token.
    public func probabilities() -> [Double] {
        let largest = largestLogit
        var values = logits.map { exp($0 - largest) }
        // At least 1, because the largest contributes exp(0).
        let total = values.reduce(0, +)
        for index in values.indices { values[index] /= total }
        return values
    }

    /// Replaces every logit.
    public mutating func mapLogits(_ transform: (Double) -> Double) {
        for index in logits.indices { logits[index] = transform(logits[index]) }
    }

    /// Replaces the logit of one place.
    mutating func setLogit(at index: Int, to value: Double) { logits[index] = value }

    /// Keeps the places for which `isKept` holds; if it holds for none, nothing changes.
    public mutating func keep(where isKept: (_ index: Int) -> Bool) {
        let indices = logits.indices.filter(isKept)
        guard !indices.isEmpty, indices.count < count else { return }
        tokens = indices.map { tokens[$0] }
        logits = indices.map { logits[$0] }
    }
}
