import RetNetTestSupport
import RetNetTorch
import Testing

/// Every operator as a kernel and as the chain that runs where there is none: values and gradients.
@Suite struct KernelTests {
    static let types: [ElementType] = [.float64, .float32]

    /// Runs `operation` on random inputs with and without kernels and compares outputs and gradients.
    private func compare(
        _ shapes: [[Int]], _ type: ElementType, isDifferentiable: Bool = true,
        _ operation: ([Tensor]) throws -> [Tensor]
    ) throws {
        let generator = try Generator(seed: 9)
        let inputs = try shapes.map { try generator.normal($0, type).requiringGradient(isDifferentiable) }
        let (found, expected) = (
            try operation(inputs), try FusedOperators.withoutKernels { try operation(inputs) }
        )
        let limit = type == .float64 ? 1e-10 : 2e-5
        try #require(found.count == expected.count)
        for (x, y) in zip(found, expected) {
            #expect(x.elementType == y.elementType)
            #expect(try relativeError(x, y) < limit)
        }
        guard isDifferentiable else { return }
        let seeds = try expected.map { try generator.normal($0.shape, .float64).to($0.elementType) }
        let a = try Tensor.gradients(of: found, seeds: seeds, withRespectTo: inputs)
        let b = try Tensor.gradients(of: expected, seeds: seeds, withRespectTo: inputs)
        for (x, y) in zip(a, b) { #expect(try relativeError(#require(x), #require(y)) < 2 * limit) }
    }

    @Test func `Kernels are known by operator, type and device`() {
        for operation in FusedOperators.Operator.allCases {
            #expect(FusedOperators.hasKernel(for: operation, .float32, on: .cpu))
            let isWideOnly = operation == .diagonalStep || operation == .adamW
            #expect(FusedOperators.hasKernel(for: operation, .bfloat16, on: .cpu) == !isWideOnly)
            #expect(!FusedOperators.hasKernel(for: operation, .float16, on: .cpu))
            #expect(!FusedOperators.hasKernel(for: operation, .float32, on: .cuda(0)))
            #expect(!FusedOperators.hasKernel(for: operation, .float32, on: .mps))
            FusedOperators.withoutKernels {
                #expect(!FusedOperators.hasKernel(for: operation, .float32, on: .cpu))
            }
            #expect(FusedOperators.hasKernel(for: operation, .float32, on: .cpu))
        }
    }

    @Test func `Operators with another form in Swift refuse where there is no kernel`() throws {
        let x = try Tensor.zeros([1, 2, 3])
        let decay = try Tensor.zeros([3])
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.withoutKernels {
                    try FusedOperators.wkv(key: x, value: x, decay: decay, bonus: decay, sums: nil)
                }
            }.contains("there is no kernel"))
    }

    @Test(arguments: types, [true, false]) func `Rotation of heads`(type: ElementType, interleaved: Bool)
        throws
    {
        try compare([[2, 5, 3, 8], [1, 5, 4], [1, 5, 4]], type, isDifferentiable: false) {
            [
                try FusedOperators.rotateHeads(
                    $0[0], cosine: $0[1], sine: $0[2], interleaved: interleaved, scale: 0.5)
            ]
        }
        let angles = try Generator(seed: 3).normal([2, 5, 4], .float64)
        try compare([[2, 5, 3, 8]], type) {
            [
                try FusedOperators.rotateHeads(
                    $0[0], cosine: angles.cos(), sine: angles.sin(), interleaved: interleaved, scale: 2),
                try FusedOperators.rotateHeads(
                    $0[0], cosine: nil, sine: nil, interleaved: interleaved, scale: 2),
            ]
        }
    }

    @Test(arguments: types, [3, 16]) func `Chunkwise retention`(type: ElementType, chunkLength: Int) throws {
        let logGammas = [-0.03, -0.3]
        try compare([[2, 2, 11, 4], [2, 2, 11, 4], [2, 2, 11, 6], [2, 2, 4, 6]], type) {
            let result = try FusedOperators.retention(
                query: $0[0], key: $0[1], value: $0[2], state: $0[3], logGammas: logGammas,
                chunkLength: chunkLength)
            return [result.output, result.state]
        }
        try compare([[2, 2, 11, 4], [2, 2, 11, 4], [2, 2, 11, 6]], type) {
            let result = try FusedOperators.retention(
                query: $0[0], key: $0[1], value: $0[2], state: nil, logGammas: logGammas,
                chunkLength: chunkLength)
            return [result.output, result.state]
        }
    }

    @Test(arguments: types) func `A step of retention`(type: ElementType) throws {
        try compare([[2, 2, 4], [2, 2, 4], [2, 2, 6], [2, 2, 4, 6]], type, isDifferentiable: false) {
            let state = try $0[3].clone()
            let result = try FusedOperators.retentionStep(
                query: $0[0], key: $0[1], value: $0[2], state: state, logGammas: [-0.03, -0.3], inPlace: true)
            return [result.output, state]
        }
    }

    @Test(arguments: [ElementType.float64, .float32, .bfloat16], [1, 2, 3, 4, 5, 7, 8, 9, 23, 64, 65])
    func `Products of a few rows, whose bits do not depend on the other rows`(type: ElementType, rows: Int)
        throws
    {
        let generator = try Generator(seed: 9)
        for (columns, size) in [(1, 1), (3, 5), (8, 16), (13, 37), (24, 64), (45, 131)] {
            let x = try generator.normal([rows, 1, size], type)
            let weight = try generator.normal([columns, size], type)
            let bias = try generator.normal([columns], type)
            let exact = try x.to(.float64).linear(weight.to(.float64), bias: bias.to(.float64))
            let found = try withoutGradients { try x.linear(weight, bias: bias) }
            let limit = type == .float64 ? 1e-13 : type == .float32 ? 2e-6 : 6e-3
            #expect(found.elementType == type && found.shape == [rows, 1, columns])
            #expect(try relativeError(found, exact) < limit, "\(columns) × \(size)")
            guard rows <= (type == .float32 ? 64 : 8) else { continue }
            let alone = try (0..<rows).map { try x.sliced(0, $0..<$0 + 1).linear(weight, bias: bias) }
            #expect(try Tensor.concatenated(alone, axis: 0).doubles() == found.doubles())
            // Rows that do not lie one after the other, and a weight that does not.
            let spread = try Tensor.concatenated([x, x], axis: 2).sliced(2, 0..<size)
            #expect(try spread.linear(weight).doubles() == x.linear(weight).doubles())
            let turned = try weight.transposed(0, 1).contiguous().transposed(0, 1)
            #expect(try relativeError(x.linear(turned, bias: bias), exact) < limit)
        }
    }

    @Test(arguments: types) func `Products of a few rows and their gradients`(type: ElementType) throws {
        try compare([[2, 3, 5], [7, 5], [7]], type) {
            [try $0[0].linear($0[1], bias: $0[2]), try $0[0].linear($0[1])]
        }
        let x = try Generator(seed: 3).normal([4, 5], type)
        try compare([[7, 5], [7]], type) { [try x.linear($0[0], bias: $0[1])] }
    }

    @Test func `Products of a few rows refuse what does not fit`() throws {
        let generator = try Generator(seed: 9)
        let weight = try generator.normal([3, 4], .float32)
        let x = try generator.normal([2, 4], .float32)
        #expect(throws: TorchError.self) { try generator.normal([2, 5], .float32).linear(weight) }
        #expect(throws: TorchError.self) { try x.to(.bfloat16).linear(weight) }
        #expect(try Tensor.zeros([0, 4]).linear(weight).shape == [0, 3])
    }

    @Test(arguments: [ElementType.float64, .float32, .bfloat16])
    func `Rows of tables, converted and scaled`(type: ElementType) throws {
        let tokens = try Tensor.from([3, 0, 3, 6, 1, 3].map(Int64.init), [2, 3])
        for stored in Set([type, type.accumulator]) {
            let table = try Generator(seed: 3).normal([7, 33], .float64).to(stored).detached()
                .requiringGradient()
            func run() throws -> [Tensor] {
                let rows = try FusedOperators.embedding(table, tokens, scale: 1.7, as: type)
                let seed = try Generator(seed: 4).normal(rows.shape, .float64).to(type)
                let gradients = try Tensor.gradients(of: [rows], seeds: [seed], withRespectTo: [table])
                return [rows, try #require(gradients[0])]
            }
            let (found, expected) = (try run(), try FusedOperators.withoutKernels(run))
            // Values are those of the two operations one after the other, bit for bit.
            #expect(try found[0].doubles() == expected[0].doubles())
            #expect(found[0].shape == [2, 3, 33] && found[1].elementType == stored)
            #expect(try relativeError(found[1], expected[1]) < tolerance(type))
        }
        let table = try Tensor.zeros([7, 3])
        for bad in [-1, 7] as [Int64] {
            let index = try Tensor.from([bad], [1])
            #expect(throws: TorchError.self) {
                try FusedOperators.embedding(table, index, scale: 1, as: .float32)
            }
        }
    }

    @Test func `A certain token has a gradient in 16 bits too`() throws {
        // Probabilities 0.999 and 0.001: the first is 1 in bfloat16.
        let logits = try Tensor.from([Float(6.90625), 0], [1, 2]).to(.bfloat16).requiringGradient()
        let loss = try FusedOperators.tokenLosses(logits, targets: Tensor.from([Int64(0)], [1])).losses.sum()
        let gradient = try #require(Tensor.gradients(of: [loss], seeds: [nil], withRespectTo: [logits])[0])
        let values = try gradient.doubles()
        #expect(abs(values[0] / -0.001 - 1) < 0.02 && abs(values[0] + values[1]) < 1e-5)
    }

    @Test(arguments: types, [FusedOperators.NormKind.rms, .layer])
    func `Norms of heads and rows`(type: ElementType, kind: FusedOperators.NormKind) throws {
        let epsilons = try Generator(seed: 2).uniform([2, 3, 5], from: 0.01, to: 0.5, .float64)
        try compare([[2, 3, 5, 7], [2, 5, 21], [21], [21]], type) {
            [
                try FusedOperators.headNormGate(
                    $0[0], gate: $0[1], epsilons: epsilons, weight: $0[2], bias: $0[3], kind: kind,
                    activation: .swish),
                try FusedOperators.rmsNorm($0[1], weight: $0[2], epsilon: 1e-3),
            ]
        }
    }

    @Test(arguments: types, [FusedOperators.Activation.none, .swish, .gelu, .relu, .geluTanh])
    func `Activations`(type: ElementType, activation: FusedOperators.Activation) throws {
        try compare([[3, 37], [3, 37]], type) {
            [
                try FusedOperators.gatedActivation($0[0], $0[1], activation: activation),
                try FusedOperators.gatedActivation($0[0], nil, activation: activation),
            ]
        }
    }

    @Test(arguments: types) func `Residual sums, their norm and the loss of tokens`(type: ElementType) throws
    {
        try compare([[3, 7], [3, 7], [7]], type) {
            let result = try FusedOperators.residualNorm(
                $0[0], adding: $0[1], weight: $0[2], epsilon: 1e-3, as: type)
            return [result.normed, result.stream, try FusedOperators.residualAdd($0[0], $0[1])]
        }
        try compare([[3, 7], [3, 7], [7], [7]], type) {
            let sum = try FusedOperators.residualNorm(
                $0[0], adding: $0[1], weight: $0[2], bias: $0[3], epsilon: 1e-3, as: type)
            let alone = try FusedOperators.residualNorm(
                $0[0], weight: $0[2], bias: $0[3], epsilon: 1e-3, as: type)
            return [sum.normed, sum.stream, alone.normed]
        }
        let targets = try Tensor.from([Int64(4), -100, 0, 6])
        try compare([[4, 7]], type) {
            let result = try FusedOperators.tokenLosses($0[0], targets: targets)
            return [result.losses, result.logNormalizers]
        }
    }

    @Test(arguments: types, [[0], [3, 1]]) func `Causal attention`(type: ElementType, past: [Int]) throws {
        let keys = 5 + (past.max() ?? 0)
        try compare([[2, 4, 5, 8], [2, 2, keys, 8], [2, 2, keys, 6]], type) {
            [
                try FusedOperators.attention(
                    query: $0[0], key: $0[1], value: $0[2], past: past, scale: 0.4, tileLength: 4)
            ]
        }
        try compare([[2, 4, 5, 8], [2, 2, keys, 8], [2, 2, keys, 6]], type, isDifferentiable: false) {
            [
                try FusedOperators.attentionSteps(
                    query: $0[0], key: $0[1], value: $0[2], past: past, scale: 0.4)
            ]
        }
    }

    @Test(arguments: types, [false, true])
    func `Attention with a bias of distances`(type: ElementType, causal: Bool) throws {
        let segments = try Tensor.from([Int32(1), 1, 2, 2, 0, 1, 1, 1, 1, 1]).reshaped([2, 5])
        try compare([[2, 5, 24], [2, 9]], type) {
            [
                try FusedOperators.biasedAttention(
                    $0[0], bias: $0[1], querySegments: segments, keySegments: segments, headCount: 2,
                    causal: causal),
                try FusedOperators.biasedAttention($0[0], bias: $0[1], headCount: 2, causal: causal),
            ]
        }
        try compare([[2, 3, 8], [2, 5, 16], [2, 7]], type) {
            [
                try FusedOperators.biasedAttention(
                    $0[0], memory: $0[1], bias: $0[2], headCount: 2, causal: causal)
            ]
        }
        try compare([[4, 8], [2, 2, 6, 4], [2, 2, 6, 4], [2, 5]], type, isDifferentiable: false) {
            [
                try FusedOperators.biasedAttentionStep(
                    $0[0], keys: $0[1], values: $0[2], bias: $0[3], count: 5)
            ]
        }
    }

    @Test(arguments: types) func `AltUp's blocks`(type: ElementType) throws {
        let block = [2, 3, 4]
        try compare([block, block, block, [2, 2], [2]], type) {
            try FusedOperators.altUpMix(
                [$0[0], $0[1]], layerOutput: $0[2], prediction: $0[3], correction: $0[4], active: 1)
        }
        try compare([block, block, [2, 2]], type) {
            [
                try FusedOperators.altUpPrediction([$0[0], $0[1]], prediction: $0[2], active: 1)
            ] + (try FusedOperators.combine([$0[0], $0[1]], weights: [[0.5, -2], [1, 0], [0, 3]]))
        }
    }

    @Test(arguments: types, [(0, 3), (2, 3), (5, 2), (9, 2)])
    func `AltUp's sequences`(type: ElementType, anchors: (first: Int, stride: Int)) throws {
        let (first, stride) = anchors
        let (time, size) = (8, 5)
        let count = time > first ? (time - first + stride - 1) / stride : 0
        var shapes = [[2, time, size], [2, size], [2, size], [3]]
        if count > 0 { shapes.append([2, count, size]) }
        try compare(shapes, type, isDifferentiable: first > 0) {
            let result = try FusedOperators.sequenceAltUp(
                $0[0], layerOutput: count > 0 ? $0[4] : nil, anchor: $0[1], innovation: $0[2],
                coefficients: $0[3], first: first, stride: stride)
            return [result.output, result.anchor, result.innovation]
        }
        guard first == 0 else { return }
        try compare([[2, time, size], [3], [2, count, size]], type) {
            let result = try FusedOperators.sequenceAltUp(
                $0[0], layerOutput: $0[2], anchor: nil, innovation: nil, coefficients: $0[1], first: 0,
                stride: stride)
            return [result.output, result.anchor, result.innovation]
        }
    }

    @Test(arguments: types) func `Tokens sent to experts and back`(type: ElementType) throws {
        let probabilities = try Generator(seed: 4).uniform([6, 3], from: 0, to: 1, .float64)
        let routes = try FusedOperators.route(
            probabilities, order: .byPosition, choices: 2, capacity: 3, granule: 2)
        try compare([[6, 5], [routes.slotTokens.elementCount]], type) {
            let sent = try FusedOperators.dispatch($0[0], routes)
            return [sent, try FusedOperators.collect(sent, gates: $0[1], routes, tokenCount: 6)]
        }
    }

    @Test(arguments: types, [FusedOperators.ConvolutionMethod.direct, .spectral])
    func `Long convolutions`(type: ElementType, method: FusedOperators.ConvolutionMethod) throws {
        try compare([[2, 14, 19], [9, 19], [19]], type) {
            [
                try FusedOperators.longConvolution(
                    $0[0], taps: $0[1], skip: $0[2], starts: [1, 4], length: 10, method: method),
                try FusedOperators.longConvolution($0[0], taps: $0[1], method: method),
            ]
        }
    }
}
