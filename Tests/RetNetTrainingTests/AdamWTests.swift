import Foundation
import RetNetLayers
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct AdamWTests {
    private func store() throws -> ParameterStore {
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        _ = try store.root.parameter("weight", [2, 2], .constant(0.5))
        _ = try store.root.parameter("bias", [2], .constant(-0.25))
        return store
    }

    /// The textbook update of one number.
    private func reference(_ start: Double, gradients: [Double], rate: Double, decay: Double) -> Double {
        var (x, m, v) = (start, 0.0, 0.0)
        for (index, g) in gradients.enumerated() {
            let t = Double(index + 1)
            x -= rate * decay * x
            m = 0.9 * m + 0.1 * g
            v = 0.98 * v + 0.02 * g * g
            x -= rate * (m / (1 - pow(0.9, t))) / ((v / (1 - pow(0.98, t))).squareRoot() + 1e-8)
        }
        return x
    }

    @Test func `Updates equal the scalar formula, with decay for matrices only`() throws {
        let store = try store()
        let optimizer = try AdamW(store, OptimizerConfiguration())
        let gradients = [0.3, -1.2, 0.05, 2.5]
        for gradient in gradients {
            for entry in store.entries {
                try entry.tensor.setGradient(Tensor.full(entry.tensor.shape, gradient, .float64))
            }
            try optimizer.step(learningRate: 0.01)
        }
        let weight = reference(0.5, gradients: gradients, rate: 0.01, decay: 0.05)
        let bias = reference(-0.25, gradients: gradients, rate: 0.01, decay: 0)
        for value in try #require(store["weight"]).doubles() { #expect(abs(value - weight) < 1e-12) }
        for value in try #require(store["bias"]).doubles() { #expect(abs(value - bias) < 1e-12) }
        #expect(optimizer.stepCount == 4)
    }

    @Test func `Clipping scales gradients to the global norm and leaves small ones alone`() throws {
        let store = try store()
        var configuration = OptimizerConfiguration()
        configuration.clipNorm = 1
        let optimizer = try AdamW(store, configuration)
        for entry in store.entries {
            try entry.tensor.setGradient(Tensor.full(entry.tensor.shape, 2, .float64))
        }
        let norm = try optimizer.gradientNorm()
        #expect(abs(norm - 24.0.squareRoot()) < 1e-12)
        try optimizer.clipGradients(norm: norm)
        #expect(abs(try optimizer.gradientNorm() - 1) < 1e-12)
        try optimizer.clipGradients(norm: try optimizer.gradientNorm())
        #expect(abs(try optimizer.gradientNorm() - 1) < 1e-12)
    }

    @Test func `A restored optimizer continues exactly`() throws {
        let (first, second) = (try store(), try store())
        let optimizer = try AdamW(first, OptimizerConfiguration())
        func update(_ store: ParameterStore, _ optimizer: AdamW, _ gradient: Double) throws {
            for entry in store.entries {
                try entry.tensor.setGradient(Tensor.full(entry.tensor.shape, gradient, .float64))
            }
            try optimizer.step(learningRate: 0.1)
        }
        try update(first, optimizer, 0.7)
        let copy = try AdamW(second, OptimizerConfiguration())
        for (from, to) in zip(first.tensors, second.tensors) { try to.copy(from: from) }
        let saved = Dictionary(uniqueKeysWithValues: optimizer.state.map { ($0.name, $0.tensor) })
        try copy.restore(stepCount: 1, from: "memory") { saved[$0] }
        try update(first, optimizer, -0.4)
        try update(second, copy, -0.4)
        for (a, b) in zip(first.tensors, second.tensors) { #expect(try a.doubles() == b.doubles()) }
    }

    @Test func `A missing moment is named`() throws {
        let optimizer = try AdamW(try store(), OptimizerConfiguration())
        let error = #expect(throws: TrainingError.self) {
            try optimizer.restore(stepCount: 1, from: "here") { _ in nil }
        }
        #expect(error?.description.contains("first_moment.weight") == true)
    }
}
