import Foundation
import RetNetSettings

/// Sizes and choices of a diagonal state space layer (S4D, arXiv 2206.11893).
public struct S4DConfiguration: Sendable, Equatable {
    /// The layers around the state spaces.
    public enum Block: String, Sendable, CaseIterable {
        /// W (GELU(S4D(x))) to twice the width and GLU: the layer of the authors' code.
        case glu
        /// W_out (swish(W_gate x) ⊙ S4D(W_in x)).
        case gated
    }

    /// d, the number of channels; with ``Block/glu`` the width of the model.
    public var channelCount: Int
    /// N, the real dimensions of a channel's state: N/2 complex modes and their conjugates.
    public var stateSize: Int
    /// The layers around the state spaces.
    public var block: Block
    /// The initial values of A.
    public var initialization: StateSpaceInitialization
    /// The discretization of A and B.
    public var discretization: Discretization

    /// S4D-Lin with zero-order hold in the authors' layer by default.
    public init(
        channelCount: Int, stateSize: Int = 64, block: Block = .glu,
        initialization: StateSpaceInitialization = .linear, discretization: Discretization = .zeroOrderHold
    ) {
        self.channelCount = channelCount
        self.stateSize = stateSize
        self.block = block
        self.initialization = initialization
        self.discretization = discretization
    }
}

/// The initial diagonal of A of a state space with N real dimensions (S4D, arXiv 2206.11893).
public enum StateSpaceInitialization: String, Sendable, CaseIterable {
    /// S4D-Lin: -½ + iπn.
    case linear
    /// S4D-Inv: -½ + i (N/π) (N/(2n+1) - 1).
    case inverse

    /// Returns Im A of the N/2 modes; Re A is -½ in both.
    public func frequencies(stateSize: Int) -> [Double] {
        let size = Double(stateSize)
        return (0..<max(0, stateSize / 2)).map { index in
            let n = Double(index)
            switch self {
            case .linear: return .pi * n
            case .inverse: return size / .pi * (size / (2 * n + 1) - 1)
            }
        }
    }
}

/// The rule that turns a continuous state space x' = A x + B u into steps of length Δ.
public enum Discretization: String, Sendable, CaseIterable {
    /// Ā = e^(ΔA), B̄ = (e^(ΔA) - 1) / A · B: exact for inputs that stay constant between steps.
    case zeroOrderHold = "zoh"
    /// Ā = (1 + ΔA/2) / (1 - ΔA/2), B̄ = Δ / (1 - ΔA/2) · B.
    case bilinear
}

extension S4DConfiguration: DeclaredSettings {
    /// One channel; the number must be given.
    public static let standard = S4DConfiguration(channelCount: 1)

    /// All settings.
    public static var declarations: [Setting<Self>] {
        [
            .int(
                "channel_count", \.channelCount, in: MixerSizes.channels, isRequired: true,
                "Number of channels; with the block 'glu' the width of the model."),
            .int(
                "state_size", \.stateSize, in: 2...1 << 12, "Real dimensions of a channel's state, even."),
            .choice("block", \.block, "Layers around the state spaces."),
            .choice("initialization", \.initialization, "Initial values of A."),
            .choice("discretization", \.discretization, "Discretization of A and B."),
        ]
    }

    /// Reports odd states.
    public func reportContradictions(to reader: SettingsReader) { reader.reportOddState(stateSize) }
}

extension S4DConfiguration: MixerSpecification {
    /// ``MixerConfiguration/s4d(_:)``.
    public var configuration: MixerConfiguration { .s4d(self) }

    /// d · N, for any number of tokens.
    public var stateTensors: [StateTensor] { [StateTensor("modes", [channelCount, 2, stateSize / 2])] }

    /// 16 per complex mode: a complex product, the input and the readout; and 2 per channel for D.
    public func recurrentFLOPs(position: Int) -> Int { channelCount * (8 * stateSize + 2) }

    /// Two transforms of twice a chunk, the sums into the state and out of it: d (20 log₂ 2C + 4 N + 2).
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let chunk = Double(MixerCosts.bounded(chunkLength))
        return channelCount * (Int(20 * log2(2 * chunk)) + 4 * stateSize + 2)
    }
}
