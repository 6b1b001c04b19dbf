import Foundation
import Torch

/// How a parameter's first values are drawn; matrices are [out, in].
public enum Initializer: Sendable, Equatable {
    /// U(-s, s) with s = gain · √(6 / (fanIn + fanOut)).
    case xavierUniform(gain: Double)
    /// U(-1/√fanIn, 1/√fanIn) times `scale`: the default of PyTorch's linear layers.
    case fanInUniform(scale: Double)
    /// N(0, standardDeviation²).
    case normal(standardDeviation: Double)
    /// Every value the same.
    case constant(Double)

    /// The same distribution, wider or narrower by a factor.
    public func scaled(by factor: Double) -> Initializer {
        switch self {
        case .xavierUniform(let gain): .xavierUniform(gain: gain * factor)
        case .fanInUniform(let scale): .fanInUniform(scale: scale * factor)
        case .normal(let deviation): .normal(standardDeviation: deviation * factor)
        case .constant(let value): .constant(value * factor)
        }
    }

    func makeTensor(_ shape: [Int], generator: Generator) throws -> Tensor {
        let fanOut = Double(shape.first ?? 1)
        let fanIn = Double(shape.last ?? 1)
        switch self {
        case .xavierUniform(let gain):
            let bound = gain * (6 / (fanIn + fanOut)).squareRoot()
            return try generator.uniform(shape, from: -bound, to: bound)
        case .fanInUniform(let scale):
            let bound = scale / fanIn.squareRoot()
            return try generator.uniform(shape, from: -bound, to: bound)
        case .normal(let deviation):
            return try generator.normal(shape, standardDeviation: deviation)
        case .constant(let value):
            return try Tensor.full(shape, value)
        }
    }
}
