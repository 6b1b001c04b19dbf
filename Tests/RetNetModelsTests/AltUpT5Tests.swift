import RetNetLayers
import RetNetModels
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// AltUp around the layers of T5: exact sizes, decoding step by step, padding.
@Suite struct AltUpT5Tests {
    /// Totals of the fact sheet for v1.1 with two streams: a doubled table and head, wide cross-attention.
    @Test(arguments: [
        ("t5-v1.1-small", 113_007_072, 76_961_248), ("t5-v1.1-base", 311_083_920, 247_578_000),
        ("t5-v1.1-large", 899_282_208, 783_150_368), ("t5-v1.1-xl", 3_182_684_448, 2_849_757_472),
    ])
    func `Parameters are those of the sheet`(name: String, wide: Int, recycled: Int) throws {
        let c = try T5Preset.named(name).configuration
        func total(_ altUp: AltUpConfiguration) throws -> Int {
            let own = expectedParameters(altUp, of: c).reduce(0) { $0 + $1.shape.reduce(1, *) }
            var configured = c
            configured.altUp = altUp
            let accounting = try T5Accounting(configured)
            #expect(accounting.altUpParameterCount == own)
            return accounting.parameterCount
        }
        #expect(try total(AltUpConfiguration()) == wide)
        #expect(try total(AltUpConfiguration(kind: .recycled)) == recycled)
    }

    static let variants: [AltUpConfiguration] = [
        AltUpConfiguration(streamCount: 1), AltUpConfiguration(), AltUpConfiguration(streamCount: 4),
        AltUpConfiguration(kind: .recycled), AltUpConfiguration(kind: .gemma, streamCount: 3),
        AltUpConfiguration(layerInput: .predicted),
        .sequence(SequenceReductionConfiguration(stride: 2, firstLayer: 0, lastLayer: 1)),
        AltUpConfiguration(
            sequence: SequenceReductionConfiguration(mode: .skip, stride: 3, firstLayer: 1, lastLayer: 1)),
    ]

    @Test(arguments: variants)
    func `Steps equal a whole pass, padding changes nothing, and parameters are as declared`(
        altUp: AltUpConfiguration
    ) throws {
        let c = tinyT5()
        let store = ParameterStore(source: .random(seed: 2), elementType: .float64)
        let model = try T5Model(
            c, parameters: store, computeType: .float64, stacks: .altUp(altUp, c))
        let generator = try Generator(seed: 7)
        try withoutGradients {
            for entry in store.entries where entry.name.contains("altup") {
                try entry.tensor.add(
                    generator.normal(entry.tensor.shape, standardDeviation: 0.2, .float64))
            }
        }
        let counted =
            expectedParameters(c, widths: altUp.t5Widths(hiddenSize: 8)) + expectedParameters(altUp, of: c)
        #expect(
            store.entries.map { "\($0.name) \($0.tensor.shape)" }.sorted()
                == counted.map { "\($0.name) \($0.shape)" }.sorted())
        try expectStepsAndPaddingChangeNothing(model)
    }

    @Test func `One stream is the plain model, and so is a recycled one initially`() throws {
        let c = tinyT5()
        func model(_ stacks: T5Stacks?) throws -> T5Model {
            try T5Model(
                c, parameters: ParameterStore(source: .random(seed: 2)), computeType: .float32, stacks: stacks
            )
        }
        let batch = try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: c)
        let plain = try model(nil)(batch).doubles()
        #expect(try model(.altUp(AltUpConfiguration(streamCount: 1), c))(batch).doubles() == plain)
        let recycled = try model(.altUp(AltUpConfiguration(kind: .recycled), c))(batch).doubles()
        #expect(relativeDifference(recycled, plain) < 1e-5)
    }

    @Test func `Averages shorten the encoder output`() throws {
        let c = tinyT5()
        let altUp = AltUpConfiguration.sequence(SequenceReductionConfiguration(mode: .pool, stride: 4))
        let model = try T5Model(
            c, parameters: ParameterStore(source: .random(seed: 2)), computeType: .float32,
            stacks: .altUp(altUp, c))
        let batch = try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: c)
        let encoded = try model.encode(batch.source, segments: batch.sourceSegments)
        #expect(encoded.hidden.shape == [2, 3, 8])
        #expect(try model(batch).allFinite())
    }

    @Test(arguments: variants) func `The configuration makes its stacks and is read back`(
        altUp: AltUpConfiguration
    ) throws {
        var c = tinyT5()
        c.altUp = altUp
        let text = try c.huggingFaceTree.jsonText()
        #expect(try T5Configuration(huggingFaceJSON: text) == c)
        #expect(T5Configuration(reading: SettingsReader(c.settings)) == c)
        let store = ParameterStore(source: .random(seed: 2))
        let model = try T5Model(c, parameters: store, computeType: .float32)
        #expect(store.parameterCount == (try T5Accounting(c).parameterCount))
        #expect(model.widths == c.widths)
        #expect(
            store.entries.map { "\($0.name) \($0.tensor.shape)" }.sorted()
                == listed(expectedParameters(c)))
        let misspelt = text.replacingOccurrences(of: "\"kind\"", with: "\"kinds\"")
        let error = try #require(throws: SettingsError.self) {
            try T5Configuration(huggingFaceJSON: misspelt)
        }
        #expect(error.problems.contains { $0.path == "altup.kinds" })
    }

    @Test func `What a T5 cannot have is refused`() {
        func refused(_ altUp: AltUpConfiguration, tied: Bool = false) -> [String] {
            var c = tinyT5(gated: !tied)
            c.altUp = altUp
            return c.problems().map(\.path)
        }
        #expect(refused(AltUpConfiguration(kind: .sum), tied: true) == ["altup.kind"])
        #expect(refused(AltUpConfiguration(kind: .sum)) == [])
        let late = SequenceReductionConfiguration(firstLayer: 0, lastLayer: 2)
        #expect(refused(.sequence(late)) == ["altup.sequence.last_layer"])
        let anchors = SequenceReductionConfiguration(positions: .anchors)
        #expect(refused(.sequence(anchors)) == ["altup.sequence.positions"])
    }

    @Test(arguments: [true, false]) func `A dense T5 becomes one with several streams and the same function`(
        gated: Bool
    ) throws {
        let dense = try madeUpT5(tinyT5(gated: gated))
        let batch = try T5Batch(
            sources: goldenSources, targets: goldenTargets, configuration: dense.configuration)
        let expected = try dense(batch).doubles()
        for altUp in [
            AltUpConfiguration(), AltUpConfiguration(streamCount: 4), AltUpConfiguration(kind: .recycled),
            AltUpConfiguration(kind: .recycled, reduction: .mean),
            AltUpConfiguration(initialization: .averaging),
        ] {
            let converted = try AltUpConversion.convert(dense, to: altUp)
            #expect(converted.configuration.altUp == altUp)
            // The norms' epsilon has less effect next to a sum.
            #expect(relativeDifference(try converted(batch).doubles(), expected) < 1e-5, "\(altUp)")
            #expect(throws: AltUpConversionError.hasAltUpAlready) {
                try AltUpConversion.convert(converted, to: altUp)
            }
        }
        for altUp in [AltUpConfiguration(kind: .gemma), .sequence(SequenceReductionConfiguration())] {
            #expect(
                errorText(AltUpConversionError.self) { try AltUpConversion.convert(dense, to: altUp) }
                    .contains("would compute another function than the dense one"))
        }
    }
}
