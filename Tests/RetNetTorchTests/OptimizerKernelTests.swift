import RetNetTestSupport
import RetNetTorch
import Testing

/// Steps of optimizers as one pass and as LibTorch's.
@Suite struct OptimizerKernelTests {
    @Test(arguments: [ElementType.float64, .float32], [1, 0.25])
    func `AdamW in one pass equals LibTorch's, with clipping in it`(type: ElementType, scale: Double) throws {
        // Longer than a piece of a thread, one number, and a matrix whose gradient does not lie row by row.
        let shapes = [[70_001], [], [33, 7]]
        func run() throws -> [Tensor] {
            let generator = try Generator(seed: 4)
            let parameters = try shapes.map { try generator.normal($0, type) }
            let first = try shapes.map { try generator.normal($0, type) * 0.1 }
            let second = try shapes.map { try generator.uniform($0, from: 0, to: 0.1, type) }
            for step in 1...3 {
                var gradients = try shapes.map { try generator.normal($0, type) }
                gradients[2] = try generator.normal([7, 33], type).transposed(0, 1)
                let before = try gradients.map { try $0.doubles() }
                try OptimizerKernels.adamW(
                    parameters: parameters, gradients: gradients, firstMoments: first, secondMoments: second,
                    step: step, learningRate: 0.01, beta1: 0.9, beta2: 0.98, weightDecay: 0.05, epsilon: 1e-8,
                    gradientScale: scale)
                #expect(try gradients.map { try $0.doubles() } == before)
            }
            return parameters + first + second
        }
        for (a, b) in zip(try run(), try FusedOperators.withoutKernels(run)) {
            #expect(try relativeError(a, b) < (type == .float64 ? 1e-14 : 1e-6))
        }
    }

    @Test func `Matrices of one shape are multiplied together, each as if alone`() throws {
        let generator = try Generator(seed: 4)
        let (starts, gradients) = (
            try (0..<3).map { _ in try generator.normal([2, 5, 3], .float64) },
            try (0..<3).map { _ in try generator.normal([2, 5, 3], .float64) }
        )
        func run(_ indices: Range<Int>, scale: Double = 1) throws -> [Tensor] {
            let parameters = try starts[indices].map { try $0.clone() }
            let momenta = try starts[indices].map { try $0 * 0.1 }
            try OptimizerKernels.muon(
                parameters: parameters, gradients: indices.map { gradients[$0] }, momenta: momenta,
                momentumDecay: 0.95, nesterov: true, iterationCount: 5, learningRate: 0.02, scale: 0.4,
                weightDecay: 0.1, gradientScale: scale)
            return parameters + momenta
        }
        let (together, alone) = (try run(0..<3), try (0..<3).map { try run($0..<$0 + 1) })
        for index in 0..<3 {
            #expect(try relativeError(together[index], alone[index][0]) < 1e-12)
            #expect(try relativeError(together[3 + index], alone[index][1]) < 1e-12)
        }
        #expect(try relativeError(run(0..<1, scale: 0.5)[1], alone[0][1]) > 1e-3)
    }
}
