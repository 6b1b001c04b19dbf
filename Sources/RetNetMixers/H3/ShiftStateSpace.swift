import Foundation
import RetNetLayers
import RetNetTorch

/// The shift state space of H3: a state of the last W inputs, so a filter of W taps on every channel.
///
/// With x_t = Shift x_{t-1} + B u_t and y = C x + D u the taps are K_l = Σ_j B_j C_(j+l), l < W. B starts as e₁,
/// where the taps are C itself, and is trained; then they are not, and a step must not just insert u.
struct ShiftStateSpace {
    private let input: Tensor
    private let readout: Tensor
    private let skip: Tensor
    private let width: Int

    /// Declares B, C as a depthwise convolution's weights are drawn, U(-1/√W, 1/√W), and a normal D.
    init(_ scope: ParameterScope, channelCount: Int, width: Int) throws {
        self.width = width
        let unit = [1.0] + [Double](repeating: 0, count: width - 1)
        input = try scope.parameter(
            "input", [channelCount, width], .values(unit), decays: false,
            maximumLearningRate: StateSpaceParameters.maximumLearningRate)
        readout = try scope.parameter("readout", [channelCount, width], .fanInUniform(scale: 1))
        skip = try scope.parameter("skip", [channelCount], .normal(standardDeviation: 1))
    }

    /// Everything that the taps depend on.
    var weights: [Tensor] { [input, readout] }

    /// The filters [W, C]: the correlation of C with B, which is a convolution of one of them backwards.
    func taps(_ type: ElementType) throws -> Tensor {
        try FusedOperators.longConvolution(
            input.to(type).transposed(0, 1).unsqueezed(0), taps: readout.to(type).transposed(0, 1).flipped(0)
        ).squeezed(0).flipped(0)
    }

    /// x [B, T, C] after the inputs of the ring [B, W-1, C] → [B, T, C] in the ring's type, and the next ring.
    func callAsFunction(_ x: Tensor, taps: Tensor, ring: Tensor) throws -> (output: Tensor, ring: Tensor) {
        let length = x.size(1)
        let all = try Tensor.concatenated([ring, x.to(ring.elementType)], axis: 1)
        let output = try FusedOperators.longConvolution(
            all, taps: taps, skip: skip.to(ring.elementType),
            starts: [Int](repeating: width - 1, count: x.size(0)), length: length)
        return (output, try all.sliced(1, length..<length + width - 1).contiguous())
    }
}
