import Foundation
import RetNetSettings

/// The distributions of the initial values of all parameters.
///
/// Norms start at weight 1 and bias 0, other biases at 0 except where a scheme gives another value; convolutions and the
/// networks of Hyena's filters start as PyTorch's in every scheme.
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
    /// Probably the paper's: as ``torchscale``, with value, output, up and down times (8L)^(-1/4).
    ///
    /// The paper states only that initialization follows DeepNet.
    case paper
    /// N(0, σ²) for every matrix; fla has σ = 0.02.
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

    /// The standard deviation that fla has.
    private static let usualDeviation = 0.02

    /// The name of the scheme; a new name sets the scheme with its usual deviation.
    public var kind: Kind {
        get {
            switch self {
            case .torchscale: .torchscale
            case .torchscale2023: .torchscale2023
            case .paper: .paper
            case .normal: .normal
            }
        }
        set {
            switch newValue {
            case .torchscale: self = .torchscale
            case .torchscale2023: self = .torchscale2023
            case .paper: self = .paper
            case .normal: self = .normal(standardDeviation: Self.usualDeviation)
            }
        }
    }
}

extension InitializationScheme: DeclaredSettings {
    /// torchscale's.
    public static let standard = InitializationScheme.torchscale

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .choice("kind", \.kind, "Scheme of initial values."),
            .double(
                "standard_deviation", \.standardDeviation, in: SettingsRange.positiveFraction,
                "Standard deviation of every matrix."
            ).when("kind: normal", { $0.kind == .normal }),
        ]
    }

    /// The standard deviation of ``normal(standardDeviation:)``, to which a new value changes the scheme.
    private var standardDeviation: Double {
        get {
            guard case .normal(let deviation) = self else { return Self.usualDeviation }
            return deviation
        }
        set { self = .normal(standardDeviation: newValue) }
    }
}
