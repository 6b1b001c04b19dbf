import Layers
import Torch

/// Which positions belong together: int32 [B, T], where 0 is padding and equal numbers see each other.
public final class T5Segments {
    /// One number a position.
    public let values: Tensor
    private var strided: [Int: Tensor] = [:]

    /// Segments as int32 [B, T].
    public init(_ values: Tensor) throws {
        guard values.rank == 2 else {
            throw T5Error.wrongShape(what: "segments", expected: "[B, T]", found: values.shape)
        }
        self.values = try values.to(.int32)
    }

    /// The segments of every `stride`-th position.
    public func every(_ stride: Int) throws -> Tensor {
        guard stride > 1 else { return values }
        if let found = strided[stride] { return found }
        let result = try values.sliced(1, 0..<values.size(1), by: stride).contiguous()
        strided[stride] = result
        return result
    }
}

/// The result of the encoder.
public struct T5Memory {
    /// Hidden states after the final norm, [B, T, encoder output width], in the compute type.
    public let hidden: Tensor
    /// What is padding and what belongs together; nil where everything does.
    public let segments: T5Segments?

    /// Given states.
    public init(hidden: Tensor, segments: T5Segments?) {
        self.hidden = hidden
        self.segments = segments
    }

    /// The given rows, in that order; rows may repeat.
    public func selecting(rows: [Int]) throws -> T5Memory {
        let indices = try Tensor.from(rows.map(Int64.init), on: hidden.device)
        return T5Memory(
            hidden: try hidden.indexSelected(0, indices),
            segments: try segments.map { try T5Segments($0.values.indexSelected(0, indices)) })
    }
}

/// What all layers of one pass through a stack share.
public struct T5Call {
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
