/// How AFT weighs the tokens of the past beside their keys.
public enum AFTVariant: Sendable, Equatable {
    /// Not at all: e^k alone.
    case simple
    /// By a bias for tokens less than `window` steps back; older ones count e^k.
    case local(window: Int, bias: AFTBias)
    /// By a bias for every pair of positions, factorised.
    case full(rank: Int, maximumLength: Int)

    /// The names of the variants in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// No bias.
        case simple
        /// Biases within a window.
        case local
        /// Biases everywhere.
        case full
    }

    /// The name of the variant.
    public var kind: Kind {
        switch self {
        case .simple: .simple
        case .local: .local
        case .full: .full
        }
    }

    /// The shape of the two factors [positions, rank] of the bias, where it has factors.
    public var factors: (rank: Int, maximumLength: Int)? {
        switch self {
        case .full(let rank, let maximumLength), .local(_, .factorized(let rank, let maximumLength)):
            (rank, maximumLength)
        case .simple, .local(_, .relative):
            nil
        }
    }
}
