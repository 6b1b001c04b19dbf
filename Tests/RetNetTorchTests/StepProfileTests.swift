import RetNetTestSupport
import RetNetTorch
import Testing

/// The time of parts, and the products that are noted.
@Suite struct StepProfileTests {
    @Test func `Products of a pass and of its gradients are noted, and time goes to the parts`() throws {
        let generator = try Generator(seed: 1)
        let x = try generator.normal([100, 20], .float32).requiringGradient()
        let weight = try generator.normal([30, 20], .float32).requiringGradient()
        let times = try StepProfile.times {
            let y = try StepProfile.part(.feedForward) { try x.linear(weight) }
            try StepProfile.part(.output) { try (y * y).sum() }.backward()
        }
        #expect(Set(times.keys) == Set(StepProfile.Part.allCases))
        // Gradients belong to the part that they are the gradients of.
        #expect(try #require(times[.feedForward]).products > 0)
        let output = try #require(times[.output])
        #expect(output.products == 0 && output.rest > 0)
        #expect(try #require(times[.optimizer]).rest == 0)
        let first = try StepProfile.products()
        #expect(first.operations == Double(3 * 2 * 100 * 20 * 30) && first.seconds > 0)
        #expect(try StepProfile.products().operations == first.operations)
    }

    @Test func `Kernels note the products that a library would make`() throws {
        let generator = try Generator(seed: 1)
        let q = try generator.normal([2, 2, 20, 4], .float32).requiringGradient()
        let v = try generator.normal([2, 2, 20, 6], .float32).requiringGradient()
        func noted(keepsState: Bool) throws -> Double {
            let times = try StepProfile.times {
                try FusedOperators.retention(
                    query: q, key: q, value: v, state: nil, logGammas: [-0.1, -0.2], chunkLength: 10,
                    keepsState: keepsState, trains: true
                ).output.sum().backward()
            }
            #expect(try #require(times[.core]).rest > 0)
            return try StepProfile.products().operations
        }
        // Two chunks of squares 10 × 10 with keys of 4 and values of 6; between them states of 4 × 6.
        let squares = 2 * (10 * 10 * (4 + 6) + 10 * 10 * (6 + 4 + 4 + 6))
        let states = 10 * 4 * 6 * (2 + 4)
        #expect(try noted(keepsState: false) == Double(2 * 4 * (squares + states)))
        #expect(try noted(keepsState: true) == Double(2 * 4 * (squares + states + 10 * 4 * 6)))
    }

    @Test func `Errors end the profile`() throws {
        struct Failure: Error {}
        #expect(throws: Failure.self) { _ = try StepProfile.times { throw Failure() } }
        let times = try StepProfile.times { _ = try Tensor.zeros([2, 2]).matmul(Tensor.zeros([2, 3])) }
        #expect(times.values.contains { $0.products > 0 })
        #expect(throws: TorchError.self) {
            _ = try StepProfile.times { _ = try StepProfile.times {} }
        }
    }
}
