import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

/// The whole model: names, forms, states, recomputation and variants of the block.
@Suite struct LanguageModelTests {
    static func configuration(_ change: (inout LanguageModelConfiguration) -> Void = { _ in })
        -> LanguageModelConfiguration
    {
        var c = LanguageModelConfiguration(
            vocabularySize: 19, hiddenSize: 16, layerCount: 3,
            mixer: .retention(
                RetentionConfiguration(
                    headCount: 2, keySize: 8, valueSize: 12, decay: .standard, rotation: .interleaved,
                    normalization: .decay, headNorm: HeadNormConfiguration(), gate: .swish, biases: false)),
            feedForward: FeedForwardConfiguration(
                kind: .plain, activation: .gelu, innerSize: 24, subNorm: false, biases: false))
        change(&c)
        return c
    }

    static func model(
        _ c: LanguageModelConfiguration, type: ElementType = .float64, compute: ElementType? = nil
    ) throws -> LanguageModel {
        let store = ParameterStore(source: .random(seed: 5), elementType: type)
        return try LanguageModel(c, parameters: store, computeType: compute ?? type)
    }

    static func tokens(_ batch: Int, _ time: Int, seed: Int = 0) throws -> Tensor {
        let ids = (0..<batch * time).map { Int64(($0 * 7 + $0 * $0 * 3 + seed) % 19) }
        return try Tensor.from(ids, [batch, time])
    }

    /// Every choice that changes the block, each alone.
    static let variants: [(String, LanguageModelConfiguration)] = [
        ("paper", configuration()),
        (
            "gated",
            configuration {
                $0.feedForward.kind = .gated
                $0.feedForward.activation = .swish
            }
        ),
        (
            "layer norms",
            configuration {
                $0.norm.kind = .layer
                $0.norm.epsilon = 1e-5
            }
        ),
        (
            "sub-norm and biases",
            configuration {
                $0.feedForward.subNorm = true
                $0.feedForward.biases = true
            }
        ),
        (
            "post-norm DeepNorm",
            configuration {
                $0.preNorm = false
                $0.deepNorm = true
                $0.finalNorm = false
            }
        ),
        (
            "tied, scaled, normed embedding",
            configuration {
                $0.tiedOutput = true
                $0.embeddingScale = .squareRoot
                $0.embeddingNorm = true
            }
        ),
        (
            "a hybrid",
            configuration { c in
                guard case .retention(var r) = c.mixer else { return }
                r.decay = .uniform(0.9)
                let usual = c.layer(0)
                c.pattern = [
                    usual, usual,
                    LayerConfiguration(
                        mixer: .retention(r), feedForward: FeedForwardConfiguration(innerSize: 40),
                        shortConvolution: 3),
                ]
            }
        ),
        (
            "convolutions instead of feed-forwards",
            configuration {
                $0.pattern[0].shortConvolution = 4
                $0.feedForward = .none
                $0.positionEmbedding = .sinusoidal
            }
        ),
        (
            "GPT-2's: learned positions, GELU by tanh",
            configuration {
                $0.mixer = .attention(
                    AttentionConfiguration(headCount: 2, headSize: 8, rotation: .none, biases: true))
                $0.feedForward.activation = .geluTanh
                $0.positionEmbedding = .learned
                $0.positionCount = 23
            }
        ),
        (
            "GPT-NeoX's: parallel residuals",
            configuration {
                $0.mixer = .attention(
                    AttentionConfiguration(headCount: 2, headSize: 8, rotation: .halves, rotarySize: 2))
                $0.parallelResidual = true
            }
        ),
        ("halved", configuration { $0.halvingPeriod = 1 }),
        (
            "as in the paper: layer norms, sums of scores",
            configuration { c in
                guard case .retention(var r) = c.mixer else { return }
                r.normalization = .decayAbsSum
                r.headNorm = HeadNormConfiguration(kind: .layer, epsilon: 1e-5)
                c.mixer = .retention(r)
                c.norm = NormConfiguration(kind: .layer, epsilon: 1e-5)
            }
        ),
        (
            "sums of scores",
            configuration { c in
                guard case .retention(var r) = c.mixer else { return }
                r.normalization = .decayAbsSum
                r.rotation = .halves
                r.keyValueHeadCount = 1
                r.headNorm.affine = .shared
                c.mixer = .retention(r)
            }
        ),
    ]

