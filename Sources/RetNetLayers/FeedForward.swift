import RetNetTorch

/// A position-wise layer: every token is transformed independently of all others.
public protocol FeedForwardLayer {
    /// The names of the auxiliary losses that a training pass adds, in order.
    var auxiliaryLossNames: [String] { get }
    /// Maps x [B, T, D] → [B, T, D].
    func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor
}

extension FeedForwardLayer {
    /// None.
    public var auxiliaryLossNames: [String] { [] }
}

/// The position-wise feed-forward: down(act(up x)), or the gated down(act(up x) · gate x).
public struct FeedForward: FeedForwardLayer {
    /// Sizes and choices.
    public struct Options {
        /// D.
        public var hiddenSize: Int
        /// F.
        public var innerSize: Int
        /// True if there is a linear branch that multiplies the activated one (GLU).
        public var isGated: Bool
        /// The activation of `up`.
        public var activation: FusedOperators.Activation
        /// True if the projections have biases.
        public var biases: Bool
        /// A norm over the inner width before `down`, as kind and epsilon (torchscale's sub-LN).
        public var subNorm: (kind: FusedOperators.NormKind, epsilon: Double)?
        /// Dropout after the activation.
        public var activationDropout: Double
        /// The initial values of `up` and `down`.
        public var initializer: Initializer
        /// The initial values of `gate`, to which torchscale's depth scaling does not apply.
        public var gateInitializer: Initializer
        /// The initial values of `down`; nil for those of `up`.
        public var downInitializer: Initializer?

        /// All choices.
        public init(
            hiddenSize: Int, innerSize: Int, isGated: Bool, activation: FusedOperators.Activation,
            biases: Bool,
            subNorm: (kind: FusedOperators.NormKind, epsilon: Double)?, activationDropout: Double,
            initializer: Initializer, gateInitializer: Initializer, downInitializer: Initializer? = nil
        ) {
            self.hiddenSize = hiddenSize
            self.innerSize = innerSize
            self.isGated = isGated
            self.activation = activation
            self.biases = biases
            self.subNorm = subNorm
            self.activationDropout = activationDropout
            self.initializer = initializer
            self.gateInitializer = gateInitializer
            self.downInitializer = downInitializer
        }
    }

    private let up: Linear
    private let gate: Linear?
    private let subNorm: Norm?
    private let down: Linear
    private let options: Options
    /// The ranks that have some of the F columns each; nil for all.
    private let group: (any RankGroup)?

    /// Declares `up`, `gate`, `sub_norm` and `down`.
    public init(_ scope: ParameterScope, _ options: Options) throws {
        self.options = options
        group = scope.group
        let (d, f) = (options.hiddenSize, options.innerSize)
        up = try Linear(
            scope.scope("up"), from: d, to: f, bias: options.biases, initializer: options.initializer,
            dividing: .outputs)
        gate =
            options.isGated
            ? try Linear(
                scope.scope("gate"), from: d, to: f, bias: options.biases,
                initializer: options.gateInitializer, dividing: .outputs)
            : nil
        subNorm = try options.subNorm.map {
            try Norm(scope.scope("sub_norm"), size: f, kind: $0.kind, epsilon: $0.epsilon, affine: true)
        }
        down = try Linear(
            scope.scope("down"), from: f, to: d, bias: options.biases,
            initializer: options.downInitializer ?? options.initializer, dividing: .inputs)
    }

    /// Maps x [B, T, D] → [B, T, D].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        let x = try group?.entering(x) ?? x
        var inner = try FusedOperators.gatedActivation(
            try up(x), try gate?(x), activation: options.activation)
        inner = try Dropout.apply(
            inner, probability: options.activationDropout, context, lastAxisOf: group)
        if let subNorm { inner = try subNorm(inner) }
        return try down(inner)
    }
}
