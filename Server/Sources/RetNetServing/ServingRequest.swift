import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetText

/// A prompt to read and texts to generate after it.
public struct ServingRequest: Sendable {
    /// The tokens to read, after those of ``start``.
    public var tokens: [Int32]
    /// The place in the text behind the tokens.
    public var place: TextPlace
    /// The state that the tokens continue; nil for a new sequence.
    public var start: StateSnapshot?
    /// Number of texts to generate; text c has the seed of the parameters plus c.
    public var choiceCount = 1
    /// The choice of tokens; its `recordsLogProbabilities` has no effect here.
    public var sampling = SamplingParameters()
    /// Changes of logits before sampling.
    public var adjustments = LogitAdjustments()
    /// Number of most probable tokens to report with each token; nil for no log-probabilities at all.
    public var topCount: Int?
    /// True to report the log-probabilities of the prompt's tokens too; the prompt is then read in full.
    public var scoresPrompt = false
    /// True if the states of earlier requests may be used, and this one's kept.
    public var usesCache = true
    /// Numbers of tokens of the prompt at which others may go on differently, such as the end of the system's message.
    public var marks: [Int] = []
    /// True to get the state behind the first text.
    public var keepsState = false
    /// The time at which the request is given up.
    public var deadline: ContinuousClock.Instant?

    /// A request for one text after some tokens.
    public init(tokens: [Int32], place: TextPlace = .inside) {
        self.tokens = tokens
        self.place = place
    }
}

/// Changes of logits that depend on the tokens generated so far.
///
///     logitₜ ← logitₜ + biasₜ - frequency · countₜ - presence · [countₜ > 0]
///
/// Counts are those of the generated text, as in OpenAI's interface.
public struct LogitAdjustments: Sendable, Equatable {
    /// What is added to the logits of some tokens.
    public var bias: [Int32: Double] = [:]
    /// The penalty of every occurrence.
    public var frequencyPenalty = 0.0
    /// The penalty of tokens that have occurred.
    public var presencePenalty = 0.0

    /// No changes.
    public init() {}

    /// True if nothing changes.
    public var isEmpty: Bool { bias.isEmpty && frequencyPenalty == 0 && presencePenalty == 0 }

    func apply(to logits: inout [Double], counts: [Int32: Int]) {
        for (token, value) in bias where logits.indices.contains(Int(token)) { logits[Int(token)] += value }
        guard frequencyPenalty != 0 || presencePenalty != 0 else { return }
        for (token, count) in counts where logits.indices.contains(Int(token)) {
            logits[Int(token)] -= frequencyPenalty * Double(count) + presencePenalty
        }
    }
}

/// A token with its log-probability in nats under the model itself, before any step of sampling.
public struct TokenScore: Sendable, Equatable {
    /// The token.
    public let token: Int32
    /// Nil for the first token of a text, which nothing predicts.
    public let logProbability: Double?
    /// The most probable tokens at this place, the most probable one first.
    public let top: [Alternative]

    /// One of the most probable tokens at a place.
    public struct Alternative: Sendable, Equatable {
        /// The token.
        public let token: Int32
        /// Its log-probability in nats.
        public let logProbability: Double

        /// A token with its log-probability.
        public init(token: Int32, logProbability: Double) {
            self.token = token
            self.logProbability = logProbability
        }
    }

    init(unpredicted token: Int32) { (self.token, logProbability, top) = (token, nil, []) }

    /// The score of a token from the logits at its place.
    init(_ token: Int32, _ logits: some Collection<Double>, topCount: Int) {
        var largest = -Double.infinity
        for value in logits where value > largest { largest = value }
        var sum = 0.0
        var best: [(token: Int32, logit: Double)] = []
        var found = -Double.infinity
        for (index, value) in logits.enumerated() {
            sum += exp(value - largest)
            if index == Int(token) { found = value }
            guard topCount > 0, best.count < topCount || value > best[best.count - 1].logit else { continue }
            if best.count == topCount { best.removeLast() }
            // Of equal ones the lowest token stays in front.
            let place = best.firstIndex { $0.logit < value } ?? best.count
            best.insert((Int32(index), value), at: place)
        }
        let normalizer = largest + log(sum)
        self.token = token
        logProbability = found - normalizer
        top = best.map { Alternative(token: $0.token, logProbability: $0.logit - normalizer) }
    }
}

/// What happens to a request, in order.
public enum ServingEvent: Sendable {
    /// The prompt was read.
    case read(PromptReport)
    /// Text of a choice became certain.
    case text(choice: Int, TextFragment)
    /// A choice ended; its last text is part of the event.
    case end(choice: Int, ChoiceEnd)
}

/// A prompt that was read.
public struct PromptReport: Sendable {
    /// Number of tokens of the whole prompt, those of a state that it continues included.
    public let tokenCount: Int
    /// Number of those tokens that were not read again, because a state behind them was at hand.
    public let cachedTokenCount: Int
    /// The scores of the tokens, if they were asked for.
    public let scores: [TokenScore]
}

/// Text of a choice with the tokens that begin in it.
public struct TextFragment: Sendable {
    /// The text, in whole characters.
    public var text = ""
    /// The tokens; empty unless log-probabilities were asked for.
    public var tokens: [GeneratedToken] = []
    /// Number of tokens generated so far, those whose text is held back included.
    public var tokenCount = 0
}

/// A generated token.
public struct GeneratedToken: Sendable {
    /// The token and its log-probability.
    public let score: TokenScore
    /// Number of characters (Unicode scalars) of the generated text before the token.
    public let offset: Int
}

/// The end of a choice.
public struct ChoiceEnd: Sendable {
    /// The reason.
    public let reason: FinishReason
    /// The rest of the text.
    public let fragment: TextFragment
    /// Number of generated tokens, those of a stop string and the end token included.
    public let tokenCount: Int
    /// Sum of the log-probabilities of the tokens; 0 if they were not asked for.
    public let totalLogProbability: Double
    /// The state behind the text, if it was asked for.
    public let snapshot: StateSnapshot?
}
