import Foundation

/// The parameters of the search for an encoder-decoder's outputs; the names in parentheses are those of
/// Transformers.
public struct BeamSearchParameters: Sendable, Equatable {
    /// The condition under which a search with several beams ends before the longest output (`early_stopping`).
    public enum Stopping: String, Sendable, CaseIterable {
        /// The best running beam, at its present length, could not beat the worst finished one (false).
        case heuristic
        /// There are as many finished outputs as beams (true).
        case full
        /// No beam could beat the worst finished one even at the most favorable length ("never").
        case never
    }

    /// Largest number of tokens to generate, the end token included (`max_new_tokens`).
    public var maxTokens: Int
    /// Number of beams (`num_beams`); 1 takes the most probable token at each step.
    public var beamCount: Int
    /// Exponent of the length by which the log-probability of an output is divided (`length_penalty`).
    ///
    /// Log-probabilities are negative, so values above 0 favor long outputs.
    public var lengthPenalty: Double
    /// Condition of an early end.
    public var stopping: Stopping
    /// Number of outputs per source (`num_return_sequences`); at most the number of beams.
    public var outputCount: Int
    /// Tokens that end an output; nil takes the model's.
    public var endTokens: [Int32]?

    /// Creates parameters; greedy search by default.
    public init(
        maxTokens: Int = 128, beamCount: Int = 1, lengthPenalty: Double = 1, stopping: Stopping = .heuristic,
        outputCount: Int = 1, endTokens: [Int32]? = nil
    ) {
        self.maxTokens = maxTokens
        self.beamCount = beamCount
        self.lengthPenalty = lengthPenalty
        self.stopping = stopping
        self.outputCount = outputCount
        self.endTokens = endTokens
    }

    /// Throws ``BeamSearchError`` for values out of range.
    public func validate() throws {
        guard (1...1 << 20).contains(maxTokens) else {
            throw BeamSearchError.invalid(
                "the number of tokens must be from 1 to 1,048,576, not \(maxTokens)")
        }
        guard (1...256).contains(beamCount) else {
            throw BeamSearchError.invalid("the number of beams must be from 1 to 256, not \(beamCount)")
        }
        guard lengthPenalty.isFinite, abs(lengthPenalty) <= 100 else {
            throw BeamSearchError.invalid("the length penalty must be from -100 to 100, not \(lengthPenalty)")
        }
        guard (1...beamCount).contains(outputCount) else {
            throw BeamSearchError.invalid(
                "the number of outputs must be from 1 to the number of beams (\(beamCount)), not \(outputCount)"
            )
        }
    }
}

/// An error in the parameters of a search.
public enum BeamSearchError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// A parameter is out of range.
    case invalid(String)

    /// The problem in plain words.
    public var description: String {
        switch self {
        case .invalid(let reason): reason
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

/// One output of a search.
public struct BeamHypothesis: Sendable, Equatable {
    /// The tokens, with the end token where there is one.
    public var tokens: [Int32]
    /// The log-probability in nats divided by a power of the length.
    public var score: Double
    /// True if the output ended with an end token; false if it reached the largest length or was cancelled.
    public var isFinished: Bool
}

/// The search for the outputs of one source: running beams and finished outputs, by the rules of Transformers 5.
struct BeamSearch {
    /// A token that could follow a beam.
    struct Candidate {
        let beam: Int
        let token: Int32
        /// Log-probability of the beam with this token.
        let score: Double
    }

    private let parameters: BeamSearchParameters
    private let endTokens: Set<Int32>
    /// The beams that have not ended, best first.
    private(set) var running: [(tokens: [Int32], score: Double)]
    private var finished: [BeamHypothesis] = []
    private var canImprove = true
    private var length = 0

    init(_ parameters: BeamSearchParameters, endTokens: Set<Int32>) {
        self.parameters = parameters
        self.endTokens = endTokens
        // All beams are equal before the first token, so only one of them counts.
        running = (0..<parameters.beamCount).map { ([], $0 == 0 ? 0 : -1e9) }
    }

    /// Returns the number of candidates that leaves enough running beams even when all others end.
    static func candidateCount(_ parameters: BeamSearchParameters, endTokenCount: Int) -> Int {
        max(2, 1 + endTokenCount) * parameters.beamCount
    }

    /// True if no further token could change the result.
    var isDone: Bool {
        length >= parameters.maxTokens || !canImprove || parameters.stopping == .full && isFull
    }

    private var isFull: Bool { finished.count == parameters.beamCount }

    /// Extends the beams by the best candidates; returns the index of the previous beam of each new one.
    mutating func advance(_ candidates: [Candidate]) -> [Int] {
        length += 1
        let isLast = length >= parameters.maxTokens
        let open = candidates.filter { !endTokens.contains($0.token) }.prefix(parameters.beamCount)
        let old = running
        running = open.map { (old[$0.beam].tokens + [$0.token], $0.score) }
        // Only candidates within the number of beams may end; the others only keep the search supplied.
        for candidate in candidates.prefix(parameters.beamCount) {
            let ends = endTokens.contains(candidate.token)
            guard ends || isLast else { continue }
            finished.append(
                BeamHypothesis(
                    tokens: old[candidate.beam].tokens + [candidate.token],
                    score: candidate.score / pow(Double(length), parameters.lengthPenalty), isFinished: ends))
        }
        finished.sort { $0.score > $1.score }
        finished = Array(finished.prefix(parameters.beamCount))
        updateOutlook()
        return open.map(\.beam)
    }

    private mutating func updateOutlook() {
        guard isFull, let worst = finished.last?.score, let best = running.first?.score else { return }
        let longest = parameters.stopping == .never && parameters.lengthPenalty > 0
        let reach = pow(Double(longest ? parameters.maxTokens : length), parameters.lengthPenalty)
        if best / reach <= worst { canImprove = false }
    }

    /// Returns the best outputs; running beams only where too few outputs are finished.
    func outputs() -> [BeamHypothesis] {
        var result = finished
        for beam in running where result.count < parameters.outputCount && !beam.tokens.isEmpty {
            let score = beam.score / pow(Double(beam.tokens.count), parameters.lengthPenalty)
            result.append(BeamHypothesis(tokens: beam.tokens, score: score, isFinished: false))
        }
        return Array(result.prefix(parameters.outputCount))
    }
}
