import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTorch
import Testing

/// Models whose feed-forwards are mixtures of experts.
@Suite struct ExpertsModelTests {
    static let variants: [(String, LanguageModelConfiguration)] = [
        (
            "switch", ExpertsConfiguration(count: 4)
        ), ("top 2", ExpertsConfiguration(routing: .top2, count: 3)),
        ("prioritized", ExpertsConfiguration(routing: .prioritized, count: 4, choices: 3)),
        ("partial", ExpertsConfiguration(routing: .partial, count: 8, capacityFactor: nil, innerSize: 4)),
    ].flatMap { name, experts in
        [nil, AltUpConfiguration()].map { altUp in
            (
                name + (altUp == nil ? "" : " with AltUp"),
                LanguageModelTests.configuration {
                    $0.feedForward.kind = .gated
                    $0.feedForward.biases = true
                    $0.feedForward.experts = experts
                    $0.altUp = altUp
                }
            )
        }
    }

    @Test(arguments: variants)
    func `Names, shapes and settings are those of the configuration`(
        name: String, c: LanguageModelConfiguration
    ) throws {
        let model = try LanguageModelTests.model(c)
        let declared = model.parameters.entries.map { "\($0.name) \($0.tensor.shape)" }
        #expect(declared.sorted() == listed(try expectedParameters(c)))
        #expect(declared == (try c.parameterShapes()).map { "\($0.name) \($0.shape)" })
        let accounting = try ModelAccounting(c)
        #expect(model.parameters.parameterCount == accounting.parameterCount)
        #expect(accounting.activeMatrixParameterCount < accounting.matrixParameterCount)
        #expect(try LanguageModelConfiguration(json: c.jsonText()) == c)
    }

    @Test(arguments: variants)
    func `Token by token is the whole text at inference`(name: String, c: LanguageModelConfiguration) throws {
        let model = try LanguageModelTests.model(c)
        let tokens = try LanguageModelTests.tokens(2, 19)
        let whole = try model(tokens, form: .parallel)
        var state: LanguageModelState?
        var logits: [Tensor] = []
        for t in 0..<19 {
            let step = try model(tokens.sliced(1, t..<t + 1), state: state, form: .recurrent)
            logits.append(step.logits)
            state = step.state
        }
        #expect(try AltUpTests.error(Tensor.concatenated(logits, axis: 1), whole.logits) < 1e-10)
    }

    @Test(arguments: variants)
    func `Auxiliary losses and their gradients pass through recomputation`(
        name: String, c: LanguageModelConfiguration
    ) throws {
        let model = try LanguageModelTests.model(c)
        func run(recomputes: Bool) throws -> (terms: [Double], gradients: [[Double]]) {
            model.recomputesActivations = recomputes
            try model.parameters.setRequiresGradient(true)
            try model.parameters.clearGradients()
            let losses = AuxiliaryLosses()
            let context = ForwardContext(
                isTraining: true, generator: try Generator(seed: 3), auxiliaryLosses: losses)
            let result = try model.lossSum(
                LanguageModelTests.tokens(2, 11), targets: LanguageModelTests.tokens(2, 11, seed: 4),
                form: .parallel, context: context)
            let total = try #require(try losses.total())
            try (result.loss + total * 100).backward()
            let terms = try losses.terms.map { try $0.value.detached().item() }
            #expect(losses.terms.map(\.name) == (0..<3).flatMap { _ in ["balance_loss", "router_z_loss"] })
            return (terms, try model.parameters.tensors.map { try $0.gradient()?.doubles() ?? [] })
        }
        let (plain, again) = (try run(recomputes: false), try run(recomputes: true))
        for (a, b) in zip(plain.terms, again.terms) { #expect(abs(a - b) < 1e-12) }
        for (a, b) in zip(plain.gradients, again.gradients) {
            #expect(a.count == b.count)
            for (x, y) in zip(a, b) { #expect(abs(x - y) <= 1e-10 * Swift.max(1, abs(y))) }
        }
        let router = try #require(try model.parameters["layers.1.feed_forward.router.weight"]?.gradient())
        #expect(try router.abs().max().item() > 0)
    }

    @Test func `Settings that contradict each other are refused with their place`() throws {
        func problems(_ experts: SettingsTree, _ more: SettingsTree = [:]) -> [String] {
            let c = LanguageModelTests.configuration()
            let feedForward = c.feedForward.settings.merging(["experts": experts]).merging(more)
            let reader = SettingsReader(c.settings.merging(["feed_forward": feedForward]))
            _ = LanguageModelConfiguration(reading: reader)
            return reader.problems.map(\.path)
        }
        #expect(problems(["count": 4]).isEmpty)
        #expect(problems(["count": 4, "routing": "expert_choice"]) == ["feed_forward"])
        #expect(problems(["count": 4, "choices": 2]) == ["feed_forward.experts.choices"])
        #expect(
            problems(["count": 4, "routing": "prioritized", "choices": 5]) == ["feed_forward.experts.choices"]
        )
        #expect(problems(["count": 4, "expert_capacity": 2]).isEmpty)
        #expect(
            problems(["count": 4, "routing": "expert_choice", "expert_capacity": 2]).contains(
                "feed_forward.experts.expert_capacity"))
        #expect(problems(["count": 4, "inner_size": 5]) == ["feed_forward.experts.inner_size"])
        #expect(problems(["count": 4], ["sub_norm": true]) == ["feed_forward.sub_norm"])
        #expect(problems(["count": 1]) == ["feed_forward.experts.count"])
    }
}
