import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// Whole models with several streams: forms, states, recomputation, conversion, accounting.
@Suite struct AltUpModelTests {
    static func configuration(
        _ altUp: AltUpConfiguration?, _ change: (inout LanguageModelConfiguration) -> Void = { _ in }
    ) -> LanguageModelConfiguration {
        LanguageModelTests.configuration {
            $0.layerCount = 4
            $0.altUp = altUp
            change(&$0)
        }
    }

    static func attention(xPos: Double? = nil) -> (inout LanguageModelConfiguration) -> Void {
        { $0.mixer = .attention(AttentionConfiguration(headCount: 2, headSize: 8, xPosScaleBase: xPos)) }
    }

    /// A model with mixes away from their initial values, at which streams would be equal.
    static func model(
        _ c: LanguageModelConfiguration, type: ElementType = .float64, compute: ElementType? = nil
    ) throws -> LanguageModel {
        let model = try LanguageModelTests.model(c, type: type, compute: compute)
        let generator = try Generator(seed: 77)
        try withoutGradients {
            for entry in model.parameters.entries where entry.name.contains("altup") {
                try entry.tensor.add(
                    generator.normal(entry.tensor.shape, standardDeviation: 0.2).to(type))
            }
        }
        return model
    }

    static let variants: [(String, LanguageModelConfiguration)] = [
        ("K = 1", configuration(AltUpConfiguration(streamCount: 1))),
        ("K = 2", configuration(AltUpConfiguration())),
        ("K = 4", configuration(AltUpConfiguration(streamCount: 4))),
        (
            "same stream, predicted input",
            configuration(AltUpConfiguration(selection: .same, layerInput: .predicted))
        ),
        (
            "recycled",
            configuration(AltUpConfiguration(kind: .recycled)) {
                $0.tiedOutput = true
                $0.positionEmbedding = .sinusoidal
            }
        ),
        (
            "recycled, K = 4, mean, layer norms",
            configuration(AltUpConfiguration(kind: .recycled, streamCount: 4, reduction: .mean)) {
                $0.norm.kind = .layer
                $0.embeddingNorm = true
            }
        ),
        (
            "wide, tied, with sinusoids and an embedding norm",
            configuration(AltUpConfiguration(streamCount: 3)) {
                $0.tiedOutput = true
                $0.positionEmbedding = .sinusoidal
                $0.embeddingNorm = true
            }
        ),
        ("sum", configuration(AltUpConfiguration(kind: .sum, streamCount: 3))),
        ("gemma", configuration(AltUpConfiguration(kind: .gemma, streamCount: 4))),
        ("sequence", configuration(.sequence(SequenceReductionConfiguration(stride: 3)))),
        (
            "sequence by anchors, with convolutions",
            configuration(
                .sequence(SequenceReductionConfiguration(stride: 2, lastLayer: 3, positions: .anchors))
            ) { $0.pattern[0].shortConvolution = 3 }
        ),
        ("skip", configuration(.sequence(SequenceReductionConfiguration(mode: .skip, stride: 4)))),
        ("attention, K = 2", configuration(AltUpConfiguration(), attention())),
        ("attention, K = 4", configuration(AltUpConfiguration(kind: .recycled, streamCount: 4), attention())),
        (
            "attention, sequence",
            configuration(
                AltUpConfiguration(sequence: SequenceReductionConfiguration(stride: 3)), attention(xPos: 4))
        ),
        (
            "streams and sequence",
            configuration(AltUpConfiguration(sequence: SequenceReductionConfiguration(stride: 2)))
        ),
    ]

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
        #expect(try LanguageModelConfiguration(json: c.jsonText()) == c)
        let state = try model(LanguageModelTests.tokens(1, 23), form: .parallel).state
        let count = state.layers.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.tensor.elementCount } }
        #expect(accounting.stateElementCount(tokenCount: 23) == count)
    }

    @Test(arguments: variants)
    func `All forms, and any mixture of them, give the same logits and state`(
        name: String, c: LanguageModelConfiguration
    ) throws {
        let model = try Self.model(c)
        let tokens = try LanguageModelTests.tokens(2, 23)
        let whole = try model(tokens, form: .parallel)
        for pieces: [(Int, MixerForm)] in [
            [(23, .chunkwise(5))], [(23, .recurrent)],
            [(9, .chunkwise(4)), (1, .recurrent), (1, .recurrent), (1, .parallel), (11, .parallel)],
            [(Int, MixerForm)](repeating: (1, .recurrent), count: 23),
        ] {
            var state: LanguageModelState?
            var logits: [Tensor] = []
            var start = 0
            for (length, form) in pieces {
                let part = try model(tokens.sliced(1, start..<start + length), state: state, form: form)
                logits.append(part.logits)
                state = part.state
                start += length
            }
            #expect(
                try AltUpTests.error(Tensor.concatenated(logits, axis: 1), whole.logits) < 1e-10, "\(pieces)")
            for (a, b) in zip(try #require(state).layers, whole.state.layers) {
                for (x, y) in zip(a.tensors, b.tensors) {
                    #expect(try AltUpTests.error(x.tensor, y.tensor) < 1e-9)
                }
            }
        }
    }

    @Test(arguments: variants)
    func `Rows that stand at different places are joined, reset and rebased`(
        name: String, c: LanguageModelConfiguration
    ) throws {
        let model = try Self.model(c)
        let pasts = try [4, 9, 6].map { try LanguageModelTests.tokens(1, $0, seed: $0) }
        let next = try LanguageModelTests.tokens(3, 7, seed: 2)
        let states = try pasts.map { try model($0, form: .parallel).state }
        let joined = try model.joined(states)
        let alone = try (0..<3).map {
            try model(next.sliced(0, $0..<$0 + 1), state: states[$0], form: .chunkwise(2)).logits
        }
        let expected = try Tensor.concatenated(alone, axis: 0)
        let (found, after) = try model(next, state: joined, form: .parallel)
        #expect(try AltUpTests.error(found, expected) < 1e-10)
        // Row by row in the order of the batch, token by token as well.
        var state = joined
        var steps: [Tensor] = []
        for t in 0..<7 {
            let step = try model(next.sliced(1, t..<t + 1), state: state, form: .recurrent)
            steps.append(step.logits)
            state = step.state
        }
        #expect(try AltUpTests.error(Tensor.concatenated(steps, axis: 1), expected) < 1e-10)
        for (a, b) in zip(state.layers, after.layers) {
            for (x, y) in zip(a.tensors, b.tensors) {
                #expect(try AltUpTests.error(x.tensor, y.tensor) < 1e-9)
            }
        }
        let reset = try model(next, state: joined.resetting(rows: [1]), form: .parallel).logits
        let fresh = try model(next.sliced(0, 1..<2), form: .parallel).logits
        #expect(try AltUpTests.error(reset.sliced(0, 1..<2), fresh) < 1e-10)
        #expect(try AltUpTests.error(reset.sliced(0, 2..<3), expected.sliced(0, 2..<3)) < 1e-10)
        guard c.positionEmbedding == .none else { return }
        let rebased = try model.rebased(joined)
        #expect(try AltUpTests.error(model(next, state: rebased, form: .parallel).logits, expected) < 1e-9)
        // Once more in the middle of a group.
        let twice = try model.rebased(model(next.sliced(1, 0..<1), state: rebased, form: .recurrent).state)
        let rest = try model(next.sliced(1, 1..<7), state: twice, form: .parallel).logits
        #expect(try AltUpTests.error(rest, expected.sliced(1, 1..<7)) < 1e-9)
    }

    static func gradients(_ model: LanguageModel, _ form: MixerForm, dropout: Bool = false) throws
        -> [[Double]]
    {
        try LanguageModelTests().gradients(model, form, dropout: dropout)
    }

    @Test(arguments: variants)
    func `Gradients do not depend on form and recomputation`(name: String, c: LanguageModelConfiguration)
        throws
    {
        var c = c
        c.dropout.residual = 0.2
        let model = try Self.model(c)
        let expected = try Self.gradients(model, .parallel)
        let dropped = try Self.gradients(model, .parallel, dropout: true)
        #expect(expected != dropped)
        func compare(_ found: [[Double]], _ expected: [[Double]]) {
            for (a, b) in zip(found, expected) {
                for (x, y) in zip(a, b) { #expect(abs(x - y) <= 1e-8 * Swift.max(1, abs(y))) }
            }
        }
        compare(try Self.gradients(model, .recurrent), expected)
        model.recomputesActivations = true
        compare(try Self.gradients(model, .chunkwise(3)), expected)
        compare(try Self.gradients(model, .parallel, dropout: true), dropped)
    }

    @Test func `One stream with p = 1 and g = 1 is the dense model bit for bit`() throws {
        for type in [ElementType.float32, .bfloat16] {
            let dense = try LanguageModelTests.model(Self.configuration(nil), type: .float32, compute: type)
            let one = try LanguageModelTests.model(
                Self.configuration(AltUpConfiguration(streamCount: 1)), type: .float32, compute: type)
            let tokens = try LanguageModelTests.tokens(2, 17)
            for form in [MixerForm.parallel, .recurrent] {
                let (a, b) = try (dense(tokens, form: form).logits, one(tokens, form: form).logits)
                #expect(try a.doubles() == b.doubles())
            }
        }
        let first = try Self.gradients(
            LanguageModelTests.model(Self.configuration(nil), type: .float32), .parallel)
        let model = try LanguageModelTests.model(
            Self.configuration(AltUpConfiguration(streamCount: 1)), type: .float32)
        let second = try Self.gradients(model, .parallel)
        let shared = zip(model.parameters.entries, second).filter { !$0.0.name.contains("altup") }.map(\.1)
        #expect(shared == first)
    }

    @Test(arguments: [1, 2, 3, 4])
    func `A dense model becomes a recycled and a wide one with the same logits`(k: Int) throws {
        for tied in [false, true] {
            let dense = try LanguageModelTests.model(
                Self.configuration(nil) {
                    $0.tiedOutput = tied
                    $0.embeddingNorm = true
                    $0.norm.kind = .layer
                })
            let tokens = try LanguageModelTests.tokens(2, 17)
            let expected = try dense(tokens, form: .parallel).logits
            for altUp in [
                AltUpConfiguration(kind: .recycled, streamCount: k, reduction: .mean),
                AltUpConfiguration(kind: .recycled, streamCount: k),
                AltUpConfiguration(streamCount: k),
                AltUpConfiguration(streamCount: k, initialization: .averaging),
            ] {
                let converted = try AltUpConversion.convert(dense, to: altUp)
                let found = try converted(tokens, form: .chunkwise(4)).logits
                #expect(try AltUpTests.error(found, dense(tokens, form: .chunkwise(4)).logits) < 1e-5)
                #expect(try AltUpTests.error(found, expected) < 1e-5)
                // The copy is trained without the original.
                try withoutGradients {
                    for tensor in converted.parameters.tensors { try tensor.scale(by: 0.5) }
                }
                #expect(try dense(tokens, form: .parallel).logits.doubles() == expected.doubles())
            }
        }
    }

    @Test func `Recycled with a mean of two streams is exact, and its streams diverge in training`() throws {
        let dense = try LanguageModelTests.model(Self.configuration(nil), type: .float32)
        let recycled = try AltUpConversion.convert(
            dense, to: AltUpConfiguration(kind: .recycled, reduction: .mean))
        let tokens = try LanguageModelTests.tokens(2, 9)
        #expect(
            try recycled(tokens, form: .parallel).logits.doubles()
                == dense(tokens, form: .parallel).logits.doubles())
        _ = try Self.gradients(recycled, .parallel)
        let g = try #require(try recycled.parameters["layers.1.altup.correction"]?.gradient()).doubles()
        #expect(abs(g[0] - g[1]) > 1e-6)
    }

    @Test func `Conversions that would change the function are refused`() throws {
        let dense = try LanguageModelTests.model(Self.configuration(nil) { $0.finalNorm = false })
        for altUp in [
            AltUpConfiguration(kind: .gemma), AltUpConfiguration(kind: .recycled),
            AltUpConfiguration(initialization: .active),
            AltUpConfiguration(sequence: SequenceReductionConfiguration()),
        ] {
            #expect(
                errorText(AltUpConversionError.self) { try AltUpConversion.convert(dense, to: altUp) }
                    .contains("would compute another function than the dense one"))
        }
        let wide = try LanguageModelTests.model(Self.configuration(AltUpConfiguration()))
        #expect(throws: AltUpConversionError.hasAltUpAlready) {
            try AltUpConversion.convert(wide, to: AltUpConfiguration())
        }
    }

    @Test func `States have the size of the dense model's`() throws {
        let dense = try ModelAccounting(Self.configuration(nil))
        for k in [1, 2, 4] {
            for kind in [AltUpConfiguration.Kind.standard, .recycled, .gemma] {
                let c = Self.configuration(AltUpConfiguration(kind: kind, streamCount: k))
                #expect(
                    try ModelAccounting(c).stateElementCount(tokenCount: 9)
                        == dense.stateElementCount(tokenCount: 9))
            }
        }
    }

    @Test func `Parameters are those of the paper's accounting`() throws {
        let dense = try Preset.named("retnet-22m").configuration
        let base = try ModelAccounting(dense)
        func added(_ altUp: AltUpConfiguration) throws -> Int {
            var c = dense
            c.altUp = altUp
            return try ModelAccounting(c).parameterCount - base.parameterCount
        }
        let (v, d, layers) = (256, 512, 6)
        for k in [1, 2, 4] {
            let scalars = layers * (k * k + k)
            #expect(try added(AltUpConfiguration(kind: .recycled, streamCount: k)) == scalars)
            // Table, output matrix and final norm.
            #expect(try added(AltUpConfiguration(streamCount: k)) == scalars + (k - 1) * (2 * v * d + d))
            #expect(try added(AltUpConfiguration(kind: .sum, streamCount: k)) == (k - 1) * v * d)
            let cell = k * k * k + k * k + k * d + d
            #expect(
                try added(AltUpConfiguration(kind: .gemma, streamCount: k)) == layers * cell + 2 * (k - 1) * d
                    * d)
        }
        #expect(try added(.sequence(SequenceReductionConfiguration())) == 4 * 3)
        let twice = try ModelAccounting(dense.widened(by: 2))
        #expect(twice.parameters.mixers == 2 * base.parameters.mixers)
        #expect(twice.parameters.feedForwards == 2 * base.parameters.feedForwards)
    }

    @Test func `Layers that see every fourth token cost a fourth`() throws {
        let dense = Self.configuration(nil)
        let c = Self.configuration(.sequence(SequenceReductionConfiguration(stride: 4)))
        let (a, b) = (try ModelAccounting(dense), try ModelAccounting(c))
        let output = 19 * 16
        let block = (a.matrixParameterCount - output) / 4
        #expect(b.activeMatrixParameterCount == 2 * block + 2 * (block / 4) + output)
        #expect(b.forwardFLOPsPerToken < a.forwardFLOPsPerToken)
    }

    @Test func `Gemma's mix with coefficients of zero passes the same innovation to all`() throws {
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let configuration = AltUpConfiguration(kind: .gemma, streamCount: 4)
        let stack = try AltUpStack(
            configuration, hiddenSize: 6, layerCount: 1, scope: store.root,
            layerScope: { store.root.scope("layers.\($0)") })
        try withoutGradients {
            for name in ["prediction", "correction"] {
                try store["layers.0.altup.\(name)_coefficients.weight"]?.scale(by: 0)
            }
        }
        let x = try Generator(seed: 3).normal([2, 3, 6], .float64)
        let streams = try stack.expand(x)
        func size(_ x: Tensor) throws -> Tensor { try (x * x).mean([-1]) }
        for stream in streams { #expect(try AltUpTests.error(size(stream), size(x)) < 1e-4) }
        let mixed = try stack.layer(0, streams) { input, _ in
            #expect(try AltUpTests.error(input, x) < 1e-14)
            return try input * 3 + 1
        }
        for (before, after) in zip(streams, mixed) {
            #expect(try AltUpTests.error(after - before, x * 2 + 1) < 1e-13)
        }
    }

    @Test func `Settings that contradict each other are refused with their place`() throws {
        func problems(_ altUp: SettingsTree, _ change: SettingsTree = [:]) -> [String] {
            let base = Self.configuration(nil).settings.merging(["altup": altUp]).merging(change)
            let reader = SettingsReader(base)
            _ = LanguageModelConfiguration(reading: reader)
            return reader.problems.map(\.path)
        }
        #expect(problems(["kind": "sum"], ["tied_output": true]) == ["altup.kind"])
        #expect(problems(["kind": "none"]) == ["altup.kind"])
        #expect(problems(["kind": "gemma", "selection": "same"]) == ["altup.selection"])
        #expect(problems(["sequence": ["mode": "pool"]]) == ["altup.sequence.mode"])
        #expect(problems(["sequence": ["last_layer": 4]]) == ["altup.sequence.last_layer"])
        #expect(problems(["blocks": 0]) == ["altup.blocks"])
        var linear = Self.configuration(.sequence(SequenceReductionConfiguration()))
        linear.mixer = .linearAttention(LinearAttentionConfiguration(headCount: 2, headSize: 8))
        #expect(linear.problems().map(\.path) == ["altup.sequence.positions"])
    }
}
