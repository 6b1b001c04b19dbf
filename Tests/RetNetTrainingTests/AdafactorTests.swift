import Foundation
import RetNetLayers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import RetNetTraining
import Testing

@Suite struct AdafactorTests {
    private func update(factoredSize: Int) throws -> [Double] {
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let p = try store.root.parameter("p", [2, 2], .values([1, 0, 0, 1]))
        var configuration = OptimizerConfiguration.adafactor
        configuration.adafactor.factoredSize = factoredSize
        let optimizer = try Adafactor(store, configuration)
        try p.setGradient(Tensor.from([1.0, 2, 3, 4], [2, 2]))
        try optimizer.step(learningRate: 0.01)
        #expect(optimizer.stepCount == 1)
        if factoredSize == 2 {
            let state = Dictionary(uniqueKeysWithValues: optimizer.state.map { ($0.name, $0.tensor) })
            #expect(try #require(state["row_moment.p"]).doubles() == [2.5, 12.5])
            #expect(try #require(state["column_moment.p"]).doubles() == [5, 10])
        }
        return try p.doubles()
    }

    @Test func `One step equals the hand-computed values, factored and not`() throws {
        let full = [0.992929, -0.007071, -0.007071, 0.992929]
        for (found, expected) in zip(try update(factoredSize: 128), full) {
            #expect(abs(found - expected) < 1e-6)
        }
        let factored = [0.994523, -0.007746, -0.007348, 0.993072]
        for (found, expected) in zip(try update(factoredSize: 2), factored) {
            #expect(abs(found - expected) < 1e-6)
        }
    }

    @Test func `Several steps equal the formulas`() throws {
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let p = try store.root.parameter("p", [3], .values([0.5, -2, 0.001]))
        let optimizer = try Adafactor(store, .adafactor)
        var (x, v) = ([0.5, -2, 0.001], [0.0, 0, 0])
        for (t, gradient) in [[0.1, 4, -3], [2, -0.3, 1e-4], [0, 1, 1]].enumerated() {
            try p.setGradient(Tensor.from(gradient, [3]))
            try optimizer.step(learningRate: 0.05)
            let beta = 1 - pow(Double(t + 1), -0.8)
            v = zip(v, gradient).map { beta * $0 + (1 - beta) * ($1 * $1 + 1e-30) }
            let y = zip(gradient, v).map { $0 / $1.squareRoot() }
            func rms(_ a: [Double]) -> Double { (a.reduce(0) { $0 + $1 * $1 } / 3).squareRoot() }
            let rate = 0.05 * max(1e-3, rms(x)) / max(1, rms(y))
            x = zip(x, y).map { $0 - rate * $1 }
        }
        for (found, expected) in zip(try p.doubles(), x) { #expect(abs(found - expected) < 1e-12) }
    }

    @Test(arguments: [[128, 130], [130, 128], [127, 300]])
    func `Matrices from 128 on are factored, and their steps equal the formulas`(shape: [Int]) throws {
        let (rows, columns) = (shape[0], shape[1])
        let generator = try Generator(seed: 3)
        let start = try generator.normal(shape, .float64)
        let store = ParameterStore(source: .provided { _, _ in try start.clone() }, elementType: .float64)
        let p = try store.root.parameter("p", shape, .constant(0))
        let optimizer = try Adafactor(store, .adafactor)
        let isFactored = min(rows, columns) >= 128
        #expect(optimizer.state.count == (isFactored ? 2 : 1))
        var x = try start.doubles()
        var (r, c) = ([Double](repeating: 0, count: rows), [Double](repeating: 0, count: columns))
        var v = [Double](repeating: 0, count: rows * columns)
        func rms(_ a: [Double]) -> Double { (a.reduce(0) { $0 + $1 * $1 } / Double(a.count)).squareRoot() }
        for t in 0..<3 {
            let gradient = try generator.normal(shape, .float64)
            try p.setGradient(gradient)
            try optimizer.step(learningRate: 0.05)
            let g = try gradient.doubles()
            let beta = 1 - pow(Double(t + 1), -0.8)
            var (rowMeans, columnMeans) = (r.map { _ in 0.0 }, c.map { _ in 0.0 })
            for i in g.indices {
                let square = g[i] * g[i] + 1e-30
                rowMeans[i / columns] += square / Double(columns)
                columnMeans[i % columns] += square / Double(rows)
                v[i] = beta * v[i] + (1 - beta) * square
            }
            r = zip(r, rowMeans).map { beta * $0 + (1 - beta) * $1 }
            c = zip(c, columnMeans).map { beta * $0 + (1 - beta) * $1 }
            let mean = r.reduce(0, +) / Double(rows)
            let y = g.indices.map { i in
                g[i]
                    / (isFactored ? (r[i / columns] / mean * c[i % columns]).squareRoot() : v[i].squareRoot())
            }
            let rate = 0.05 * max(1e-3, rms(x)) / max(1, rms(y))
            x = zip(x, y).map { $0 - rate * $1 }
        }
        for (found, expected) in zip(try p.doubles(), x) { #expect(abs(found - expected) < 1e-10) }
    }

    @Test func `The state goes through its tensors`() throws {
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let p = try store.root.parameter("p", [2, 2], .values([1, 0, 0, 1]))
        let optimizer = try Adafactor(store, .adafactor)
        try p.setGradient(Tensor.from([1.0, 2, 3, 4], [2, 2]))
        try optimizer.step(learningRate: 0.01)
        let saved = Dictionary(
            uniqueKeysWithValues: try optimizer.state.map { ($0.name, try $0.tensor.clone()) })
        let other = try Adafactor(store, .adafactor)
        try other.restore(stepCount: 1, from: "memory") { saved[$0] }
        #expect(other.stepCount == 1)
        #expect(
            errorText(TrainingError.self) {
                try Adafactor(store, .adafactor).restore(stepCount: 1, from: "memory") { _ in nil }
            }.contains("'second_moment.p' is missing"))
    }

    @Test func `Settings of another optimizer are refused`() throws {
        let text = """
            model: {preset: retnet-1m}
            optimizer: {kind: adafactor, clip_threshold: 2}
            schedule: {kind: inverse_square_root, warmup_steps: 100}
            """
        let configuration = try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: text))
        #expect(configuration.training.optimizer.kind == .adafactor)
        #expect(configuration.training.optimizer.adafactor.clipThreshold == 2)
        let again = try RunConfiguration<LanguageModelTask>(SettingsDocument(yaml: configuration.yamlText))
        #expect(again == configuration)
        #expect(
            errorText(SettingsError.self) {
                _ = try RunConfiguration<LanguageModelTask>(
                    SettingsDocument(yaml: text),
                    assignments: [SettingsAssignment(parsing: "optimizer.betas=[0.9, 0.95]")])
            }.contains("optimizer.betas: unknown setting"))
        let schedule = LearningRateSchedule(peak: 0.01, stepCount: 1000, configuration.training.schedule)
        #expect(schedule.learningRate(step: 1) == 0.01)
        #expect(schedule.learningRate(step: 100) == 0.01)
        #expect(abs(schedule.learningRate(step: 400) - 0.005) < 1e-12)
    }
}
