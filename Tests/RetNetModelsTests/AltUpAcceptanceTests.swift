import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

/// Properties of whole models with AltUp.
@Suite struct AltUpAcceptanceTests {
    @Test(arguments: [2, 3]) func `Gradients of Sequence-AltUp are finite differences`(stride: Int) throws {
        // Five tokens: the last group is short.
        let generator = try Generator(seed: 8)
        let inputs = try [generator.normal([2, 5, 3], .float64), Tensor.from([0.9, -0.4, 0.7])]
        func loss(_ t: [Tensor]) throws -> Tensor {
            let anchors = try t[0].sliced(1, 0..<5, by: stride).contiguous()
            let output = try FusedOperators.sequenceAltUp(
                t[0], layerOutput: anchors.tanh() * 3, anchor: nil, innovation: nil, coefficients: t[1],
                first: 0, stride: stride
            ).output
            return try (output.sin() * output).sum()
        }
        try expectFiniteDifferences(of: loss, at: inputs)
    }

    @Test(arguments: [1, 2, 4], [AltUpConfiguration.Kind.standard, .recycled])
    func `Token by token is the whole text with the dense state, on RetNet and Transformer`(
        k: Int, kind: AltUpConfiguration.Kind
    ) throws {
        for change in [{ _ in }, AltUpModelTests.attention()] as [(inout LanguageModelConfiguration) -> Void]
        {
            let altUp = AltUpConfiguration(kind: kind, streamCount: k)
            let model = try AltUpModelTests.model(AltUpModelTests.configuration(altUp, change))
            let tokens = try LanguageModelTests.tokens(2, 9)
            let whole = try model(tokens, form: .parallel)
            var state: LanguageModelState?
            for time in 0..<9 {
                let step = try model(tokens.sliced(1, time..<time + 1), state: state, form: .recurrent)
                let expected = try whole.logits.sliced(1, time..<time + 1)
                #expect(try AltUpTests.error(step.logits, expected) < 1e-10)
                state = step.state
            }
            let dense = try LanguageModelTests.model(AltUpModelTests.configuration(nil, change))
            let plain = try dense(tokens, form: .parallel).state
            let shapes = try #require(state).layers.map { $0.tensors.map(\.tensor.shape) }
            #expect(shapes == plain.layers.map { $0.tensors.map(\.tensor.shape) })
        }
    }

    @Test func `A model whose layers see every token is the dense one`() throws {
        let dense = try LanguageModelTests.model(AltUpModelTests.configuration(nil))
        let every = try LanguageModelTests.model(
            AltUpModelTests.configuration(.sequence(SequenceReductionConfiguration(stride: 1))))
        let tokens = try LanguageModelTests.tokens(2, 11)
        for form in [MixerForm.parallel, .chunkwise(4), .recurrent] {
            #expect(
                try AltUpTests.error(every(tokens, form: form).logits, dense(tokens, form: form).logits)
                    < 1e-12)
        }
    }

    @Test(arguments: [true, false])
    func `Gemma's cell equals its formulas, number by number`(isTraining: Bool) throws {
        let (k, d) = (3, 4)
        let store = ParameterStore(source: .random(seed: 6), elementType: .float64)
        var configuration = AltUpConfiguration(kind: .gemma, streamCount: k)
        configuration.coefficientClip = 0.9
        let stack = try AltUpStack(
            configuration, hiddenSize: d, layerCount: 1, scope: store.root,
            layerScope: { store.root.scope("layers.\($0)") })
        let generator = try Generator(seed: 2)
        try withoutGradients {
            for entry in store.entries where entry.name.hasPrefix("layers.") {
                try entry.tensor.add(generator.normal(entry.tensor.shape, .float64))
            }
        }
        func values(_ name: String) throws -> [Double] {
            try #require(store["layers.0.altup.\(name).weight"]).doubles()
        }
        let (norm, router) = (try values("router_norm"), try values("router"))
        // The public code clips in training alone.
        let limited = { (values: [Double]) in
            isTraining ? values.map { Swift.min(0.9, Swift.max(-0.9, $0)) } : values
        }
        #expect(try values("prediction_coefficients").contains { abs($0) > 0.9 })
        let (p, c) = (
            limited(try values("prediction_coefficients")), limited(try values("correction_coefficients"))
        )
        let streams = try (0..<k).map { _ in try generator.normal([1, 1, d], .float64) }
        let x = try streams.map { try $0.doubles() }
        func modalities(_ x: [Double]) -> [Double] {
            let scale = (x.reduce(0) { $0 + $1 * $1 } / Double(d) + 1e-6).squareRoot()
            return (0..<k).map { i in
                tanh((0..<d).reduce(0) { $0 + router[i * d + $1] * x[$1] / scale * norm[$1] } / Double(d))
            }
        }
        let m = modalities(x[0])
        let predicted = (0..<k).map { i in
            (0..<d).map { channel in
                x[i][channel]
                    + (0..<k).reduce(0) { sum, j in
                        let a = (0..<k).reduce(0) { $0 + p[(i * k + j) * k + $1] * m[$1] }
                        return sum + a * x[j][channel]
                    }
            }
        }
        let output = predicted[0].map { $0 * 3 + 1 }
        let n = modalities(output)
        let expected = (0..<k).map { i in
            let factor = 1 + (0..<k).reduce(0) { $0 + c[i * k + $1] * n[$1] }
            return (0..<d).map { predicted[i][$0] + factor * (output[$0] - predicted[0][$0]) }
        }
        let context = ForwardContext(isTraining: isTraining)
        let found = try stack.layer(0, streams, context) { input, _ in try input * 3 + 1 }
        for (stream, numbers) in zip(found, expected) {
            #expect(relativeDifference(try stream.doubles(), numbers) < 1e-12)
        }
        // The collapse: projections of the magnitude of the first stream, and their mean.
        let parts = try (1..<k).map { i in
            let weight = try #require(store["altup.collapse.\(i).weight"]).doubles()
            let y = (0..<d).map { row in (0..<d).reduce(0) { $0 + weight[row * d + $1] * x[i][$1] } }
            func square(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 } / Double(d) }
            return y.map { $0 * (square(x[0]) / Swift.max(square(y), 1e-5)).squareRoot() }
        }
        let mean = (0..<d).map { channel in
            ([x[0]] + parts).reduce(0) { $0 + $1[channel] } / Double(k)
        }
        #expect(relativeDifference(try stack.collapse(streams).doubles(), mean) < 1e-12)
    }
}

