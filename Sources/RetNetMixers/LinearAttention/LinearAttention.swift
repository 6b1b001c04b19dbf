import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Causal linear attention of features q, k with values v.
///
///     o_t = q_t S_t / (q_t · z_t + ε),   S_t = Σ_{i≤t} kᵢᵀ vᵢ,   z_t = Σ_{i≤t} kᵢ
///
/// q, k [B, H, T, A] after the feature map, v [B, H, T, V]. Queries and keys of the numerator may be rotated; those
/// of the denominator are not, or it could cross zero. Source: Katharopoulos and others, arXiv 2006.16236.
public enum LinearAttention {
    /// Outputs [B, H, T, V], S [B, H, A, V] and z [B, H, A] after the last position.
    public typealias Result = (output: Tensor, matrix: Tensor, keySum: Tensor)

    /// Features and values of a call.
    public struct Inputs {
        /// Features of the numerator.
        public var query: Tensor
        /// Features of the numerator.
        public var key: Tensor
        /// v.
        public var value: Tensor
        /// Features of the denominator where they differ, by a rotation, from those of the numerator.
        public var plain: (query: Tensor, key: Tensor)?

        /// The inputs of a call.
        public init(query: Tensor, key: Tensor, value: Tensor, plain: (query: Tensor, key: Tensor)? = nil) {
            self.query = query
            self.key = key
            self.value = value
            self.plain = plain
        }
    }

    /// The formula itself in float64, position by position over all earlier ones.
    public static func definition(_ x: Inputs, epsilon: Double, matrix: Tensor?, keySum: Tensor?) throws
        -> Result
    {
        let (q, k, v) = (try x.query.to(.float64), try x.key.to(.float64), try x.value.to(.float64))
        let (plainQ, plainK) = (try x.plain?.query.to(.float64) ?? q, try x.plain?.key.to(.float64) ?? k)
        let start = try matrix?.to(.float64)
        let startSum = try keySum?.to(.float64)
        var outputs: [Tensor] = []
        for t in 0..<q.size(2) {
            let (query, plain) = (try q.sliced(2, t..<t + 1), try plainQ.sliced(2, t..<t + 1))
            let scores = try query.matmul(k.sliced(2, 0..<t + 1).transposed(-1, -2))
            var numerator = try scores.matmul(v.sliced(2, 0..<t + 1))
            var denominator = try plain.matmul(plainK.sliced(2, 0..<t + 1).transposed(-1, -2)).sum(
                [-1], keepingAxes: true)
            if let start { numerator = try numerator + query.matmul(start) }
            if let startSum {
                denominator = try denominator + (plain * startSum.unsqueezed(2)).sum([-1], keepingAxes: true)
            }
            outputs.append(try numerator / (denominator + epsilon))
        }
        let last = try k.transposed(-1, -2).matmul(v)
        let lastSum = try plainK.sum([2])
        return (
            try Tensor.concatenated(outputs, axis: 2), try start.map { try $0 + last } ?? last,
            try startSum.map { try $0 + lastSum } ?? lastSum
        )
    }

    /// Runs the operator in any form: the numerator is retention without decay, the denominator a running sum.
    ///
    /// S, z and the division are in float32, or float64 for float64 inputs. With a `sequence` the inputs are those of this
    /// rank's part, and S and z those of the whole.
    public static func fused(
        _ x: Inputs, epsilon: Double, matrix: Tensor?, keySum: Tensor?, form: MixerForm,
        overwritesState: Bool = false, sequence: SequencePart? = nil
    ) throws -> Result {
        let numerator = try sum(
            x, matrix: matrix, form: form, overwritesState: overwritesState, sequence: sequence)
        let type = x.query.elementType.accumulator
        let (query, key) = (try (x.plain?.query ?? x.query).to(type), try (x.plain?.key ?? x.key).to(type))
        var sums = try query.size(2) == 1 ? key : key.cumulativeSum(axis: 2)
        var (before, end) = (keySum, Tensor?.none)
        if let sequence {
            // z is the state of one column that does not decay.
            let none = [Double](repeating: 0, count: key.size(1))
            let merged = try sequence.merged(
                sums.selected(2, sums.size(2) - 1).unsqueezed(-1), from: keySum?.unsqueezed(-1),
                by: .powers(none))
            (before, end) = (try merged.entering.squeezed(-1), try merged.end.squeezed(-1))
        }
        if let before { sums = try sums + before.unsqueezed(2) }
        let denominator = try (query * sums).sum([-1], keepingAxes: true) + epsilon
        let output = try (numerator.output.to(type) / denominator).to(x.value.elementType)
        return (output, numerator.state, try end ?? sums.selected(2, sums.size(2) - 1))
    }

    /// The numerator alone: Σ_{i≤t} (q_t · kᵢ) vᵢ and S.
    public static func sum(
        _ x: Inputs, matrix: Tensor?, form: MixerForm, overwritesState: Bool = false,
        sequence: SequencePart? = nil
    ) throws -> Retention.Result {
        try Retention.fused(
            x.query, x.key, x.value, state: matrix,
            logGammas: [Double](repeating: 0, count: x.query.size(1)), form: form,
            overwritesState: overwritesState, sequence: sequence)
    }
}

extension FeatureMap {
    /// Returns φ(x), in the type of x.
    public func callAsFunction(_ x: Tensor) throws -> Tensor {
        switch self {
        case .elu: try x.relu() + x.clamped(-.infinity, 0).exp()
        case .relu: try x.relu()
        case .identity: x
        }
    }
}
