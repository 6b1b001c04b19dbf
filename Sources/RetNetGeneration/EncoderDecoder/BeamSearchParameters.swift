/// How the output of an encoder-decoder is searched for; the names in parentheses are those of Transformers.
public struct BeamSearchParameters: Sendable, Equatable {
    /// When a search with several beams ends before the longest output (`early_stopping`).
    public enum Stopping: String, Sendable, CaseIterable {
        /// When the best beam, at its present length, could not beat the worst finished one (false).
        case heuristic
        /// As soon as there are as many finished outputs as beams (true).
        case full
        /// When no beam could beat the worst finished one even at the most favourable length ("never").
        case never
    }

    /// How many tokens to generate at most, the end included (`max_new_tokens`).
    public var maxTokens: Int
    /// How many beams to keep (`num_beams`); 1 takes the most probable token each time.
    public var beamCount: Int
    /// The power of its length by which the log-probability of an output is divided (`length_penalty`).
    ///
    /// Above 0 long outputs are favoured, for log-probabilities are negative.
    public var lengthPenalty: Double
    /// When the search ends early.
    public var stopping: Stopping
    /// How many outputs to return for each source (`num_return_sequences`); at most the number of beams.
    public var outputCount: Int
    /// Tokens that end an output; nil takes the model's.
    public var endTokens: [Int32]?

    /// Greedy, unless told otherwise.
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

    /// Throws ``BeamSearchError`` for values that make no search.
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
