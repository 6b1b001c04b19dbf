/// What the bias of a window depends on.
public enum AFTBias: Sendable, Equatable {
    /// Both positions: b_{t,i} = a_t · cᵢ, with trained rows of `rank` numbers for `maximumLength` positions.
    case factorized(rank: Int, maximumLength: Int)
    /// The distance t - i alone; there is no longest sequence.
    case relative

    /// The names in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// By both positions.
        case factorized
        /// By distance.
        case relative
    }

    /// The name of the bias.
    public var kind: Kind {
        switch self {
        case .factorized: .factorized
        case .relative: .relative
        }
    }
}
