import RetNetLayers
import RetNetTorch

/// A depthwise causal convolution over the last few positions of every channel.
///
///     y_t = b + Σⱼ wⱼ ⊙ x_{t-(W-1)+j},   j = 0 … W-1
///
/// Its state is a ring of the last W-1 inputs.
public struct ShortConvolution {
    /// W, the number of taps.
    public let width: Int
    /// C, the number of channels.
    public let channels: Int
    private let weight: Tensor
    private let bias: Tensor?

    /// Declares `weight` [C, W] and, where wanted, `bias` [C]; PyTorch's default for convolutions at first.
    public init(
        _ scope: ParameterScope, channels: Int, width: Int, bias: Bool,
        initializer: Initializer = .fanInUniform(scale: 1)
    ) throws {
        self.channels = channels
        self.width = width
        weight = try scope.parameter("weight", [channels, width], initializer, decays: false)
        self.bias = bias ? try scope.parameter("bias", [channels], .constant(0)) : nil
    }

    /// x [B, T, C] after the inputs of the ring [B, W-1, C] (nil: none) → [B, T, C] and the next ring.
    public func callAsFunction(_ x: Tensor, ring: Tensor?) throws -> (output: Tensor, ring: Tensor) {
        try FusedOperators.shortConvolution(x, weight: weight, bias: bias, ring: ring)
    }

    /// The ring before the first position.
    public func initialRing(batch: Int, elementType: ElementType, device: Device) throws -> Tensor {
        try Tensor.zeros([batch, width - 1, channels], elementType.accumulator, on: device)
    }

    /// The same convolution position by position: the specification, outside any kernel.
    public func definition(_ x: Tensor, ring: Tensor?) throws -> (output: Tensor, ring: Tensor) {
        let type = x.elementType.accumulator
        let past = try ring ?? initialRing(batch: x.size(0), elementType: type, device: x.device)
        let all = try Tensor.concatenated([past.to(type), x.to(type)], axis: 1)
        let outputs = try (0..<x.size(1)).map { position in
            let window = try all.sliced(1, position..<position + width)
            let sum = try (window * weight.to(type).transposed(0, 1)).sum([1])
            return try bias.map { try sum + $0.to(type) } ?? sum
        }
        return (try Tensor.stacked(outputs, axis: 1), try all.sliced(1, x.size(1)..<all.size(1)))
    }
}
