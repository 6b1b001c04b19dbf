import RetNetSettings

/// Sizes and choices of an attention-free transformer layer (AFT, arXiv 2105.14103).
public struct AFTConfiguration: Sendable, Equatable {
    /// The number of channels, usually the width of the model.
    public var channelCount: Int
    /// The weights of past tokens in addition to their keys.
    public var variant: AFTVariant
    /// True if the projections of queries, values and outputs have biases; one of keys would cancel.
    public var biases: Bool

    /// A layer without biases in its projections by default.
    public init(channelCount: Int, variant: AFTVariant, biases: Bool = false) {
        self.channelCount = channelCount
        self.variant = variant
        self.biases = biases
    }
}

/// The weights that AFT gives to tokens of the past in addition to their keys.
public enum AFTVariant: Sendable, Equatable {
    /// None: e^k alone.
    case simple
    /// A bias for tokens less than `window` steps back; older ones count e^k.
    case local(window: Int, bias: AFTBias)
    /// A bias for every pair of positions, factorized.
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

    /// The shape of the two factors [positions, rank] of the bias, if it has factors.
    public var factors: (rank: Int, maximumLength: Int)? {
        switch self {
        case .full(let rank, let maximumLength), .local(_, .factorized(let rank, let maximumLength)):
            (rank, maximumLength)
        case .simple, .local(_, .relative):
            nil
        }
    }
}

/// The dependence of the biases of a window.
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
}

// MARK: Settings

extension AFTConfiguration: DeclaredSettings {
    /// AFT-simple with one channel; the number must be given.
    public static let standard = AFTConfiguration(channelCount: 1, variant: .simple)

    /// All settings, of which the variant decides which ones there are.
    public static var declarations: [Setting<Self>] {
        let factorized = "variant: full, or bias: factorized"
        return [
            .int(
                "channel_count", \.channelCount, in: MixerSizes.channels, isRequired: true,
                "Number of channels, usually the width of the model."),
            .choice("variant", \.variant.kind, "Biases of past tokens: none, within a window, or all."),
            .int(
                "window", \.variant.window, in: 2...1 << 14,
                "Number of steps back, the token itself included, within which tokens have a bias."
            ).when("variant: local") { $0.variant.kind == .local },
            .choice(
                "bias", \.variant.bias, "Dependence of the biases: on both positions, or on their distance."
            ).when("variant: local") { $0.variant.kind == .local },
            .int("rank", \.variant.rank, in: 1...1 << 14, "Rank of biases by position.")
                .when(factorized) { $0.variant.factors != nil },
            .int(
                "maximum_length", \.variant.maximumLength, in: 1...1 << 20,
                "Longest sequence of biases by position."
            ).when(factorized) { $0.variant.factors != nil },
            .bool("biases", \.biases, "Biases in the projections of queries, values and outputs."),
        ]
    }
}

/// The parts of a variant as its settings set them, one by one; parts that a variant lacks stay as they are.
extension AFTVariant {
    private static let standardFactors = (rank: 128, maximumLength: 2048)
    private static let standardWindow = 32

    /// The name of the variant.
    public internal(set) var kind: Kind {
        get {
            switch self {
            case .simple: .simple
            case .local: .local
            case .full: .full
            }
        }
        set {
            guard newValue != kind else { return }
            let (rank, maximumLength) = factors ?? Self.standardFactors
            switch newValue {
            case .simple: self = .simple
            case .local:
                self = .local(
                    window: Self.standardWindow, bias: .factorized(rank: rank, maximumLength: maximumLength))
            case .full: self = .full(rank: rank, maximumLength: maximumLength)
            }
        }
    }

    var window: Int {
        get { if case .local(let window, _) = self { window } else { Self.standardWindow } }
        set { if case .local(_, let bias) = self { self = .local(window: newValue, bias: bias) } }
    }

    var bias: AFTBias.Kind {
        get { if case .local(_, .relative) = self { .relative } else { .factorized } }
        set {
            guard newValue != bias, case .local(let window, _) = self else { return }
            let (rank, maximumLength) = Self.standardFactors
            self = .local(
                window: window,
                bias: newValue == .relative
                    ? .relative : .factorized(rank: rank, maximumLength: maximumLength))
        }
    }

    var rank: Int {
        get { factors?.rank ?? Self.standardFactors.rank }
        set { setFactors(newValue, maximumLength) }
    }

    var maximumLength: Int {
        get { factors?.maximumLength ?? Self.standardFactors.maximumLength }
        set { setFactors(rank, newValue) }
    }

    private mutating func setFactors(_ rank: Int, _ maximumLength: Int) {
        switch self {
        case .full: self = .full(rank: rank, maximumLength: maximumLength)
        case .local(let window, .factorized):
            self = .local(window: window, bias: .factorized(rank: rank, maximumLength: maximumLength))
        case .simple, .local(_, .relative): break
        }
    }
}

// MARK: Accounting

extension AFTConfiguration: MixerSpecification {
    /// ``MixerConfiguration/aft(_:)``.
    public var configuration: MixerConfiguration { .aft(self) }

    /// The parallel form: pieces save nothing, because the kernel carries its sums along the length.
    public var trainingForm: MixerForm { .parallel }

    /// Simple 3 d, local 3 d and the last window - 1 keys and values, full all keys and values.
    ///
    /// Local counts the keys and values there are, and biases by position how far the row has been moved.
    public var stateTensors: [StateTensor] {
        let sums = ["numerator", "denominator", "exponent"].map { StateTensor($0, [channelCount]) }
        switch variant {
        case .simple: return sums
        case .local(let window, _):
            let ring = [window - 1, channelCount]
            return sums
                + [
                    StateTensor("key_ring", ring), StateTensor("value_ring", ring),
                    StateTensor("filled", [1]),
                ]
                + (variant.factors == nil ? [] : [StateTensor("offset", [1])])
        case .full:
            return [
                StateTensor("key", [0, channelCount], growingAlong: 0),
                StateTensor("value", [0, channelCount], growingAlong: 0), StateTensor("offset", [1]),
            ]
        }
    }

    /// Per channel 2 for the gate, 16 for sums of older tokens, and 6 for every token with a bias.
    ///
    /// An exponential counts as one. Factorized biases cost 2 · rank per token.
    public func recurrentFLOPs(position: Int) -> Int {
        let seen = min(max(0, position), 1 << 30) + 1
        let biased = 6 * channelCount + 2 * (variant.factors?.rank ?? 0)
        return switch variant {
        case .simple: 18 * channelCount
        case .local(let window, _): 18 * channelCount + min(window, seen) * biased
        case .full: 2 * channelCount + seen * biased
        }
    }
}
