import RetNetSettings

/// How the first values of all parameters are drawn.
///
/// Norms start at weight 1 and bias 0, other biases at 0 unless the scheme says otherwise.
public enum InitializationScheme: Sendable, Equatable {
    /// torchscale since November 2023.
    ///
    /// Xavier-uniform with gain 2^-2.5 for query, key, value and gate and 2^-1 for output; feed-forwards
    /// U(±1/√fanIn); embedding and output matrix N(0, 1/d).
    case torchscale
    /// torchscale of July 2023: as ``torchscale``, with gain 1 for output.
    ///
    /// With sub-norms, value, output, up and down are multiplied by √(ln 2L).
    case torchscale2023
    /// What the paper probably did: as ``torchscale``, with value, output, up and down times (8L)^(-1/4).
    ///
    /// It says only that initialisation follows DeepNet.
    case paper
    /// N(0, σ²) for every matrix; fla takes σ = 0.02.
    case normal(standardDeviation: Double)

    /// The names of the schemes in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// ``InitializationScheme/torchscale``.
        case torchscale
        /// ``InitializationScheme/torchscale2023``.
        case torchscale2023 = "torchscale_2023"
        /// ``InitializationScheme/paper``.
        case paper
        /// ``InitializationScheme/normal(standardDeviation:)``.
        case normal
    }

    /// The name of the scheme.
    public var kind: Kind {
        switch self {
        case .torchscale: .torchscale
        case .torchscale2023: .torchscale2023
        case .paper: .paper
        case .normal: .normal
        }
    }
}

extension InitializationScheme: SettingsRepresentable {
    /// Reads `kind`, torchscale by default, and `standard_deviation` for `normal`.
    public init(reading reader: SettingsReader) {
        switch reader.enumeration("kind", default: Kind.torchscale) {
        case .torchscale: self = .torchscale
        case .torchscale2023: self = .torchscale2023
        case .paper: self = .paper
        case .normal:
            self = .normal(
                standardDeviation: reader.double(
                    "standard_deviation", in: SettingsRange.positiveFraction, default: 0.02))
        }
    }

    /// The scheme as configuration files have it.
    public var settings: SettingsTree {
        guard case .normal(let deviation) = self else { return ["kind": .string(kind.rawValue)] }
        return ["kind": .string(kind.rawValue), "standard_deviation": .double(deviation)]
    }
}
