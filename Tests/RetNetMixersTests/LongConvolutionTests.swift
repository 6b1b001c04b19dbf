import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct LongConvolutionTests {
    /// Σ_j taps[j] x[start + t - j] + skip x[start + t] in float64 on the host.
    private func expected(_ x: Tensor, _ taps: Tensor, skip: Tensor?, starts: [Int], length: Int) throws
        -> Tensor
    {
        let (batch, size, channels) = (x.size(0), x.size(1), x.size(2))
        let (values, filter) = (try x.doubles(), try taps.doubles())
        let skips = try skip?.doubles() ?? [Double](repeating: 0, count: channels)
        var result: [Double] = []
        for b in 0..<batch {
            for t in 0..<length {
                let position = starts[b] + t
                for c in 0..<channels {
                    var sum = skips[c] * values[(b * size + position) * channels + c]
                    for j in 0..<min(taps.size(0), position + 1) {
                        sum += filter[j * channels + c] * values[(b * size + position - j) * channels + c]
                    }
                    result.append(sum)
                }
            }
        }
        return try Tensor.from(result, [batch, length, channels])
    }

    @Test(arguments: [1, 2, 7, 8, 9, 31, 64, 100, 372, 511, 1134], [1, 2])
    func `Spectra and direct sums equal the sum as it is written`(length: Int, batch: Int) throws {
        let generator = try Generator(seed: 4)
        let x = try generator.normal([batch, length, 3], .float64)
        let skip = try generator.normal([3], .float64)
        for tapCount in [1, 5, length, length + 9] {
            let taps = try generator.normal([tapCount, 3], .float64)
            let starts = [Int](repeating: 0, count: batch)
            let sum = try expected(x, taps, skip: skip, starts: starts, length: length)
            for method in [FusedOperators.ConvolutionMethod.automatic, .direct, .spectral] {
                let found = try FusedOperators.longConvolution(x, taps: taps, skip: skip, method: method)
                #expect(try relativeError(found, sum) < 1e-12, "\(method) \(tapCount)")
                let narrow = try FusedOperators.longConvolution(
                    x.to(.float32), taps: taps.to(.float32), skip: skip.to(.float32), method: method)
                #expect(try relativeError(narrow, sum) < 2e-6, "\(method) \(tapCount)")
                #expect(narrow.elementType == .float32)
            }
        }
    }

    @Test(arguments: [1, 3, 9, 40])
    func `Rows continue from their own pasts`(length: Int) throws {
        let generator = try Generator(seed: 4)
        let starts = [0, 5, 61]
        let x = try generator.normal([3, 61 + length + 4, 18], .float64)
        // What stands after the new positions must not matter.
        let noisy = try x.clone()
        for (row, start) in starts.enumerated() {
            try noisy.sliced(0, row..<row + 1).sliced(1, start + length..<x.size(1)).copy(
                from: Tensor.full([1], 1e6, .float64))
        }
        for tapCount in [4, 30, 200] {
            let taps = try generator.normal([tapCount, 18], .float64)
            let sum = try expected(x, taps, skip: nil, starts: starts, length: length)
            for method in [FusedOperators.ConvolutionMethod.direct, .spectral] {
                let found = try FusedOperators.longConvolution(
                    noisy, taps: taps, starts: starts, length: length, method: method)
                #expect(try relativeError(found, sum) < 1e-12, "\(method) \(tapCount)")
            }
        }
    }

    @Test(arguments: [FusedOperators.ConvolutionMethod.direct, .spectral])
    func `Gradients equal finite differences`(method: FusedOperators.ConvolutionMethod) throws {
        let generator = try Generator(seed: 4)
        for (starts, length, tapCount) in [([0, 0], 12, 12), ([3, 7], 9, 6), ([0, 4], 3, 30)] {
            let size = (starts.max() ?? 0) + length + 2
            let leaves = [
                try generator.normal([2, size, 17], .float64),
                try generator.normal([tapCount, 17], .float64),
                try generator.normal([17], .float64),
            ]
            let seed = try generator.normal([2, length, 17], .float64)
            func loss() throws -> Tensor {
                try
                    (FusedOperators.longConvolution(
                        leaves[0], taps: leaves[1], skip: leaves[2], starts: starts, length: length,
                        method: method) * seed).sum()
            }
            for leaf in leaves { try leaf.requiringGradient() }
            let found = try Tensor.gradients(of: [loss()], seeds: [nil], withRespectTo: leaves)
            for (leaf, gradient) in zip(leaves, found) {
                let direction = try generator.normal(leaf.shape, .float64)
                let analytic = try (#require(gradient) * direction).sum().item()
                let numeric = try withoutGradients {
                    let values = try leaf.detached().clone()
                    let sides = try [1e-4, -1e-4].map { step in
                        try leaf.detached().copy(from: values + direction * step)
                        return try loss().item()
                    }
                    try leaf.detached().copy(from: values)
                    return (sides[0] - sides[1]) / 2e-4
                }
                #expect(abs(analytic - numeric) < 1e-7 * max(1, abs(numeric)), "\(starts) \(leaf.shape)")
            }
        }
    }

    @Test func `Nothing wraps around`() throws {
        // A filter that only reaches far back, and an input that is loud at the end.
        let length = 100
        var (taps, x) = ([Double](repeating: 0, count: length), [Double](repeating: 0, count: length))
        taps[60] = 1
        for t in 80..<length { x[t] = 1e6 }
        let found = try FusedOperators.longConvolution(
            Tensor.from(x, [1, length, 1]), taps: Tensor.from(taps, [length, 1]), method: .spectral)
        #expect(try found.abs().max().item() < 1e-6)
    }

    @Test func `Inputs of bfloat16 are summed in float32`() throws {
        let generator = try Generator(seed: 4)
        let x = try generator.normal([2, 700, 5], .float64).to(.bfloat16)
        let taps = try generator.normal([700, 5], .float64)
        let sum = try expected(
            x.to(.float64), taps.to(.float32).to(.float64), skip: nil, starts: [0, 0], length: 700)
        for method in [FusedOperators.ConvolutionMethod.direct, .spectral] {
            let found = try FusedOperators.longConvolution(x, taps: taps.to(.float32), method: method)
            #expect(found.elementType == .bfloat16)
            // The output is rounded once, and nothing else.
            #expect(try relativeError(found, sum) < 2.5e-3)
        }
    }

    @Test func `Shapes that do not fit are refused`() throws {
        let x = try Tensor.zeros([2, 5, 3])
        #expect(
            errorText(TorchError.self) {
                _ = try FusedOperators.longConvolution(x, taps: Tensor.zeros([4, 2]))
            }.contains("found [2, 5, 3] and [4, 2]"))
        #expect(
            errorText(TorchError.self) {
                _ = try FusedOperators.longConvolution(
                    x, taps: Tensor.zeros([4, 3]), starts: [0, 3], length: 3)
            }.contains("positions 3 to 6 are outside an input of 5"))
        #expect(
            errorText(TorchError.self) {
                _ = try FusedOperators.longConvolution(x, taps: Tensor.zeros([4, 3]), starts: [0], length: 3)
            }.contains("a start for each of 2 rows"))
        #expect(
            errorText(TorchError.self) {
                _ = try FusedOperators.longConvolution(Tensor.zeros([5, 3]), taps: Tensor.zeros([4, 3]))
            }.contains("needs x [B, M, C], found [5, 3]"))
    }
}
