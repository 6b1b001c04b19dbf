import RetNetTorch
import Testing

/// The gradients of a scalar at every element of float64 inputs, against differences.
func expectFiniteDifferences(of loss: ([Tensor]) throws -> Tensor, at inputs: [Tensor]) throws {
    let leaves = try inputs.map { try $0.clone().requiringGradient() }
    let gradients = try Tensor.gradients(of: [loss(leaves)], seeds: [nil], withRespectTo: leaves)
    for (index, gradient) in gradients.enumerated() {
        let found = try #require(gradient).doubles()
        let values = try inputs[index].doubles()
        for element in values.indices {
            func moved(_ step: Double) throws -> Double {
                var changed = values
                changed[element] += step
                var tensors = inputs
                tensors[index] = try Tensor.from(changed, inputs[index].shape)
                return try loss(tensors).item()
            }
            let expected = try (moved(1e-5) - moved(-1e-5)) / 2e-5
            #expect(abs(found[element] - expected) < 1e-6 * Swift.max(1, abs(expected)))
        }
    }
}
