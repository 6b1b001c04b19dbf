import RetNetLayers
import RetNetTorch

/// What all layers of one pass through a stack share.
public struct T5ForwardPass {
    /// The position biases of the stack.
    public let bias: T5PositionBias
    /// Segments of the positions at stride 1.
    public let segments: T5Segments?
    /// The encoder's result, for layers of a decoder.
    public let memory: T5Memory?
    /// Dropout.
    public let context: ForwardContext
    /// The element type of everything but the residual stream.
    public let computeType: ElementType
}
