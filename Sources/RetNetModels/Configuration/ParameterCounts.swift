/// Numbers of parameters by the part of the model that they belong to.
public struct ParameterCounts: Sendable, Equatable {
    /// A part of a model.
    public enum Part: String, Sendable, CaseIterable {
        /// The token embedding, which is also the output matrix of a model with tied output.
        case embedding
        /// Projections of all mixers with their biases.
        case mixers
        /// Matrices of all feed-forwards with their biases, experts and routers included.
        case feedForwards = "feed_forwards"
        /// All norms, those of heads included.
        case norms
        /// The mixes of AltUp and what goes with them.
        case altUp = "altup"
        /// The separate output matrix.
        case output
    }

    private var counts: [Part: Int] = [:]

    /// The parameters of one part.
    public subscript(part: Part) -> Int { counts[part, default: 0] }

    /// The parameters of all parts.
    public var total: Int { counts.values.reduce(0, +) }

    /// The token embedding.
    public var embedding: Int { self[.embedding] }
    /// Projections of all mixers.
    public var mixers: Int { self[.mixers] }
    /// Matrices of all feed-forwards.
    public var feedForwards: Int { self[.feedForwards] }
    /// All norms.
    public var norms: Int { self[.norms] }
    /// The mixes of AltUp; 0 where there is one block.
    public var altUp: Int { self[.altUp] }
    /// The separate output matrix; 0 where the output is tied.
    public var output: Int { self[.output] }

    mutating func add(_ parameter: LanguageModelConfiguration.Parameter) {
        counts[parameter.part, default: 0] += parameter.elementCount
    }
}
