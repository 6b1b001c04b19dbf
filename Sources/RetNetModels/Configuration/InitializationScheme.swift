import Foundation
import RetNetLayers
import RetNetMixers
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

/// Initializers of every kind of parameter, for one scheme and depth.
///
/// Base distributions (torchscale `retnet.py`, HEAD 4d1e0e8): feed-forward matrices PyTorch's default, embedding
/// and output N(0, 1/d); mixers have their own. Depth factors apply to values and outputs of mixers and to the
/// feed-forward's up and down: torchscale matches names, so gates are never scaled.
struct ModelInitializers {
    let mixer: MixerInitialization
    let feedForward: Initializer
    let feedForwardGate: Initializer
    let embedding: Initializer
    let output: Initializer

    init(_ configuration: LanguageModelConfiguration) {
        let depth = Double(configuration.layerCount)
        var outputGains: [MixerConfiguration.Kind: Double] = [:]
        var depthFactor = configuration.deepNorm ? pow(8 * depth, -0.25) : 1
        switch configuration.initialization {
        case .normal(let deviation):
            let normal = Initializer.normal(standardDeviation: deviation)
            mixer = MixerInitialization(override: normal)
            feedForward = normal
            feedForwardGate = normal
            embedding = normal
            output = normal
            return
        case .torchscale:
            break
        case .torchscale2023:
            // July 2023: W_O with gain 1, and the sub-LN factor √ln(2L), which later releases dropped.
            outputGains = [.retention: 1]
            if configuration.pattern.contains(where: \.feedForward.subNorm) {
                depthFactor *= log(2 * depth).squareRoot()
            }
        case .paper:
            // The paper follows DeepNet, with a plain residual: β = (8L)^-¼ (inferred; it gives no formula).
            depthFactor = pow(8 * depth, -0.25)
        }
        mixer = MixerInitialization(depthFactor: depthFactor, outputGains: outputGains)
        feedForward = .fanInUniform(scale: depthFactor)
        feedForwardGate = .fanInUniform(scale: 1)
        embedding = .normal(standardDeviation: pow(Double(configuration.hiddenSize), -0.5))
        output = .normal(standardDeviation: pow(Double(configuration.outputWidth), -0.5))
    }
}
