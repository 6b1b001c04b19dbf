/// Sizes and choices of a diagonal state space layer (S4D, arXiv 2206.11893).
public struct S4DConfiguration: Sendable, Equatable {
    /// What stands around the state spaces.
    public enum Block: String, Sendable, CaseIterable {
        /// W (GELU(S4D(x))) to twice the width and GLU: the block of the authors' code.
        case glu
        /// W_out (swish(W_gate x) ⊙ S4D(W_in x)).
        case gated
    }

    /// d, the number of channels; with ``Block/glu`` the width of the model.
    public var channelCount: Int
    /// N, the real dimensions of a channel's state: N/2 complex modes and their conjugates.
    public var stateSize: Int
    /// What stands around the state spaces.
    public var block: Block
    /// First values of A.
    public var initialization: StateSpaceInitialization
    /// How A and B are turned into steps.
    public var discretization: Discretization

    /// S4D-Lin with zero-order hold in the authors' block, unless told otherwise.
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
