import RetNetLayers
import RetNetTorch

/// What follows attention in a layer of T5.
enum T5FeedForwardPart {
    /// T5's own feed-forward.
    case whole(T5FeedForward)
    /// Experts in its place.
    case experts(MixtureOfExperts)
    /// Tiny experts beside it.
    case both(T5FeedForward, MixtureOfExperts)

    /// Declares what layer `layer` of a side has, under `DenseReluDense`.
    init(_ scope: ParameterScope, _ configuration: T5Configuration, layer: Int, isDecoder: Bool) throws {
        let scope = scope.scope("DenseReluDense")
        guard let kind = configuration.experts?.experts(layer: layer, isDecoder: isDecoder) else {
            self = .whole(try T5FeedForward(scope, configuration))
            return
        }
        let experts = try MixtureOfExperts(scope, kind.options(beside: T5FeedForward.options(configuration)))
        guard kind.keepsFeedForward else {
            self = .experts(experts)
            return
        }
        self = .both(try T5FeedForward(scope, configuration), experts)
    }

    /// The same with weights in an element type, for the steps of decoding.
    func converted(to type: ElementType) throws -> T5FeedForwardPart {
        switch self {
        case .whole(let whole): .whole(try whole.converted(to: type))
        case .experts(let experts): .experts(try experts.converted(to: type))
        case .both(let whole, let experts):
            .both(try whole.converted(to: type), try experts.converted(to: type))
        }
    }

    /// x [B, T, d] → [B, T, d]; `places` are those of all B · T that are no padding, which reaches no expert.
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
