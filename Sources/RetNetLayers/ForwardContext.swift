import RetNetTorch

/// The settings of a forward pass: everything but parameters and inputs.
public struct ForwardContext {
    /// True if dropout is active.
    public var isTraining: Bool
    /// The source of dropout masks; needed for training with dropout.
    public var generator: Generator?
    /// The collector of losses of layers; nil to drop them.
    public var auxiliaryLosses: AuxiliaryLosses?
    /// True if recurrent steps may write the next state into the tensors of the given one.
    ///
    /// A state of megabytes is then read and written once instead of being copied first. Set it only for a state that
    /// an earlier pass returned and that nothing else uses: not a snapshot, not tensors read from a file. After a pass
    /// that throws, the given state is undefined.
    public var overwritesStates = false
    /// False if nothing uses the states after the pass: mixers may then leave out what only they need, and return
    /// states that mean nothing.
    public var keepsStates = true
    /// This rank's part of sequences that lie on several ranks; nil where the pass sees all of them.
    ///
    /// States before and after the pass are then those of the whole sequences, the same on all ranks.
    public var sequence: SequencePart?

    /// A context for inference by default.
    public init(
        isTraining: Bool = false, generator: Generator? = nil, auxiliaryLosses: AuxiliaryLosses? = nil
    ) {
        self.isTraining = isTraining
        self.generator = generator
        self.auxiliaryLosses = auxiliaryLosses
    }

    /// Inference: no dropout.
    public static var inference: ForwardContext { ForwardContext() }
}

/// Dropout of elements and of whole rows.
public enum Dropout {
    /// Zeroes elements with a probability and scales the others up, in training only.
    public static func apply(_ x: Tensor, probability: Double, _ context: ForwardContext) throws -> Tensor {
        try apply(x, maskShape: x.shape, probability, context)
    }

    /// Zeroes elements of this rank's part of an axis, with its part of the mask of all; the same as ``apply(_:probability:_:)``
    /// without a group.
    static func apply(
        _ x: Tensor, probability: Double, _ context: ForwardContext, lastAxisOf group: (any RankGroup)?
    ) throws -> Tensor {
        guard let group else { return try apply(x, probability: probability, context) }
        let whole = x.size(-1) * group.count
        let shape = Array(x.shape.dropLast()) + [whole]
        guard let mask = try mask(shape, probability: probability, as: x.elementType, context) else {
            return x
        }
        return try x * mask.sliced(x.rank - 1, group.part(of: whole))
    }

    /// Zeroes elements with one mask for all indices of the given axes.
    public static func apply(
        _ x: Tensor, probability: Double, sharedAxes: [Int], _ context: ForwardContext
    ) throws -> Tensor {
        var mask = x.shape
        for axis in sharedAxes where mask.indices.contains(axis) { mask[axis] = 1 }
        return try apply(x, maskShape: mask, probability, context)
    }

    /// Returns a dropout mask of a shape, scaled to keep the mean; nil if nothing is dropped.
    public static func mask(
        _ shape: [Int], probability: Double, as type: ElementType, _ context: ForwardContext
    )
        throws -> Tensor?
    {
        guard context.isTraining, probability > 0, let generator = context.generator else { return nil }
        return try generator.bernoulli(shape, probability: 1 - probability, type) * (1 / (1 - probability))
    }

    /// Zeroes whole batch rows of x [B, ...] with a probability (stochastic depth), in training only.
    public static func dropPath(_ x: Tensor, probability: Double, _ context: ForwardContext) throws -> Tensor
    {
        let mask = [x.size(0)] + [Int](repeating: 1, count: x.rank - 1)
        return try apply(x, maskShape: mask, probability, context)
    }

    private static func apply(
        _ x: Tensor, maskShape: [Int], _ probability: Double, _ context: ForwardContext
    ) throws -> Tensor {
        guard let mask = try mask(maskShape, probability: probability, as: x.elementType, context) else {
            return x
        }
        return try x * mask
    }
}

/// Losses that layers add during a pass, in addition to the loss of the model.
///
/// Mixtures of experts keep their routers balanced with them. A term is a mean over the tokens of the pass, with
/// its coefficient applied.
public final class AuxiliaryLosses {
    /// One loss of one layer.
    public struct Term {
        /// The name in records of metrics.
        public let name: String
        /// A scalar in the graph of the pass.
        public let value: Tensor
    }

    /// All terms of the pass, in the order of the layers.
    public private(set) var terms: [Term] = []
    private var observations: [(name: String, value: Double)] = []

    /// No losses.
    public init() {}

    /// Adds a loss.
    public func add(_ name: String, _ value: Tensor) { terms.append(Term(name: name, value: value)) }

    /// Adds a number for the records that is no loss; those of one name are averaged.
    public func observe(_ name: String, _ value: Double) { observations.append((name, value)) }

    /// Returns the sum of all terms, or nil if there are none.
    public func total() throws -> Tensor? {
        guard let first = terms.first?.value else { return nil }
        return try terms.dropFirst().reduce(first) { try $0 + $1.value }
    }

    /// Returns the terms summed and the observations averaged by name, sorted by name.
    public func summary() throws -> [(name: String, value: Double)] {
        var sums: [String: Double] = [:]
        for term in terms { sums[term.name, default: 0] += try term.value.detached().item() }
        let groups = Dictionary(grouping: observations, by: \.name)
        for (name, values) in groups {
            sums[name] = values.reduce(0) { $0 + $1.value } / Double(values.count)
        }
        return sums.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }

    /// Runs a body and returns the terms that it adds, instead of keeping them.
    ///
    /// Where activations are computed again, terms must leave the segment as outputs of it.
    public func capturing<R>(_ body: () throws -> R) rethrows -> (result: R, terms: [Term]) {
        let before = terms
        terms = []
        defer { terms = before }
        let result = try body()
        return (result, terms)
    }
}
