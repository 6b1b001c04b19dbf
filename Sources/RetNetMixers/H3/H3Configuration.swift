/// Sizes and choices of a layer of H3 (Hungry Hungry Hippos, arXiv 2212.14052).
public struct H3Configuration: Sendable, Equatable {
    /// H, the number of heads.
    public var headCount: Int
    /// P, the width of a head; every head remembers P² sequences of products.
    public var headSize: Int
    /// N, the real dimensions of the diagonal state of one sequence.
    public var stateSize: Int
    /// W, the number of inputs that the shift state space remembers.
    public var shiftSize: Int
    /// First values of A of the diagonal state space.
    public var initialization: StateSpaceInitialization
    /// How A and B of the diagonal state space are turned into steps.
    public var discretization: Discretization
    /// Whether the four projections have biases.
    public var biases: Bool

    /// The authors' layer with heads of the width of RetNet's comparison, unless told otherwise.
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
