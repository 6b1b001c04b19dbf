import RetNetSettings

/// Sizes and choices of a layer of H3 (Hungry Hungry Hippos, arXiv 2212.14052).
public struct H3Configuration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// P, the width of a head; every head sums P² sequences of products.
    public var headSize: Int
    /// N, the real dimensions of the diagonal state of one sequence.
    public var stateSize: Int
    /// W, the number of inputs in the state of the shift state space.
    public var shiftSize: Int
    /// The initial values of A of the diagonal state space.
    public var initialization: StateSpaceInitialization
    /// The discretization of A and B of the diagonal state space.
    public var discretization: Discretization
    /// True if the four projections have biases.
    public var biases: Bool

    /// The authors' layer with heads of the width of RetNet's comparison by default.
    public init(
        headCount: Int, headSize: Int = 8, stateSize: Int = 64, shiftSize: Int = 64,
        initialization: StateSpaceInitialization = .linear, discretization: Discretization = .bilinear,
        biases: Bool = true
    ) {
        self.headCount = headCount
        self.headSize = headSize
        self.stateSize = stateSize
        self.shiftSize = shiftSize
        self.initialization = initialization
        self.discretization = discretization
        self.biases = biases
    }

    /// The width of all heads together.
    public var channelCount: Int { headCount * headSize }
}

extension H3Configuration: DeclaredSettings {
    /// One head; the number must be given.
    public static let standard = H3Configuration(headCount: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int("head_count", \.headCount, in: MixerSizes.heads, isRequired: true, "Number of heads."),
            .int("head_size", \.headSize, in: 1...1 << 8, "Width of a head."),
            .int(
                "state_size", \.stateSize, in: 2...1 << 12,
                "Real dimensions of the diagonal state of one sequence, even."),
            .int(
                "shift_size", \.shiftSize, in: 1...1 << 12, "Number of inputs in the shift state space."),
            .choice("initialization", \.initialization, "Initial values of A."),
            .choice("discretization", \.discretization, "Discretization of A and B."),
            .bool("biases", \.biases, "Biases in the four projections."),
        ]
    }

    /// Reports odd states and heads that are too wide together.
    public func reportContradictions(to reader: SettingsReader) {
        reader.reportOddState(stateSize)
        reader.reportWidth("head_size", headCount: headCount, size: headSize)
    }
}

extension H3Configuration: MixerSpecification {
    /// ``MixerConfiguration/h3(_:)``.
    public var configuration: MixerConfiguration { .h3(self) }

    /// Numbers in the modes of one sequence: H P² N.
    public var modeElementCount: Int { channelCount * headSize * stateSize }

    /// H P² N modes and W-1 past keys, for any number of tokens.
    public var stateTensors: [StateTensor] {
        [
            StateTensor("memory", [headCount, stateSize, headSize * headSize]),
            StateTensor("keys", [shiftSize - 1, channelCount]),
        ]
    }

    /// 16 per complex mode, 2 W per channel for the shift, and the products and sums of all pairs.
    public func recurrentFLOPs(position: Int) -> Int {
        8 * modeElementCount + channelCount * (2 * shiftSize + 5 * headSize)
    }

    /// 4 N P² into the state and out of it and (4 P + 1) C of products per head, and the shift.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let chunk = MixerCosts.bounded(chunkLength)
        return 4 * modeElementCount + headCount * (4 * headSize + 1) * chunk + 2 * channelCount * shiftSize
    }

    /// Three times the forward pass, which computes the states again.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        3 * forwardFLOPsPerToken(chunkLength: chunkLength)
    }
}
