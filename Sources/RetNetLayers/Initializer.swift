import Foundation
import RetNetTorch

/// The distribution of a parameter's initial values; matrices are [out, in].
public enum Initializer: Sendable, Equatable {
    /// U(-s, s) with s = gain · √(6 / (fanIn + fanOut)).
    case xavierUniform(gain: Double)
    /// U(-1/√fanIn, 1/√fanIn) times `scale`: the default of PyTorch's linear layers.
    case fanInUniform(scale: Double)
    /// N(0, standardDeviation²).
    case normal(standardDeviation: Double)
    /// A normal distribution cut off at two of its own deviations, such that the result has the given deviation.
    case truncatedNormal(standardDeviation: Double)
    /// Every value the same.
    case constant(Double)
    /// U(low, high).
    case uniform(from: Double, to: Double)
    /// The given values in row-major order, repeated where the parameter has more.
    case values([Double])
    /// An orthogonal matrix times a gain: orthonormal rows, or columns where there are fewer of them.
    case orthogonal(gain: Double)
    /// ln U(low, high), at least ln 1e-4: logarithms of decay rates.
    case logarithmOfUniform(from: Double, to: Double)
    /// The inverse softplus of e^U(ln low, ln high), at least 1e-4: biases of step sizes.
    case inverseSoftplusOfLogUniform(from: Double, to: Double)

    /// Returns the same distribution, scaled by a factor; rates and step sizes stay as they are.
    public func scaled(by factor: Double) -> Initializer {
        switch self {
        case .xavierUniform(let gain): .xavierUniform(gain: gain * factor)
        case .fanInUniform(let scale): .fanInUniform(scale: scale * factor)
        case .normal(let deviation): .normal(standardDeviation: deviation * factor)
        case .truncatedNormal(let deviation): .truncatedNormal(standardDeviation: deviation * factor)
        case .constant(let value): .constant(value * factor)
        case .uniform(let low, let high): .uniform(from: low * factor, to: high * factor)
        case .values(let values): .values(values.map { $0 * factor })
        case .orthogonal(let gain): .orthogonal(gain: gain * factor)
        case .logarithmOfUniform, .inverseSoftplusOfLogUniform: self
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
        case .truncatedNormal(let deviation):
            // Cutting at two deviations leaves 0.8796 of the deviation.
            return try Self.cutNormal(shape, generator) * (deviation / 0.87962566103423978)
        case .constant(let value):
            return try Tensor.full(shape, value)
        case .uniform(let low, let high):
            return try generator.uniform(shape, from: low, to: high)
        case .values(let values):
            let count = shape.reduce(1, *)
            guard !values.isEmpty, count % values.count == 0 else {
                throw TorchError(
                    kind: .value, message: "\(values.count) initial values do not fill the shape \(shape)")
            }
            let all = (0..<count / values.count).flatMap { _ in values }
            return try Tensor.from(all, shape)
        case .orthogonal(let gain):
            let (rows, columns) = (shape.first ?? 1, shape.dropFirst().reduce(1, *))
            let tall = rows >= columns
            let random = try generator.normal(tall ? [rows, columns] : [columns, rows], .float64)
            let basis = try random.orthonormalColumns()
            return try (tall ? basis : basis.transposed(0, 1)).reshaped(shape) * gain
        case .logarithmOfUniform(let low, let high):
            return try generator.uniform(shape, from: low, to: high).maximum(1e-4).log()
        case .inverseSoftplusOfLogUniform(let low, let high):
            let steps = try generator.uniform(shape, from: Foundation.log(low), to: Foundation.log(high))
                .exp().maximum(1e-4)
            return try steps + steps.negated().expm1().negated().log()
        }
    }

    /// Returns standard normal values, drawn again while they are beyond ±2.
    private static func cutNormal(_ shape: [Int], _ generator: Generator) throws -> Tensor {
        var values = try generator.normal(shape)
        while values.elementCount > 0, try values.abs().max().item() > 2 {
            values = try Tensor.select(
                where: values.abs().isLess(than: 2), values, else: generator.normal(shape))
        }
        return values
    }
}
