import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// The Hyena operator (arXiv 2302.10866), between its short convolution and its output projection.
///
///     z = x^(n-1) ⊙ v,   then for each long filter h:   z ← x^i ⊙ (h * z + b ⊙ z)
///
/// This is the order of the authors' code: of n gates x⁰ … x^(n-1) the last multiplies the values before the first
/// long filter, and there are n - 1 filters; the paper's formula has one more.
public enum Hyena {
    /// Returns h * z + b ⊙ z for z [B, M, C] at positions `starts[b] ..< starts[b] + length`, in one of the forms.
    ///
    /// Taps are [L, C], `bias` [C]. The sums of a position reach back to the first one in every form: parallel
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

    /// Computes the same sum term by term, in float64: the specification.
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

/// The implicit long filters of Hyena: a small network of the position, under an exponential window.
///
///     h_t = (network of features(t)) ⊙ (exp(-τ_t δ) + shift),   τ_t = t / (L - 1)
///     network: e → F → F → F → channels, activation sin(a ⊙ ·), no bias at the end
///
/// `a` is one trained vector for all three activations of a layer, as in the authors' code, whose counts of
/// parameters are those of one vector per layer; the layers of a model do not share theirs.
///
/// The network keeps PyTorch's default initial values whatever the model's initialization, which makes the initial
/// filters nearly white; N(0, 0.02) for every matrix, which the authors' language model also applies here, makes them
/// low-pass, and the paper reports up to 5 % of perplexity lost to filters that start too smooth.
struct HyenaFilter {
    /// b, the weight of the unfiltered input, [filters · channels].
    let bias: Tensor
    private let sine: Tensor
    private let matrices: [Tensor]
    private let biases: [Tensor]
    /// Positional features [L, e] where they are trained; else they are computed once, when first read.
    private let trainedFeatures: Tensor?
    private let fixedFeatures = DerivedTables()
    private let configuration: HyenaConfiguration
    private let device: Device
    private let windowRates: [Double]
    private let windowShift: Double
    private let maximumLength: Int

    /// Declares the network, its frequencies and the skip weights, none of which decays.
    init(_ scope: ParameterScope, _ c: HyenaConfiguration) throws {
        let (width, channels) = (c.filterSize, c.filterCount * c.channelCount)
        bias = try scope.parameter("bias", [channels], .normal(standardDeviation: 1))
        sine = try scope.parameter("sine", [width], .constant(c.sineFrequency))
        configuration = c
        device = scope.device
        trainedFeatures =
            c.trainsFeatures
            ? try scope.parameter(
                "features", [c.maximumLength, c.featureCount], .values(Self.features(c)), decays: false)
            : nil
        var (matrices, biases): ([Tensor], [Tensor]) = ([], [])
        for (index, inputs) in [c.featureCount, width, width].enumerated() {
            let layer = scope.scope("layer_\(index)")
            matrices.append(
                try layer.parameter("weight", [width, inputs], .fanInUniform(scale: 1), decays: false))
            let bound = 1 / Double(inputs).squareRoot()
            biases.append(try layer.parameter("bias", [width], .uniform(from: -bound, to: bound)))
        }
        matrices.append(
            try scope.scope("layer_3").parameter(
                "weight", [channels, width], .fanInUniform(scale: 1), decays: false))
        self.matrices = matrices
        self.biases = biases
        windowRates = Self.windowRates(c)
        windowShift = c.windowShift
        maximumLength = c.maximumLength
    }

    /// [t / (L-1), cos(f ω), -sin(f ω)] for every position, ω = 2πt / L and f from 1e-4 to (e-1)/2 - 1.
    private static func features(_ c: HyenaConfiguration) -> [Double] {
        let bands = (c.featureCount - 1) / 2
        let last = Double(bands - 1)
        // A single frequency is the first, as in torch.linspace.
        let frequencies = (0..<bands).map { 1e-4 + (last - 1e-4) * Double($0) / max(1, last) }
        var values: [Double] = []
        values.reserveCapacity(c.maximumLength * c.featureCount)
        for t in 0..<c.maximumLength {
            let angle = 2 * Double.pi * Double(t) / Double(c.maximumLength)
            values.append(Double(t) / Double(c.maximumLength - 1))
            for frequency in frequencies { values.append(cos(frequency * angle)) }
            for frequency in frequencies { values.append(-sin(frequency * angle)) }
        }
        return values
    }

    /// δ of every column of the taps, evenly from -ln(0.01) / 1.5 to -ln(0.01) / 0.3: half-lives of 0.23 to 0.05 of L.
    ///
    /// Columns are sorted by filter, rates by channel, then filter, as in the authors' code: every filter has slow
    /// and fast windows.
    private static func windowRates(_ c: HyenaConfiguration) -> [Double] {
        let (slow, fast) = (-log(0.01) / 1.5, -log(0.01) / 0.3)
        let step = (fast - slow) / Double(max(1, c.filterCount * c.channelCount - 1))
        return (0..<c.filterCount).flatMap { filter in
            (0..<c.channelCount).map { slow + step * Double($0 * c.filterCount + filter) }
        }
    }

    /// All parameters that the filters depend on.
    var weights: [Tensor] { [sine] + matrices + biases + (trainedFeatures.map { [$0] } ?? []) }

    /// Returns the features of all positions, [L, e], at least in float32.
    private func features() throws -> Tensor {
        if let trainedFeatures { return trainedFeatures }
        let type = sine.elementType.accumulator
        return try fixedFeatures([], size: configuration.maximumLength, type) {
            let shape = [configuration.maximumLength, configuration.featureCount]
            return [try Tensor.from(Self.features(configuration), shape).to(type, on: device)]
        }[0]
    }

    /// Returns the first `length` taps of every filter, [length, filters · channels]; a prefix of those for more.
    func taps(length: Int, _ type: ElementType) throws -> Tensor {
        var x = try features().sliced(0, 0..<length).to(type)
        let a = try sine.to(type)
        for (matrix, bias) in zip(matrices, biases) {
            x = try (x.linear(matrix.to(type), bias: bias.to(type)) * a).sin()
        }
        x = try x.linear(matrices[matrices.count - 1].to(type))
        // Metal has no float64.
        let wide: ElementType = x.device == .mps ? .float32 : .float64
        let time = try Tensor.range(to: Double(length), wide, on: x.device) * (-1 / Double(maximumLength - 1))
        let rates = try Tensor.from(windowRates).to(type, on: x.device)
        let window = try (time.to(type).unsqueezed(1) * rates).exp() + windowShift
        return try x * window
    }
}
