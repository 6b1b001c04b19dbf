import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// T5 whose feed-forwards are mixtures of experts.
@Suite struct T5ExpertsTests {
    static let variants: [(String, T5ExpertsConfiguration, AltUpConfiguration?)] = {
        let kinds: [(String, T5ExpertsConfiguration)] = [
            ("switch", T5ExpertsConfiguration(ExpertsConfiguration(count: 3))),
            (
                "top 2, decoder",
                T5ExpertsConfiguration(
                    ExpertsConfiguration(routing: .top2, count: 3), sides: .decoder, period: 1)
            ),
            (
                "prioritized",
                T5ExpertsConfiguration(ExpertsConfiguration(routing: .prioritized, count: 4, choices: 3))
            ),
            (
                "partial",
                T5ExpertsConfiguration(
                    ExpertsConfiguration(routing: .partial, count: 5, capacityFactor: nil, innerSize: 4),
                    period: 1)
            ),
        ]
        return kinds.flatMap { name, experts in
            [nil, AltUpConfiguration()].map { ($0 == nil ? name : name + " with AltUp", experts, $0) }
        }
    }()

    static func configuration(
        _ experts: T5ExpertsConfiguration?, _ altUp: AltUpConfiguration? = nil, gated: Bool = true
    ) -> T5Configuration {
        var c = tinyT5(gated: gated)
        c.experts = experts
        c.altUp = altUp
        return c
    }

