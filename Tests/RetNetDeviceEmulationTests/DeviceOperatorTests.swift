import CRetNetTorch
import RetNetArchitecture
import RetNetDeviceEmulation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

/// Operators and models by the table for CUDA devices, with every launch emulated: how tensors become arguments of kernels.
@Suite struct DeviceOperatorTests {
    /// Runs `body` with kernels for devices in place of those for processors; returns the number of launches too.
    static func emulated<R>(_ body: () throws -> R) rethrows -> (result: R, launches: Int64) {
        let before = rde_launch_count()
        ct_emulate_cuda(rde_launch, large.architecture, large.multiprocessors, large.shared_bytes)
        defer { ct_emulate_cuda(nil, 0, 0, 0) }
        return (try body(), rde_launch_count() - before)
    }

    /// Compares outputs and gradients with those of the chains of LibTorch's operators.
    private func compare(
        _ shapes: [[Int]], _ type: ElementType = .float32, launches: Int64, isDifferentiable: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation, _ operation: ([Tensor]) throws -> [Tensor]
    ) throws {
        let generator = try Generator(seed: 9)
        let inputs = try shapes.map { try generator.normal($0, type).requiringGradient(isDifferentiable) }
        func results() throws -> [Tensor] {
            let outputs = try operation(inputs)
            guard isDifferentiable else { return outputs }
            let seeds = try Generator(seed: 10)
            let gradients = try Tensor.gradients(
                of: outputs,
                seeds: outputs.map { try seeds.normal($0.shape, .float64).to($0.elementType) },
                withRespectTo: inputs)
            return try outputs + gradients.map { try #require($0) }
        }
        let expected = try FusedOperators.withoutKernels { try results() }
        let found = try Self.emulated { try results() }
        #expect(found.launches == launches, sourceLocation: sourceLocation)
        for (index, (x, y)) in zip(found.result, expected).enumerated() {
            #expect(x.elementType == y.elementType && x.shape == y.shape, sourceLocation: sourceLocation)
            let error = try relativeError(x, y)
            #expect(
                error < (type == .float32 ? 2e-5 : 2e-2), "result \(index)", sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16]) func `Rotation of heads`(type: ElementType) throws {
        let angles = try Generator(seed: 3).normal([2, 5, 8], .float64)
        for interleaved in [true, false] {
            try compare([[2, 5, 3, 16]], type, launches: 4) {
                [
                    try FusedOperators.rotateHeads(
                        $0[0], cosine: angles.cos(), sine: angles.sin(), interleaved: interleaved, scale: 2),
                    try FusedOperators.rotateHeads(
                        $0[0].transposed(1, 2).contiguous().transposed(1, 2), cosine: nil, sine: nil,
                        interleaved: interleaved, scale: 0.5),
                ]
            }
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16]) func `Retention`(type: ElementType) throws {
        let shapes = [[2, 2, 37, 16], [2, 2, 37, 16], [2, 2, 37, 32]]
        try compare(shapes + [[2, 2, 16, 32]], type, launches: 4) {
            let result = try FusedOperators.retention(
                query: $0[0], key: $0[1], value: $0[2], state: $0[3].to(.float32), logGammas: [-0.03, -0.3],
                chunkLength: 16)
            return [result.output, result.state]
        }
        try compare(shapes, type, launches: 4) {
            // Views of [B, T, H, X].
            let heads = try $0.map { try $0.transposed(1, 2).contiguous().transposed(1, 2) }
            return [
                try FusedOperators.retention(
                    query: heads[0], key: heads[1], value: heads[2], state: nil, logGammas: [0, -0.3],
                    chunkLength: 64, keepsState: false
                ).output
            ]
        }
    }

    @Test func `Retention in segments of time`() throws {
        try compare([[1, 2, 1100, 16], [1, 2, 1100, 16], [1, 2, 1100, 32]], launches: 10) {
            [
                try FusedOperators.retention(
                    query: $0[0], key: $0[1], value: $0[2], state: nil, logGammas: [-0.01, -0.1],
                    chunkLength: 64
                ).output
            ]
        }
    }

    @Test func `Gated retention with keys that heads share`() throws {
        let generator = try Generator(seed: 4)
        let shapes = [[2, 1, 37, 16], [2, 1, 37, 16], [2, 2, 37, 32], [2, 2, 37], [2, 2, 16, 32]]
        let inputs = try shapes.map { try generator.normal($0, .float32).requiringGradient() }
        let weights = try [[2, 2, 37, 32], [2, 2, 16, 32]].map { try generator.normal($0, .float32) }
        func results() throws -> [Tensor] {
            let pair = try #require(
                try FusedOperators.gatedRetention(
                    query: inputs[0], key: inputs[1], value: inputs[2],
                    logGates: (inputs[3] * inputs[3]) * -0.1, state: inputs[4], chunkLength: 16))
            let gradients = try Tensor.gradients(
                of: [pair.output, pair.state], seeds: weights, withRespectTo: inputs)
            return try [pair.output, pair.state] + gradients.map { try #require($0) }
        }
        // There is no chain for it; the kernels of processors are the other form.
        let expected = try results()
        let found = try Self.emulated { try results() }
        #expect(found.launches == 5)
        for (x, y) in zip(found.result, expected) { #expect(try relativeError(x, y) < 2e-5) }
    }

    @Test(arguments: [ElementType.float32, .bfloat16]) func `Norms of heads with gates`(type: ElementType)
        throws
    {
        let epsilons = try Tensor.range(to: 10, .float64).reshaped([1, 2, 5]).to(.float32) * 0.1 + 0.1
        for kind in [FusedOperators.NormKind.rms, .layer] {
            try compare([[2, 2, 5, 32], [2, 5, 64], [64], [64]], type, launches: 2) {
                [
                    try FusedOperators.headNormGate(
                        $0[0], gate: $0[1], epsilons: epsilons, weight: $0[2], bias: $0[3], kind: kind,
                        activation: .swish)
                ]
            }
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16]) func `Norms of the stream and gated activations`(
        type: ElementType
    ) throws {
        try compare([[2, 3, 33], [2, 3, 33], [33]], type, launches: 2) {
            let result = try FusedOperators.residualNorm(
                $0[0].to(.float32), adding: $0[1], weight: $0[2].to(.float32), epsilon: 1e-3, as: type)
            return [result.normed, result.stream]
        }
        try compare([[2, 3, 33], [2, 3, 33]], type, launches: 4) {
            [
                try FusedOperators.gatedActivation($0[0], $0[1], activation: .swish),
                try FusedOperators.gatedActivation($0[0], nil, activation: .gelu),
            ]
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16]) func `Losses of tokens`(type: ElementType) throws {
        let targets = try Tensor.from([3, -100, 0, 39, 7] as [Int64], [5])
        try compare([[5, 40]], type, launches: 2) {
            let result = try FusedOperators.tokenLosses($0[0], targets: targets)
            return [result.losses, result.logNormalizers]
        }
    }

    @Test func `Streams of AltUp`() throws {
        try compare([[2, 3, 8], [2, 3, 8], [2, 3, 8], [2, 2], [2]], launches: 8) {
            try FusedOperators.altUpMix(
                Array($0[0..<2]), layerOutput: $0[2], prediction: $0[3], correction: $0[4], active: 1)
                + [
                    try FusedOperators.altUpPrediction(Array($0[0..<2]), prediction: $0[3], active: 1)
                ] + FusedOperators.combine(Array($0[0..<2]), weights: [[0.5, -1], [2, 0.25], [1, 1]])
        }
    }

    @Test func `A step of retention`() throws {
        try compare(
            [[2, 2, 16], [2, 2, 16], [2, 2, 32], [2, 2, 16, 32]], launches: 1, isDifferentiable: false
        ) {
            let state = try $0[3].clone()
            let result = try FusedOperators.retentionStep(
                query: $0[0], key: $0[1], value: $0[2], state: state, logGammas: [-0.03, -0.3], inPlace: true)
            return [result.output, state]
        }
    }

    // MARK: - Models

    static func model(_ change: (inout LanguageModelConfiguration) -> Void = { _ in }) throws -> LanguageModel
    {
        var c = LanguageModelConfiguration(
            vocabularySize: 19, hiddenSize: 32, layerCount: 2,
            mixer: .retention(
                RetentionConfiguration(
                    headCount: 2, keySize: 16, valueSize: 32, decay: .standard, rotation: .interleaved,
                    normalization: .decay, headNorm: HeadNormConfiguration(), gate: .swish, biases: false)),
            feedForward: FeedForwardConfiguration(
                kind: .gated, activation: .swish, innerSize: 24, subNorm: false, biases: false))
        change(&c)
        let store = ParameterStore(source: .random(seed: 5), elementType: .float32)
        return try LanguageModel(c, parameters: store, computeType: .float32)
    }

    static func tokens(_ batch: Int, _ time: Int, seed: Int = 0) throws -> Tensor {
        let ids = (0..<batch * time).map { Int64(($0 * 7 + $0 * $0 * 3 + seed) % 19) }
        return try Tensor.from(ids, [batch, time])
    }

    static let models: [(String, @Sendable (inout LanguageModelConfiguration) -> Void)] = [
        ("retention", { _ in }),
        ("AltUp", { $0.altUp = AltUpConfiguration() }),
        (
            "keys that heads share, halves, epsilons of sums",
            { c in
                guard case .retention(var r) = c.mixer else { return }
                r.rotation = .halves
                r.keyValueHeadCount = 1
                r.headNorm.affine = .shared
                c.mixer = .retention(r)
            }
        ),
    ]

    @Test(arguments: models.indices) func `Losses and gradients of models`(index: Int) throws {
        let model = try Self.model(Self.models[index].1)
        try model.parameters.setRequiresGradient(true)
        let (tokens, targets) = (try Self.tokens(2, 37), try Self.tokens(2, 37, seed: 5))
        func results() throws -> [Tensor] {
            let loss = try model.lossSum(
                tokens, targets: targets, form: .chunkwise(16), context: ForwardContext(isTraining: true)
            ).loss
            try loss.backward()
            let gradients = try model.parameters.tensors.map { parameter in
                let gradient = try parameter.gradient()
                return try #require(gradient)
            }
            try model.parameters.clearGradients()
            return [try loss.detached()] + gradients
        }
        let expected = try results()
        let found = try Self.emulated { try results() }
        #expect(found.launches > 20)
        for (x, y) in zip(found.result, expected) {
            #expect(try relativeError(x, y) < 1e-4, "\(Self.models[index].0)")
        }
    }

    @Test(arguments: models.indices) func `Prompts and steps of models`(index: Int) throws {
        let model = try Self.model(Self.models[index].1)
        let tokens = try Self.tokens(2, 40)
        func results() throws -> [Tensor] {
            try withoutGradients {
                var (logits, state) = try model(tokens.sliced(1, 0..<37), form: .chunkwise(16))
                var all = [logits]
                for n in 37..<40 {
                    (logits, state) = try model(
                        tokens.sliced(1, n..<n + 1), state: state, form: .recurrent)
                    all.append(logits)
                }
                return all
            }
        }
        let expected = try results()
        let found = try Self.emulated { try results() }
        #expect(found.launches > 20)
        for (x, y) in zip(found.result, expected) {
            #expect(try relativeError(x, y) < 1e-4, "\(Self.models[index].0)")
        }
    }
}