    /// Output matrices whose logits are formed slice by slice.
    static let largeVocabularies: [(String, LanguageModelConfiguration)] = [
        (
            "a large vocabulary",
            configuration {
                $0.vocabularySize = 30_001
                $0.layerCount = 1
            }
        ),
        (
            "a large vocabulary, tied, of two streams",
            configuration {
                $0.vocabularySize = 30_001
                $0.layerCount = 1
                $0.tiedOutput = true
                $0.altUp = AltUpConfiguration()
            }
        ),
        (
            "a large vocabulary with a bias",
            configuration {
                $0.vocabularySize = 30_001
                $0.layerCount = 1
                $0.outputBias = true
            }
        ),
    ]

    @Test(arguments: variants + largeVocabularies)
    func `Training passes have the losses and gradients of other passes`(
        name: String, c: LanguageModelConfiguration
    ) throws {
        // Training forms residual sums in norms and runs whole layers of retention; in float64 both ways agree.
        let model = try Self.model(c)
        try model.parameters.setRequiresGradient(true)
        let length = min(37, c.positionEmbedding == .learned ? c.positionCount : 37)
        let (tokens, targets) = (try Self.tokens(4, length), try Self.tokens(4, length, seed: 5))
        func run(isTraining: Bool, recomputes: Bool = false) throws -> [Tensor] {
            model.recomputesActivations = recomputes
            var context = ForwardContext(isTraining: isTraining)
            context.keepsStates = !isTraining || recomputes
            let loss = try model.lossSum(
                tokens, targets: targets, form: c.trainingForm == .parallel ? .parallel : .chunkwise(16),
                context: context
            ).loss
            try loss.backward()
            let gradients = try model.parameters.tensors.map { parameter in
                let gradient = try parameter.gradient()
                return try #require(gradient)
            }
            try model.parameters.clearGradients()
            return [try loss.detached()] + gradients
        }
        // The clear path of large vocabularies is there without kernels only.
        let isLarge = c.vocabularySize > 1000
        #expect(
            FusedOperators.runsOutputLoss(
                try Tensor.zeros([4 * length, 2], .float64), vocabularySize: c.vocabularySize) == isLarge)
        let expected =
            try isLarge
            ? FusedOperators.withoutKernels { try run(isTraining: false) } : run(isTraining: false)
        for found in [try run(isTraining: true), try run(isTraining: true, recomputes: true)] {
            #expect(try relativeError(found[0], expected[0]) < 1e-12)
            // Some gradients are zero but for rounding, so all are measured by the norm of all.
            let flat = try [found, expected].map {
                try Tensor.concatenated($0.dropFirst().map { try $0.reshaped([-1]) }, axis: 0)
            }
            #expect(try relativeError(flat[0], flat[1]) < 1e-10)
        }
    }

    @Test(arguments: variants)
    func `Names and shapes are those of the configuration`(name: String, c: LanguageModelConfiguration) throws
    {
        let model = try Self.model(c)
        let declared = model.parameters.entries.map { "\($0.name) \($0.tensor.shape)" }
        #expect(declared.sorted() == listed(try expectedParameters(c)))
        #expect(declared == (try c.parameterShapes()).map { "\($0.name) \($0.shape)" })
        #expect(model.parameters.parameterCount == (try ModelAccounting(c).parameterCount))
    }

    @Test(arguments: variants)
    func `All forms, and any mixture of them, give the same logits and state`(
        name: String, c: LanguageModelConfiguration
    ) throws {
        let model = try Self.model(c)
        let tokens = try Self.tokens(2, 23)
        let whole = try model(tokens, form: .parallel)
        for pieces: [(Int, MixerForm)] in [
            [(23, .chunkwise(5))], [(23, .recurrent)],
            [(9, .chunkwise(4)), (1, .recurrent), (13, .parallel)],
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
            let joined = try Tensor.concatenated(logits, axis: 1)
            #expect(try (joined - whole.logits).abs().max().item() < 1e-10, "\(pieces)")
            let final = try #require(state)
            #expect(final.positions == whole.state.positions)
            for (a, b) in zip(final.layers, whole.state.layers) {
                for (x, y) in zip(a.tensors, b.tensors) {
                    #expect(try (x.tensor - y.tensor).abs().max().item() < 1e-9)
                }
            }
        }
    }

    func gradients(_ model: LanguageModel, _ form: MixerForm, dropout: Bool = false) throws -> [[Double]] {
        try model.parameters.setRequiresGradient(true)
        try model.parameters.clearGradients()
        let context = ForwardContext(isTraining: dropout, generator: dropout ? try Generator(seed: 3) : nil)
        let first = try model.lossSum(
            Self.tokens(2, 11), targets: Self.tokens(2, 11, seed: 4), form: form, context: context)
        let second = try model.lossSum(
            Self.tokens(2, 7), targets: Self.tokens(2, 7, seed: 2), state: first.state, form: form,
            context: context)
        try (first.loss + second.loss).backward()
        return try model.parameters.tensors.map { try $0.gradient()?.doubles() ?? [] }
    }

    @Test(arguments: [0.0, 0.3])
    func `Recomputed activations give the same gradients, through carried states and dropout`(rate: Double)
        throws
    {
        let c = Self.configuration {
            $0.dropout.residual = rate
            $0.dropout.activation = rate
            $0.dropout.dropPath = rate
        }
        let model = try Self.model(c)
        let expected = try gradients(model, .chunkwise(4), dropout: rate > 0)
        model.recomputesActivations = true
        let found = try gradients(model, .chunkwise(4), dropout: rate > 0)
        for (a, b) in zip(found, expected) {
            for (x, y) in zip(a, b) { #expect(abs(x - y) <= 1e-11 * Swift.max(1, abs(y))) }
        }
    }

    @Test func `Gradients do not depend on the form`() throws {
        let model = try Self.model(Self.configuration())
        let expected = try gradients(model, .parallel)
        for form in [MixerForm.chunkwise(3), .recurrent] {
            for (a, b) in zip(try gradients(model, form), expected) {
                for (x, y) in zip(a, b) { #expect(abs(x - y) <= 1e-9 * Swift.max(1, abs(y))) }
            }
        }
    }

    @Test func `Computing in bfloat16 with float32 weights stays close`() throws {
        let exact = try Self.model(Self.configuration())
        let narrow = try Self.model(Self.configuration(), type: .float32, compute: .bfloat16)
        let tokens = try Self.tokens(2, 40)
        let expected = try exact(tokens, form: .parallel).logits
        let result = try narrow(tokens, form: .chunkwise(8))
        let found = try result.logits.to(.float64)
        let error = try ((found - expected) * (found - expected)).sum().item().squareRoot()
        #expect(try error < 3e-2 * (expected * expected).sum().item().squareRoot())
        #expect(
            result.state.layers.allSatisfy { $0.tensors.allSatisfy { $0.tensor.elementType == .float32 } })
    }

    @Test func `States are forked, reset, selected and rebased by row`() throws {
        let model = try Self.model(Self.configuration())
        let (past, next) = (try Self.tokens(3, 9), try Self.tokens(3, 4, seed: 8))
        let state = try model(past, form: .parallel).state
        let expected = try model(next, state: state, form: .recurrent).logits

        let forked = try state.selecting(rows: [2, 0, 2])
        let rows = try Tensor.from([Int64(2), 0, 2])
        let found = try model(next.indexSelected(0, rows), state: forked, form: .parallel).logits
        #expect(try (found - expected.indexSelected(0, rows)).abs().max().item() < 1e-10)

        let reset = try state.resetting(rows: [1])
        #expect(reset.positions[1] == SequencePosition() && reset.positions[0].position == 9)
        let fresh = try model(next.sliced(0, 1..<2), form: .parallel).logits
        let after = try model(next, state: reset, form: .chunkwise(2)).logits
        #expect(try (after.sliced(0, 1..<2) - fresh).abs().max().item() < 1e-10)
        #expect(try (after.sliced(0, 0..<1) - expected.sliced(0, 0..<1)).abs().max().item() < 1e-10)

        let rebased = try model.rebased(state)
        #expect(rebased.positions.allSatisfy { $0.position == 0 && $0.count == 9 })
        #expect(
            try (model(next, state: rebased, form: .parallel).logits - expected).abs().max().item() < 1e-10)
        #expect(
            errorText(TorchError.self) { try state.selecting(rows: [3]) }.contains("row 3 does not exist"))
    }

    @Test func `Learned positions follow every row of a batch, and end`() throws {
        let model = try Self.model(
            Self.configuration {
                $0.positionEmbedding = .learned
                $0.positionCount = 12
            })
        let (past, next) = (try Self.tokens(1, 5), try Self.tokens(2, 4, seed: 8))
        let second = try next.sliced(0, 1..<2)
        let read = try model(past, form: .parallel)
        let batch = try model.joined([read.state, model.initialState(batch: 1)])
        let both = try model(next, state: batch, form: .chunkwise(3))
        let alone = try model(second, form: .recurrent).logits
        #expect(try (both.logits.sliced(0, 1..<2) - alone).abs().max().item() < 1e-10)
        let shifted = try model(second, state: read.state, form: .recurrent).logits
        #expect(try (shifted - alone).abs().max().item() > 1e-3)

        _ = try model(Self.tokens(2, 3), state: both.state, form: .parallel)
        #expect(
            errorText(MixerError.self) { try model(Self.tokens(2, 4), state: both.state, form: .parallel) }
                .contains("reaches position 13 but was made for 12 positions"))
        var far = both.state
        far.positions[0].position = .max
        #expect(throws: MixerError.self) { try model(Self.tokens(2, 1), state: far, form: .parallel) }
        #expect(throws: MixerError.self) { try model.rebased(read.state) }
    }

    @Test func `Halving changes nothing behind a norm without epsilon`() throws {
        let plain = Self.configuration { $0.norm.epsilon = 1e-30 }
        var halved = plain
        halved.halvingPeriod = 2
        let tokens = try Self.tokens(2, 9)
        let wanted = try Self.model(plain)(tokens, form: .parallel).logits
        let found = try Self.model(halved)(tokens, form: .parallel).logits
        #expect(try (found - wanted).abs().max().item() < 1e-12)
        let bare = { (c: inout LanguageModelConfiguration) in c.finalNorm = false }
        let (a, b) = (
            Self.configuration(bare),
            Self.configuration {
                bare(&$0)
                $0.halvingPeriod = 3
            }
        )
        let whole = try Self.model(a)(tokens, form: .parallel).logits
        let half = try Self.model(b)(tokens, form: .parallel).logits
        #expect(try (half * 2 - whole).abs().max().item() < 1e-12)
    }

    @Test func `The last row alone is the last row of all`() throws {
        let model = try Self.model(Self.configuration())
        let tokens = try Self.tokens(2, 9)
        let all = try model(tokens, form: .parallel).logits
        let last = try model(tokens, form: .parallel, lastOnly: true).logits
        #expect(try (all.sliced(1, 8..<9) - last).abs().max().item() < 1e-12)
    }

    @Test func `Token losses add up to the loss`() throws {
        let model = try Self.model(Self.configuration())
        let targets = try Self.tokens(2, 9, seed: 1)
        let sum = try model.lossSum(Self.tokens(2, 9), targets: targets, form: .parallel).loss.item()
        let losses = try model.tokenLosses(Self.tokens(2, 9), targets: targets, form: .recurrent).losses
        #expect(losses.shape == [2, 9])
        #expect(try abs(losses.sum().item() - sum) < 1e-9)
    }

    @Test func `Empty batches and foreign states are refused`() throws {
        let model = try Self.model(Self.configuration())
        let other = try Self.model(Self.configuration { $0.layerCount = 2 })
        let tokens = try Self.tokens(1, 3)
        let state = try model.initialState(batch: 1)
        #expect(throws: MixerError.emptySequence) {
            try model(Tensor.zeros([1, 0], .int64), form: .parallel)
        }
        #expect(
            errorText(MixerError.self) { try other(tokens, state: state, form: .parallel) }.contains(
                "expected 2 layers, found 3"))
        #expect(
            errorText(MixerError.self) { try model(Self.tokens(2, 3), state: state, form: .parallel) }
                .contains("the state holds 1 rows but the batch has 2"))
        #expect(
            errorText(TorchError.self) {
                try model(Tensor.from([Int64(19)], [1, 1]), form: .parallel)
            }.contains("index out of range"))
    }
}
