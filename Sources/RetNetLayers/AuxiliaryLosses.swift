import RetNetTorch

/// Losses beside the model's own, which layers add during a pass and a trainer weighs in.
///
/// Mixtures of experts keep their routers balanced with them. A term is a mean over the tokens of the pass, with
/// its coefficient applied.
public final class AuxiliaryLosses {
    /// One loss of one layer.
    public struct Term {
        /// What it is, as in records of metrics.
        public let name: String
        /// A scalar in the graph of the pass.
        public let value: Tensor
    }

    /// All terms of the pass, in the order of layers.
    public private(set) var terms: [Term] = []
    private var observations: [(name: String, value: Double)] = []

    /// No losses.
    public init() {}

    /// Adds a loss.
    public func add(_ name: String, _ value: Tensor) { terms.append(Term(name: name, value: value)) }

    /// Notes a number for the records that is no loss; those of one name are averaged.
    public func observe(_ name: String, _ value: Double) { observations.append((name, value)) }

    /// The sum of all terms, or nil where there are none.
    public func total() throws -> Tensor? {
        guard let first = terms.first?.value else { return nil }
        return try terms.dropFirst().reduce(first) { try $0 + $1.value }
    }

    /// The terms summed and the observations averaged by name, sorted by name.
    public func summary() throws -> [(name: String, value: Double)] {
        var sums: [String: Double] = [:]
        for term in terms { sums[term.name, default: 0] += try term.value.detached().item() }
        let groups = Dictionary(grouping: observations, by: \.name)
        for (name, values) in groups {
            sums[name] = values.reduce(0) { $0 + $1.value } / Double(values.count)
        }
        return sums.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }

    /// Runs a body and gives back the terms that it adds, instead of keeping them.
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
