import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// T5's feed-forward: wo · act(wi x), or wo · (act(wi_0 x) ⊙ wi_1 x).
public struct T5FeedForward {
    private let inner: [Tensor]
    private let output: Tensor
    private let activation: FusedOperators.Activation
    private let dropout: Double
    private let sharedAxes: [Int]

    /// Declares `wi`, or `wi_0` and `wi_1`, and `wo`.
    public init(_ scope: ParameterScope, _ configuration: T5Configuration) throws {
        let c = configuration
        let initializers = T5Initializers(c)
        inner = try (c.feedForward.isGated ? ["wi_0", "wi_1"] : ["wi"]).map {
            try scope.scope($0).parameter(
                "weight", [c.innerSize, c.hiddenSize], initializers.feedForward(inputSize: c.hiddenSize))
        }
        output = try scope.scope("wo").parameter(
            "weight", [c.hiddenSize, c.innerSize], initializers.feedForward(inputSize: c.innerSize))
        activation = c.feedForward.activation
        dropout = c.dropout
        sharedAxes = c.sharesDropoutMasks ? [1] : []
    }

    private init(_ other: T5FeedForward, inner: [Tensor], output: Tensor) {
        self.inner = inner
        self.output = output
        activation = other.activation
        dropout = other.dropout
        sharedAxes = other.sharedAxes
    }

    /// Returns the same layer with weights in an element type, for many calls in that type.
    func converted(to type: ElementType) throws -> T5FeedForward {
        T5FeedForward(self, inner: try inner.map { try $0.to(type) }, output: try output.to(type))
    }

    /// Maps x [B, T, d] → [B, T, d].
    public func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
        func linear(_ x: Tensor, _ weight: Tensor) throws -> Tensor { try x.linear(weight.to(x.elementType)) }
        let gate = inner.count > 1 ? try linear(x, inner[1]) : nil
        let active = try FusedOperators.gatedActivation(linear(x, inner[0]), gate, activation: activation)
        let kept = try Dropout.apply(active, probability: dropout, sharedAxes: sharedAxes, context)
        return try linear(kept, output)
    }
}

extension T5FeedForward {
    /// Returns the shape and the initial values of a feed-forward, for experts in its place.
    static func options(_ configuration: T5Configuration) -> FeedForward.Options {
        let c = configuration
        let initializers = T5Initializers(c)
        let first = initializers.feedForward(inputSize: c.hiddenSize)
        return FeedForward.Options(
            hiddenSize: c.hiddenSize, innerSize: c.innerSize, isGated: c.feedForward.isGated,
            activation: c.feedForward.activation, biases: false, subNorm: nil, activationDropout: c.dropout,
            initializer: first, gateInitializer: first,
            downInitializer: initializers.feedForward(inputSize: c.innerSize))
    }
}

/// The sublayer after attention in a layer of T5: a feed-forward, experts, or both.
enum T5FeedForwardPart {
    /// T5's own feed-forward.
    case whole(T5FeedForward)
    /// Experts in its place.
    case experts(MixtureOfExperts)
    /// Tiny experts whose output is added to that of the feed-forward.
    case both(T5FeedForward, MixtureOfExperts)

    /// Declares the sublayer of layer `layer` of a side, under `DenseReluDense`.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, layer: Int, isDecoder: Bool) throws {
        let scope = scope.scope("DenseReluDense")
        guard let kind = configuration.experts?.experts(layer: layer, isDecoder: isDecoder) else {
            self = .whole(try T5FeedForward(scope, configuration))
            return
        }
        let experts = try MixtureOfExperts(scope, kind.options(for: T5FeedForward.options(configuration)))
        guard kind.keepsFeedForward else {
            self = .experts(experts)
            return
        }
        self = .both(try T5FeedForward(scope, configuration), experts)
    }

    /// Returns the same sublayer with weights in an element type, for the steps of decoding.
    func converted(to type: ElementType) throws -> T5FeedForwardPart {
        switch self {
        case .whole(let whole): .whole(try whole.converted(to: type))
        case .experts(let experts): .experts(try experts.converted(to: type))
        case .both(let whole, let experts):
            .both(try whole.converted(to: type), try experts.converted(to: type))
        }
    }

    /// Maps x [B, T, d] → [B, T, d].
    ///
    /// `places` are the indices among all B · T positions of those that are not padding: padding reaches no expert.
    func callAsFunction(_ x: Tensor, places: @autoclosure () throws -> Tensor?, _ context: ForwardContext)
        throws -> Tensor
    {
        switch self {
        case .whole(let whole): try whole(x, context)
        case .experts(let experts): try experts(x, at: places(), context)
        case .both(let whole, let experts): try whole(x, context) + experts(x, at: places(), context)
        }
    }
}

extension T5Configuration.FeedForwardKind {
    /// The activation of the first branch.
    public var activation: FusedOperators.Activation {
        switch self {
        case .relu, .gatedRelu: .relu
        case .gelu: .gelu
        case .gatedGelu: .geluTanh
        case .silu, .gatedSilu: .swish
        }
    }
}
