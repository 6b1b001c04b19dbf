import RetNetTorch

/// One row of a dialect's table: some of this package's parameters and the tensors that hold them.
///
/// Reading joins their tensors along an axis, applies the steps, and cuts the result along its first axis into the
/// parameters; writing goes the same way back. Both only move elements, so every value keeps its bits.
public struct TensorRow: Sendable {
    /// Names of this package's parameters, joined along the first axis.
    public let ours: [String]
    /// Names of the other project's tensors, of equal shapes, joined along ``joinAxis``.
    public let theirs: [String]
    /// The axis along which ``theirs`` are joined.
    public let joinAxis: Int
    /// What turns their joined tensor into our joined parameter.
    public let steps: [TensorStep]

    /// A row; by default the tensors are the same.
    public init(_ ours: [String], _ theirs: [String], joinAxis: Int = 0, steps: [TensorStep] = []) {
        self.ours = ours
        self.theirs = theirs
        self.joinAxis = joinAxis
        self.steps = steps
    }

    /// Returns the shapes of their tensors, for those of our parameters; throws ``TensorRowFault``.
    func theirShapes(_ ourShapes: [[Int]]) throws -> [[Int]] {
        guard var shape = ourShapes.first else { return [] }
        if ourShapes.count > 1 {
            guard ourShapes.allSatisfy({ $0.dropFirst() == shape.dropFirst() }) else {
                throw TensorRowFault.unjoinable(ourShapes)
            }
            shape[0] = ourShapes.reduce(0) { $0 + $1[0] }
        }
        for step in steps.reversed() { shape = try step.inverse.shape(shape) }
        guard theirs.count > 1 else { return [shape] }
        guard shape.indices.contains(joinAxis), shape[joinAxis] % theirs.count == 0 else {
            throw TensorRowFault.unsplittable(shape, count: theirs.count)
        }
        shape[joinAxis] /= theirs.count
        return theirs.map { _ in shape }
    }

    /// Returns one of our parameters from their tensors.
    func ours(_ index: Int, ourShapes: [[Int]], _ tensors: [Tensor]) throws -> Tensor {
        var joined = tensors.count == 1 ? tensors[0] : try Tensor.concatenated(tensors, axis: joinAxis)
        for step in steps { joined = try step.apply(joined) }
        guard ours.count > 1 else { return try joined.contiguous() }
        let start = ourShapes.prefix(index).reduce(0) { $0 + $1[0] }
        return try joined.sliced(0, start..<start + ourShapes[index][0]).contiguous()
    }

    /// Returns one of their tensors from our parameters.
    func theirs(_ index: Int, _ tensors: [Tensor]) throws -> Tensor {
        var joined = tensors.count == 1 ? tensors[0] : try Tensor.concatenated(tensors, axis: 0)
        for step in steps.reversed() { joined = try step.inverse.apply(joined) }
        guard theirs.count > 1 else { return try joined.contiguous() }
        let size = joined.size(joinAxis) / theirs.count
        return try joined.sliced(joinAxis, index * size..<(index + 1) * size).contiguous()
    }
}

/// A change of a tensor's layout that has an exact inverse.
public enum TensorStep: Sendable, Equatable {
    /// The axes in another order: axis i of the result is axis `axes[i]` before.
    case permuted([Int])
    /// Another shape of as many elements.
    case reshaped(from: [Int], to: [Int])
    /// The first axis in another order: row i of the result is row `order[i]` before.
    case rows([Int])

    /// The two axes of a matrix swapped.
    public static let transposed = TensorStep.permuted([1, 0])

    /// The step that undoes this one.
    var inverse: TensorStep {
        switch self {
        case .permuted(let axes): .permuted(Self.inverted(axes))
        case .reshaped(let from, let to): .reshaped(from: to, to: from)
        case .rows(let order): .rows(Self.inverted(order))
        }
    }

    private static func inverted(_ order: [Int]) -> [Int] {
        var result = order
        for (new, old) in order.enumerated() where result.indices.contains(old) { result[old] = new }
        return result
    }

    /// Returns the shape after this step; throws ``TensorRowFault`` for a shape that it does not fit.
    func shape(_ shape: [Int]) throws -> [Int] {
        switch self {
        case .permuted(let axes):
            guard axes.count == shape.count else { throw TensorRowFault.misfit(self, shape) }
            return axes.map { shape[$0] }
        case .reshaped(let from, let to):
            guard shape == from else { throw TensorRowFault.misfit(self, shape) }
            return to
        case .rows(let order):
            guard shape.first == order.count else { throw TensorRowFault.misfit(self, shape) }
            return shape
        }
    }

    func apply(_ tensor: Tensor) throws -> Tensor {
        switch self {
        case .permuted(let axes): try tensor.permuted(axes)
        case .reshaped(_, let to): try tensor.reshaped(to)
        case .rows(let order): try tensor.indexSelected(0, Tensor.from(order.map { Int64($0) }))
        }
    }
}

/// A row whose steps do not fit the shapes of the parameters: a mistake in a dialect.
enum TensorRowFault: Error, CustomStringConvertible {
    case misfit(TensorStep, [Int])
    case unjoinable([[Int]])
    case unsplittable([Int], count: Int)

    var description: String {
        switch self {
        case .misfit(let step, let shape): "the step \(step) does not fit the shape \(shape)"
        case .unjoinable(let shapes):
            "tensors of the shapes \(shapes) cannot be joined along their first axis"
        case .unsplittable(let shape, let count):
            "a tensor of the shape \(shape) cannot be cut into \(count) equal parts"
        }
    }
}
