import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// The kernels of training: retention alone, and whole layers, against the clear path in float64.
@Suite struct RetentionLayerTests {
    static let types: [ElementType] = [.float64, .float32, .bfloat16]

    // MARK: The operator

    struct Sizes: Sendable {
        let length, key, value, chunk: Int

        init(_ length: Int, _ key: Int, _ value: Int, chunk: Int) {
            (self.length, self.key, self.value, self.chunk) = (length, key, value, chunk)
        }
    }

    /// Sizes of tiles and vectors, and one off them; chunks longer than a tile of keys.
    static let sizes = [
        Sizes(1, 1, 1, chunk: 1), Sizes(5, 3, 7, chunk: 2), Sizes(63, 8, 5, chunk: 16),
        Sizes(64, 16, 33, chunk: 64), Sizes(65, 5, 16, chunk: 64), Sizes(130, 12, 70, chunk: 128),
        Sizes(201, 24, 18, chunk: 77), Sizes(530, 6, 10, chunk: 530),
    ]

    @Test(arguments: sizes, types)
    func `Outputs, states and gradients of retention equal the clear path`(_ sizes: Sizes, type: ElementType)
        throws
    {
        for carried in [false, true] {
            let exact = try Heads(
                batch: 1, heads: 3, time: sizes.length, keySize: sizes.key, valueSize: sizes.value,
                carried: carried, seed: 6)
            let outSeed = try Generator(seed: 4).normal(exact.v.shape, .float64)
            let stateSeed = try Generator(seed: 5).normal([1, 3, sizes.key, sizes.value], .float64)
            func run(_ type: ElementType, keepsState: Bool = true) throws -> [Tensor] {
                let inputs = try exact.inputs.enumerated().map { index, input in
                    try input.to(index == 3 ? type.accumulator : type).detached().clone().requiringGradient()
                }
                let result = try Retention.fused(
                    inputs[0], inputs[1], inputs[2], state: carried ? inputs[3] : nil,
                    logGammas: RetentionFormTests.gammas, form: .chunkwise(sizes.chunk),
                    keepsState: keepsState)
                let outputs = keepsState ? [result.output, result.state] : [result.output]
                let seeds =
                    try keepsState
                    ? [outSeed.to(type), stateSeed.to(type.accumulator)] : [outSeed.to(type)]
                let gradients = try Tensor.gradients(of: outputs, seeds: seeds, withRespectTo: inputs)
                return outputs + (try gradients.map { try #require($0) })
            }
            for keepsState in [true, false] {
                let expected = try FusedOperators.withoutKernels { try run(.float64, keepsState: keepsState) }
                let found = try run(type, keepsState: keepsState)
                try #require(found.count == expected.count)
                for (index, (a, b)) in zip(found, expected).enumerated() {
                    #expect(try relativeError(a, b) < tolerance(type), "\(index) \(carried) \(keepsState)")
                }
            }
        }
    }

    @Test func `Queries, keys and values may lie anywhere in memory`() throws {
        let generator = try Generator(seed: 1)
        let packed = try generator.normal([2, 70, 3 * (8 + 8 + 12)], .float32).requiringGradient()
        func run() throws -> [Tensor] {
            func heads(_ first: Int, _ size: Int) throws -> Tensor {
                try packed.sliced(2, 3 * first..<3 * (first + size)).reshaped([2, 70, 3, size])
                    .permuted([0, 2, 1, 3])
            }
            let result = try Retention.fused(
                heads(0, 8), heads(8, 8), heads(16, 12), state: nil, logGammas: RetentionFormTests.gammas,
                form: .chunkwise(32))
            let gradient = try Tensor.gradients(
                of: [(result.output * result.output).sum()], seeds: [nil], withRespectTo: [packed])[0]
            return [result.output, try #require(gradient)]
        }
        for (a, b) in zip(try run(), try FusedOperators.withoutKernels(run)) {
            #expect(try relativeError(a, b) < 2e-5)
        }
    }

    @Test func `Nothing leaks from the future where a decay rounds to 1 in bfloat16`() throws {
        let h = try Heads(
            batch: 1, heads: 2, time: 100, keySize: 8, valueSize: 8, carried: false, type: .bfloat16)
        func run(_ v: Tensor) throws -> [Double] {
            try Retention.fused(
                h.q, h.k, v, state: nil, logGammas: [-1.0 / 16384, 0], form: .parallel, isTraining: true
            ).output.sliced(2, 0..<50).doubles()
        }
        let later = try Tensor.concatenated([h.v.sliced(2, 0..<50), h.v.sliced(2, 50..<100) * 1e4], axis: 2)
        #expect(try run(h.v) == run(later))
    }

    // MARK: The layer

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let configuration: RetentionConfiguration
        var form = MixerForm.chunkwise(32)
        var carried = true

        var testDescription: String { name }
    }

    static let cases: [Case] = {
        func make(
            keySize: Int = 6, valueSize: Int = 5, rotation: RotationKind = .interleaved,
            normalization: ScoreNormalization = .decay, kind: HeadNormConfiguration.Kind = .rms,
            affine: HeadNormConfiguration.Affine = .none, gate: GateActivation = .swish,
            epsilon: Double = 1e-3
        ) -> RetentionConfiguration {
            RetentionConfiguration(
                headCount: 4, keySize: keySize, valueSize: valueSize, decay: .experiment, rotation: rotation,
                normalization: normalization,
                headNorm: HeadNormConfiguration(kind: kind, affine: affine, epsilon: epsilon), gate: gate)
        }
        return [
            Case(name: "as in the paper", configuration: make()),
            Case(name: "one chunk", configuration: make(), form: .parallel, carried: false),
            Case(name: "chunks of an odd length", configuration: make(valueSize: 17), form: .chunkwise(33)),
            Case(
                name: "halves, layer norm with weight and bias, GELU",
                configuration: make(rotation: .halves, kind: .layer, affine: .perHead, gate: .gelu)),
            Case(
                name: "one weight for all heads, no gate",
                configuration: make(normalization: .none, affine: .shared, gate: .none), carried: false),
            Case(
                name: "sums of scores, as in the paper's first version",
                configuration: make(
                    normalization: .decayAbsSum, kind: .layer, affine: .perHead, epsilon: 3)),
            Case(
                name: "sums of scores in one chunk",
                configuration: make(normalization: .decayAbsSum, epsilon: 3), form: .parallel, carried: false),
            Case(
                name: "no rotation, odd keys",
                configuration: make(keySize: 7, valueSize: 16, rotation: .none),
                form: .chunkwise(64)),
        ]
    }()

    /// The output, the state, and the gradients by the input, the state and every parameter, from numbers of a type.
    private func results(
        _ c: Case, _ type: ElementType, from source: ElementType, positions: [SequencePosition]
    ) throws -> [String: Tensor] {
        let (layer, parameters) = try makeLayer(c.configuration, type: type == .bfloat16 ? .float32 : type)
        for parameter in parameters.tensors { try parameter.copy(from: parameter.to(source)) }
        try parameters.setRequiresGradient(true)
        let k = c.configuration
        let generator = try Generator(seed: 2)
        let x = try generator.normal([2, 45, 12], .float64).to(source).to(type).detached().requiringGradient()
        let given = try generator.normal([2, 4, k.keySize, k.valueSize], .float64).to(type.accumulator)
            .detached().requiringGradient()
        let pass = ForwardPass(
            form: c.form, positions: positions, context: ForwardContext(isTraining: true))
        let hasSum = k.normalization == .decayAbsSum
        let keySum = hasSum ? try generator.normal([2, 4, k.keySize], .float64).to(type.accumulator) : nil
        let state = c.carried ? RetentionState(matrix: given, keySum: keySum) : nil
        let (output, next) = try layer(x, state: state, pass)
        let reached = try #require(next as? RetentionState)
        let matrix = reached.matrix
        let seeds = [
            try generator.normal(output.shape, .float64).to(source).to(type),
            try generator.normal(matrix.shape, .float64).to(type.accumulator),
        ]
        let inputs = [x] + (c.carried ? [given] : []) + parameters.tensors
        let names = ["x"] + (c.carried ? ["state"] : []) + parameters.entries.map(\.name)
        let gradients = try Tensor.gradients(of: [output, matrix], seeds: seeds, withRespectTo: inputs)
        var results = ["output": output, "next": matrix]
        results["next sum"] = reached.keySum
        for (name, gradient) in zip(names, gradients) { results["d " + name] = gradient }
        return results
    }

    @Test(arguments: cases, types)
    func `Layers in training equal the clear path`(_ c: Case, type: ElementType) throws {
        let positions = [SequencePosition(position: 7, count: 7), SequencePosition(position: 3, count: 5)]
        let found = try results(c, type, from: type, positions: positions)
        let expected = try FusedOperators.withoutKernels {
            try results(c, .float64, from: type, positions: positions)
        }
        #expect(found.keys.sorted() == expected.keys.sorted())
        for (name, tensor) in expected {
            let error = try relativeError(#require(found[name]), tensor)
            guard error >= tolerance(type), type == .bfloat16 else {
                #expect(error < tolerance(type), "\(name): \(error)")
                continue
            }
            // Outputs of a head are rounded to 16 bits before its norm, whose gradient cancels what lies along them: of heads of
            // five channels little is left, and the clear path, which rounds scores as well, is as far off.
            let clear = try FusedOperators.withoutKernels {
                try results(c, type, from: type, positions: positions)
            }
            let limit = try relativeError(#require(clear[name]), tensor)
            #expect(error < 1.15 * limit, "\(name): \(error), the clear path \(limit)")
        }
    }

    @Test func `Sums of scores reach the output, and are carried as in the clear path`() throws {
        func run(_ index: Int, _ change: (inout RetentionConfiguration) -> Void = { _ in }) throws -> Tensor {
            var c = Self.cases[index]
            var configuration = c.configuration
            change(&configuration)
            c = Case(name: c.name, configuration: configuration, form: c.form, carried: false)
            let start = [SequencePosition](repeating: SequencePosition(), count: 2)
            return try #require(results(c, .float64, from: .float64, positions: start)["output"])
        }
        let index = try #require(Self.cases.firstIndex { $0.configuration.normalization == .decayAbsSum })
        #expect(try relativeError(run(index), run(index) { $0.normalization = .decay }) > 1e-3)
    }

    @Test func `Layers that the kernel does not know, few rows and other passes take the steps`() throws {
        let (layer, _) = try makeLayer(Self.cases[0].configuration, type: .float32)
        let x = try Generator(seed: 2).normal([2, 45, 12], .float32)
        #expect(FusedOperators.runsRetentionLayer(x, headCount: 4))
        #expect(!FusedOperators.runsRetentionLayer(try x.sliced(1, 0..<32), headCount: 4))
        #expect(!FusedOperators.withoutKernels { FusedOperators.runsRetentionLayer(x, headCount: 4) })
        // Inference keeps the bits that it had.
        let start = [SequencePosition](repeating: SequencePosition(), count: 2)
        func run(isTraining: Bool) throws -> Tensor {
            try layer(
                x, state: nil,
                ForwardPass(
                    form: .chunkwise(16), positions: start, context: ForwardContext(isTraining: isTraining))
            ).output
        }
        #expect(try relativeError(run(isTraining: true), run(isTraining: false)) < 1e-5)
    }
}
