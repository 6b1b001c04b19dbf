import RetNetTestSupport
import RetNetTorch
import Testing

/// The fused row operators against chains of plain operations, in values and gradients.
@Suite struct FusedOperatorTests {
    static let tolerances: [ElementType: Double] = [.float64: 1e-12, .float32: 2e-6, .bfloat16: 1.2e-2]

    /// Compares fused(inputs in `type`) with plain(inputs in float64), and all gradients.
    func compare(
        _ shapes: [[Int]], _ type: ElementType, _ fused: ([Tensor]) throws -> Tensor,
        _ plain: ([Tensor]) throws -> Tensor
    ) throws {
        let generator = try Generator(seed: 5)
        let exact = try shapes.map {
            try generator.normal($0, .float64).to(type).to(.float64).requiringGradient()
        }
        let narrow = try exact.map { try $0.detached().to(type).requiringGradient() }
        let (expected, found) = (try plain(exact), try fused(narrow))
        let limit = try #require(Self.tolerances[type])
        #expect(try relativeError(found, expected) < limit)
        #expect(found.elementType == type)
        let seed = try generator.normal(expected.shape, .float64)
        let a = try Tensor.gradients(of: [expected], seeds: [seed], withRespectTo: exact)
        let b = try Tensor.gradients(of: [found], seeds: [seed.to(type)], withRespectTo: narrow)
        for (x, y) in zip(a, b) {
            let (exactGradient, foundGradient) = (try #require(x), try #require(y))
            #expect(try relativeError(foundGradient, exactGradient) < 2 * limit)
        }
    }

    static let types: [ElementType] = [.float64, .float32, .bfloat16]

    @Test(arguments: types, [FusedOperators.Activation.none, .swish, .gelu, .relu, .geluTanh])
    func `Gated activations`(type: ElementType, activation: FusedOperators.Activation) throws {
        func act(_ x: Tensor) throws -> Tensor {
            switch activation {
            case .none: x
            case .swish: try x.silu()
            case .gelu: try x.gelu()
            case .relu: try x.relu()
            case .geluTanh:
                try x * (((x + x * x * x * 0.044715) * 0.7978845608028654).tanh() + 1) * 0.5
            }
        }
        try compare([[3, 5, 37], [3, 5, 37]], type) {
            try FusedOperators.gatedActivation($0[0], $0[1], activation: activation)
        } _: {
            try act($0[0]) * $0[1]
        }
        try compare([[4099]], type) {
            try FusedOperators.gatedActivation($0[0], nil, activation: activation)
        } _: {
            try act($0[0])
        }
    }

    @Test(arguments: types, [FusedOperators.NormKind.rms, .layer])
    func `Head norm with gate`(type: ElementType, kind: FusedOperators.NormKind) throws {
        let (batch, heads, time, size) = (2, 3, 5, 19)
        let epsilons = try Generator(seed: 2).uniform([batch, heads, time], from: 0.01, to: 0.5, .float64)
        func plain(_ x: Tensor, _ epsilons: Tensor) throws -> Tensor {
            let centred = kind == .layer ? try x - x.mean([-1], keepingAxes: true) : x
            let squares = try (centred * centred).mean([-1], keepingAxes: true)
            return try (centred * (squares + epsilons).rsqrt()).permuted([0, 2, 1, 3])
                .reshaped([batch, time, heads * size])
        }
        let x = [batch, heads, time, size]
        let row = [batch, time, heads * size]
        try compare([x, row, [heads * size], [heads * size]], type) {
            try FusedOperators.headNormGate(
                $0[0], gate: $0[1], epsilons: epsilons, weight: $0[2], bias: $0[3], kind: kind,
                activation: .swish)
        } _: {
            try (plain($0[0], epsilons.unsqueezed(-1)) * $0[2] + $0[3]) * $0[1].silu()
        }
        let single = try Tensor.full([1], 0.1, .float64)
        try compare([x], type) {
            try FusedOperators.headNormGate(
                $0[0], gate: nil, epsilons: single, weight: nil, bias: nil, kind: kind, activation: .none)
        } _: {
            try plain($0[0], single)
        }
    }

    @Test(arguments: types) func `RMS norm`(type: ElementType) throws {
        try compare([[2, 7, 33], [33]], type) {
            try FusedOperators.rmsNorm($0[0], weight: $0[1], epsilon: 1e-3)
        } _: {
            try $0[0] * (($0[0] * $0[0]).mean([-1], keepingAxes: true) + 1e-3).rsqrt() * $0[1]
        }
    }

    @Test(arguments: types, [true, false])
    func `Rotation of heads`(type: ElementType, interleaved: Bool) throws {
        let (batch, time, heads, size) = (2, 4, 3, 10)
        let angles = try Generator(seed: 3).uniform([batch, time, size / 2], from: -4, to: 4, .float64)
        let (c, s) = (try angles.cos(), try angles.sin())
        func plain(_ x: Tensor) throws -> Tensor {
            let h = try x.permuted([0, 2, 1, 3])
            let (cosine, sine) = (try c.unsqueezed(1), try s.unsqueezed(1))
            let (a, b): (Tensor, Tensor)
            if interleaved {
                let pairs = try h.reshaped([batch, heads, time, size / 2, 2])
                (a, b) = (try pairs.selected(-1, 0), try pairs.selected(-1, 1))
            } else {
                (a, b) = (try h.sliced(3, 0..<size / 2), try h.sliced(3, size / 2..<size))
            }
            let first = try a * cosine - b * sine
            let second = try b * cosine + a * sine
            let joined =
                interleaved
                ? try Tensor.stacked([first, second], axis: -1).reshaped(h.shape)
                : try Tensor.concatenated([first, second], axis: 3)
            return try joined * 0.5
        }
        try compare([[batch, time, heads, size]], type) {
            try FusedOperators.rotateHeads($0[0], cosine: c, sine: s, interleaved: interleaved, scale: 0.5)
        } _: {
            try plain($0[0])
        }
    }

    @Test(arguments: [3, 7, 100], [false, true])
    func `Retention without its last state gives the same outputs`(chunkLength: Int, hasState: Bool) throws {
        let generator = try Generator(seed: 4)
        let (q, k) = (try generator.normal([2, 2, 7, 4]), try generator.normal([2, 2, 7, 4]))
        let v = try generator.normal([2, 2, 7, 6])
        let state = hasState ? try generator.normal([2, 2, 4, 6]) : nil
        let before = try state?.doubles()
        try withoutGradients {
            func run(_ keeps: Bool) throws -> (output: Tensor, state: Tensor) {
                try FusedOperators.retention(
                    query: q, key: k, value: v, state: state, logGammas: [-0.1, -0.5],
                    chunkLength: chunkLength, keepsState: keeps)
            }
            let (kept, dropped) = (try run(true), try run(false))
            #expect(try kept.output.doubles() == dropped.output.doubles())
            #expect(kept.state.shape == [2, 2, 4, 6] && dropped.state.shape == [2, 2, 0, 0])
        }
        #expect(try state?.doubles() == before)
    }

    @Test func `Wrong shapes are refused`() throws {
        let x = try Tensor.zeros([1, 2, 3, 4])
        let e = try Tensor.zeros([5])
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.headNormGate(
                    x, gate: nil, epsilons: e, weight: nil, bias: nil, kind: .rms, activation: .none)
            }.contains("epsilons [5] do not fit rows [1, 2, 3, 4]"))
        #expect(
            errorText(TorchError.self) { try FusedOperators.gatedActivation(x, e, activation: .swish) }
                .contains("the gate [5] must have the shape and type of the branch"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.retention(
                    query: x, key: x, value: x, state: e, logGammas: [0, 0], chunkLength: 2)
            }.contains("the state [5] does not fit"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.retention(
                    query: x, key: x, value: x, state: nil, logGammas: [0], chunkLength: 2)
            }.contains("there are 2 heads but 1 decays"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.retention(
                    query: x, key: x, value: x, state: nil, logGammas: [0, 0], chunkLength: 0)
            }.contains("the chunk length must be at least 1"))
    }
}