/// Packed rows of T5 with AltUp.
@Suite struct AltUpPackingTests {
    static let variants: [(altUp: AltUpConfiguration, stride: Int)] = [
        (AltUpConfiguration(streamCount: 1), 1), (AltUpConfiguration(), 1),
        (AltUpConfiguration(streamCount: 4), 1), (AltUpConfiguration(kind: .recycled), 1),
        (AltUpConfiguration(kind: .gemma, streamCount: 3), 1),
        (.sequence(SequenceReductionConfiguration(stride: 3, firstLayer: 0, lastLayer: 1)), 3),
        (.sequence(SequenceReductionConfiguration(mode: .skip, stride: 5, firstLayer: 0, lastLayer: 1)), 5),
        (.sequence(SequenceReductionConfiguration(mode: .pool, stride: 5)), 5),
    ]

    private func model(_ altUp: AltUpConfiguration) throws -> T5Model {
        let c = tinyT5()
        let store = ParameterStore(source: .random(seed: 2), elementType: .float64)
        let model = try T5Model(c, parameters: store, computeType: .float64, stacks: .altUp(altUp, c))
        let generator = try Generator(seed: 7)
        try withoutGradients {
            for entry in store.entries where entry.name.contains("altup") {
                try entry.tensor.add(generator.normal(entry.tensor.shape, standardDeviation: 0.2, .float64))
            }
        }
        return model
    }

    private func marks(_ rows: [[Int32]]) -> [Int32] {
        rows.enumerated().flatMap { index, row in row.map { _ in Int32(index + 1) } }
    }

    @Test(arguments: variants)
    func `A packed or padded batch gives each example what it gets alone`(
        altUp: AltUpConfiguration, stride: Int
    ) throws {
        let model = try model(altUp)
        let c = model.configuration
        let alone = try (0..<2).map { index in
            try withoutGradients {
                try model(
                    T5Batch(
                        sources: [goldenSources[index]], targets: [goldenTargets[index]], configuration: c)
                ).doubles()
            }
        }
        // Rotated, so that the second example does not begin where a group would anyway.
        let order = [1, 0]
        let packed = try T5Batch(
            sources: [order.flatMap { goldenSources[$0] }],
            sourceSegments: [marks(order.map { goldenSources[$0] })],
            targets: [order.flatMap { goldenTargets[$0] }],
            targetSegments: [marks(order.map { goldenTargets[$0] })], configuration: c, sourceLength: 16,
            sourceAlignment: stride)
        #expect(packed.sourceCount == 16)
        let together = try withoutGradients { try model(packed).doubles() }
        var start = 0
        for index in order {
            let count = goldenTargets[index].count * 32
            #expect(relativeDifference(Array(together[start..<start + count]), alone[index]) < 1e-11)
            start += count
        }
        let padded = try T5Batch(
            sources: goldenSources, targets: goldenTargets, configuration: c, sourceLength: 20)
        let rows = try withoutGradients { try model(padded) }
        for index in 0..<2 {
            let count = goldenTargets[index].count * 32
            let row = try rows.selected(0, index).doubles()
            #expect(relativeDifference(Array(row[..<count]), alone[index]) < 1e-11)
        }
    }

    @Test(arguments: [SequenceReductionConfiguration.Mode.altup, .skip, .pool])
    func `Examples that share a group are refused`(mode: SequenceReductionConfiguration.Mode) throws {
        let model = try model(
            .sequence(SequenceReductionConfiguration(mode: mode, stride: 3, firstLayer: 0, lastLayer: 1)))
        let batch = try T5Batch(
            sources: [goldenSources[1] + [3]], sourceSegments: [[1, 1, 1, 1, 2]], targets: [[9, 1]],
            targetSegments: [[1, 2]], configuration: model.configuration)
        #expect(throws: T5Error.mixedGroup(row: 0, position: 4, stride: 3)) { try model(batch) }
    }
}