    static func batch(_ c: T5Configuration) throws -> T5Batch {
        try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: c)
    }

    @Test(arguments: variants)
    func `Names, shapes and settings are those of the configuration`(
        name: String, experts: T5ExpertsConfiguration, altUp: AltUpConfiguration?
    ) throws {
        for gated in [true, false] where gated || altUp == nil {
            let c = Self.configuration(experts, altUp, gated: gated)
            let store = ParameterStore(source: .random(seed: 2))
            _ = try T5Model(c, parameters: store, computeType: .float32)
            #expect(
                store.entries.map { "\($0.name) \($0.tensor.shape)" }.sorted()
                    == listed(expectedParameters(c)))
            #expect(store.entries.contains { $0.name.hasSuffix("layer.2.DenseReluDense.router.weight") })
            #expect(store.parameterCount == (try T5Accounting(c).parameterCount))
            #expect(T5Configuration(reading: SettingsReader(c.settings)) == c)
            #expect(try T5Configuration(huggingFaceJSON: c.huggingFaceTree.jsonText()) == c)
        }
    }

    @Test(arguments: variants)
    func `Steps equal a whole pass, and padding changes nothing`(
        name: String, experts: T5ExpertsConfiguration, altUp: AltUpConfiguration?
    ) throws {
        let c = Self.configuration(experts, altUp)
        let model = try madeUpT5(c)
        try expectStepsAndPaddingChangeNothing(model)
    }

    @Test func `Padding takes no expert's place and weighs in no loss`() throws {
        // Two choices for each of three tokens with 1.5 places an expert would drop some if padding took part.
        let experts = ExpertsConfiguration(count: 2, capacityFactor: 2, jitter: 0)
        let c = Self.configuration(T5ExpertsConfiguration(experts, sides: .encoder))
        let model = try madeUpT5(c)
        func losses(_ padding: Int) throws -> ([Double], [Double]) {
            let losses = AuxiliaryLosses()
            let context = ForwardContext(isTraining: true, auxiliaryLosses: losses)
            let row = [7, 2, 30, 1] + [Int64](repeating: 0, count: padding)
            let segments = try T5Segments(
                Tensor.from(
                    [Int32](repeating: 1, count: 4) + [Int32](repeating: 0, count: padding),
                    [1, row.count]))
            let encoded = try withoutGradients {
                try model.encode(
                    Tensor.from(row, [1, row.count]), segments: segments, context: context)
            }
            return (
                try losses.summary().map(\.value), try encoded.hidden.sliced(1, 0..<4).doubles()
            )
        }
        let (alone, padded) = (try losses(0), try losses(9))
        #expect(alone.0.count == 3)
        #expect(relativeDifference(padded.0, alone.0) < 1e-12)
        #expect(relativeDifference(padded.1, alone.1) < 1e-11)
    }

    @Test(arguments: [ExpertsConfiguration.Routing.switch, .partial])
    func `Gradients equal finite differences`(routing: ExpertsConfiguration.Routing) throws {
        let experts = ExpertsConfiguration(
            routing: routing, count: 3, capacityFactor: nil, balanceLoss: 0, jitter: 0,
            innerSize: routing == .partial ? 4 : nil)
        let c = Self.configuration(T5ExpertsConfiguration(experts, period: 1))
        let model = try madeUpT5(c)
        let batch = try Self.batch(c)
        let names = ["router.weight", "experts.up.weight", "experts.down.weight"]
            .map { "decoder.block.1.layer.2.DenseReluDense.\($0)" }
        try model.parameters.setRequiresGradient(true)
        func loss() throws -> Tensor { try model.lossSum(batch).sum }
        try loss().backward()
        for name in names {
            let tensor = try #require(model.parameters[name])
            let gradient = try #require(try tensor.gradient()).doubles()
            let scale = gradient.reduce(1e-3) { max($0, abs($1)) }
            for index in stride(from: 0, to: gradient.count, by: 7) {
                func shifted(_ amount: Double) throws -> Double {
                    var shift = [Double](repeating: 0, count: gradient.count)
                    shift[index] = amount
                    let change = try Tensor.from(shift, tensor.shape)
                    try withoutGradients { try tensor.add(change) }
                    defer { try? withoutGradients { try tensor.add(change * -1) } }
                    return try withoutGradients { try loss().item() }
                }
                let estimate = (try shifted(1e-6) - shifted(-1e-6)) / 2e-6
                #expect(abs(estimate - gradient[index]) < 1e-5 * scale, "\(name) \(index)")
            }
        }
    }

    @Test func `Experts that choose belong into encoders alone`() throws {
        let choosing = ExpertsConfiguration(routing: .expertChoice, count: 2, capacityFactor: 1)
        let both = Self.configuration(T5ExpertsConfiguration(choosing))
        #expect(both.problems().map(\.path) == ["experts.routing"])
        let encoder = Self.configuration(T5ExpertsConfiguration(choosing, sides: .encoder))
        #expect(encoder.problems().isEmpty)
        #expect(try madeUpT5(encoder)(Self.batch(encoder)).allFinite())
        let rare = Self.configuration(T5ExpertsConfiguration(ExpertsConfiguration(count: 2), period: 3))
        #expect(rare.problems().map(\.path) == ["experts.period"])
    }

    @Test func `Experts are in the last or in the second layer of each group`() throws {
        func layers(_ period: Int, _ place: T5ExpertsConfiguration.Place) throws -> [Int] {
            var c = Self.configuration(
                T5ExpertsConfiguration(
                    ExpertsConfiguration(count: 2), sides: .encoder, period: period, place: place))
            c.encoderLayerCount = 7
            #expect(c.problems().isEmpty)
            #expect(T5Configuration(reading: SettingsReader(c.settings)) == c)
            let names = try c.parameterShapes().map(\.name)
            return (0..<7).filter {
                names.contains("encoder.block.\($0).layer.1.DenseReluDense.router.weight")
            }
        }
        #expect(try layers(1, .last) == Array(0..<7))
        #expect(try layers(1, .second) == Array(0..<7))
        #expect(try layers(2, .last) == [1, 3, 5])
        #expect(try layers(2, .second) == [1, 3, 5])
        #expect(try layers(3, .last) == [2, 5])
        #expect(try layers(3, .second) == [1, 4])
        #expect(try layers(4, .second) == [1, 5])
        // Folders of before have no place.
        let before = SettingsReader(["count": 2, "period": 3])
        #expect(T5ExpertsConfiguration(reading: before).place == .last)
        let second = T5ExpertsConfiguration(ExpertsConfiguration(count: 2), period: 3, place: .second)
        #expect(Self.configuration(second).problems().isEmpty)
    }

    @Test func `A tiny expert adds to the cost, and one of four adds none but its router`() throws {
        func work(_ experts: T5ExpertsConfiguration?) throws -> Int {
            try T5Accounting(Self.configuration(experts)).forwardFLOPs(sourceLength: 10, targetLength: 5)
        }
        let dense = try work(nil)
        // 15 tokens pass one layer with experts; a router has 4 rows of width 8.
        #expect(
            try work(T5ExpertsConfiguration(ExpertsConfiguration(count: 4))) - dense == 2 * 15 * 4 * 8)
        let partial = ExpertsConfiguration(routing: .partial, count: 4, capacityFactor: nil, innerSize: 4)
        #expect(
            try work(T5ExpertsConfiguration(partial, period: 1)) - dense
                == 2 * 30 * (4 * 8 + 2 * 8 * 4))
    }
}
