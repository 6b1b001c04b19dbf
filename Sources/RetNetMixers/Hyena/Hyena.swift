import RetNetTorch

/// The Hyena operator (arXiv 2302.10866), between its short convolution and its output projection.
///
///     z = x^(n-1) ⊙ v,   then for each long filter h:   z ← x^i ⊙ (h * z + b ⊙ z)
///
/// This is the order of the authors' code: of n gates x⁰ … x^(n-1) the last multiplies the values before the first
/// long filter, and there are n - 1 filters; the paper's formula has one more.
public enum Hyena {
    /// h * z + b ⊙ z for z [B, M, C] at positions `starts[b] ..< starts[b] + length`, in one of the forms.
    ///
    /// Taps are [L, C], `bias` [C]. The sums of a position reach back to the first one whatever the form: parallel
    /// does all at once, chunkwise piece by piece and recurrent without transforms.
    public static func filter(
        _ z: Tensor, taps: Tensor, bias: Tensor, starts: [Int], length: Int, form: MixerForm
    ) throws -> Tensor {
        switch form {
        case .parallel:
            return try FusedOperators.longConvolution(
                z, taps: taps, skip: bias, starts: starts, length: length)
        case .recurrent:
            return try FusedOperators.longConvolution(
                z, taps: taps, skip: bias, starts: starts, length: length, method: .direct)
        case .chunkwise(let chunkLength):
            let pieces = try stride(from: 0, to: length, by: chunkLength).map { first in
                try FusedOperators.longConvolution(
                    z, taps: taps, skip: bias, starts: starts.map { $0 + first },
                    length: min(chunkLength, length - first))
            }
            return try Tensor.concatenated(pieces, axis: 1)
        }
    }

    /// The same sum term by term, in float64: the specification.
    public static func filterDefinition(
        _ z: Tensor, taps: Tensor, bias: Tensor, starts: [Int], length: Int
    ) throws -> Tensor {
        let (z, taps, bias) = (try z.to(.float64), try taps.to(.float64), try bias.to(.float64))
        let rows = try starts.enumerated().map { row, start in
            let own = try z.selected(0, row)
            let outputs = try (start..<start + length).map { position in
                var sum = try own.selected(0, position) * bias
                for distance in 0...position where distance < taps.size(0) {
                    sum = try sum + own.selected(0, position - distance) * taps.selected(0, distance)
                }
                return sum
            }
            return try Tensor.stacked(outputs, axis: 0)
        }
        return try Tensor.stacked(rows, axis: 0)
    }
}
