import Foundation
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// Random queries, keys and values; keys and values may have more entries than are seen.
struct AttentionInput {
    let q: Tensor
    let k: Tensor
    let v: Tensor
    let past: [Int]
    var scale: Double { 1 / Double(q.size(3)).squareRoot() }

    init(
        heads: Int = 4, groups: Int = 2, time: Int, keySize: Int = 6, valueSize: Int = 5, past: [Int] = [0],
        batch: Int? = nil, spare: Int = 0, deviation: Double = 1, type: ElementType = .float64,
        seed: UInt64 = 1
    ) throws {
        let generator = try Generator(seed: seed)
        let rows = batch ?? past.count
        let keys = (past.max() ?? 0) + time + spare
        func normal(_ shape: [Int]) throws -> Tensor {
            try (generator.normal(shape, .float64) * deviation).to(type)
        }
        q = try normal([rows, heads, time, keySize])
        k = try normal([rows, groups, keys, keySize])
        v = try normal([rows, groups, keys, valueSize])
        self.past = past
    }

    var inputs: [Tensor] { [q, k, v] }

    func definition() throws -> Tensor { try Attention.definition(q, k, v, past: past, scale: scale) }
    func attend(_ form: MixerForm) throws -> Tensor {
        try Attention.attend(q, k, v, past: past, scale: scale, form: form)
    }
    func step() throws -> Tensor { try Attention.step(q, k, v, past: past, scale: scale) }
}

struct AttentionTests {
    static let shapes: [(heads: Int, groups: Int, time: Int, past: [Int], spare: Int)] = [
        (1, 1, 1, [0], 0), (4, 2, 5, [0], 3), (4, 1, 67, [0], 0), (2, 2, 9, [3, 70, 0], 2),
        (3, 3, 1, [0, 5], 0),
    ]

    @Test(arguments: shapes)
    func `All forms equal the defining sum`(
        shape: (heads: Int, groups: Int, time: Int, past: [Int], spare: Int)
    ) throws {
        let input = try AttentionInput(
            heads: shape.heads, groups: shape.groups, time: shape.time, past: shape.past, spare: shape.spare)
        let expected = try input.definition()
        #expect(try relativeError(input.step(), expected) < 1e-13)
        for form in [MixerForm.parallel, .chunkwise(1), .chunkwise(7), .chunkwise(64), .recurrent] {
            #expect(try relativeError(input.attend(form), expected) < 1e-13, "\(form)")
        }
    }

    @Test(arguments: [ElementType.float64, .float32, .bfloat16])
    func `The length of tiles changes nothing`(type: ElementType) throws {
        let input = try AttentionInput(
            time: 300, keySize: 32, valueSize: 48, past: [90, 13], spare: 1, type: type)
        let limit = type == .float64 ? 1e-14 : type == .float32 ? 1e-6 : 6e-3
        let expected = try input.attend(.chunkwise(128))
        for length in [1, 2, 7, 64, 130, 300, 512, 100_000] {
            #expect(try relativeError(input.attend(.chunkwise(length)), expected) < limit, "\(length)")
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Narrow types are as exact as plain attention`(type: ElementType) throws {
        for (keySize, valueSize) in [(64, 64), (33, 7), (128, 80)] {
            let wide = try AttentionInput(
                time: 200, keySize: keySize, valueSize: valueSize, past: [40], batch: 2, type: type)
            let exact = try Attention.plain(
                wide.q.to(.float64), wide.k.to(.float64), wide.v.to(.float64), past: wide.past,
                scale: wide.scale)
            let limit = try Swift.max(
                2 * relativeError(wide.attend(.parallel), exact), type == .float32 ? 5e-7 : 3e-3)
            #expect(try relativeError(wide.attend(.chunkwise(128)), exact) < limit)
            #expect(try relativeError(wide.step(), exact) < limit)
        }
    }

    @Test(arguments: [ElementType.float64, .float32, .bfloat16])
    func `Gradients from the logarithm of the sums equal those of plain attention`(type: ElementType) throws {
        let limit = type == .float64 ? 1e-12 : type == .float32 ? 2e-6 : 2e-2
        for (heads, groups, time, past, spare) in Self.shapes {
            let input = try AttentionInput(
                heads: heads, groups: groups, time: time, keySize: 16, valueSize: 9, past: past, spare: spare,
                type: type)
            let seed = try Generator(seed: 5).normal(
                [input.q.size(0), heads, time, input.v.size(3)], .float64)
            func gradients(_ run: ([Tensor]) throws -> Tensor, _ type: ElementType) throws -> [Tensor] {
                let leaves = try input.inputs.map { try $0.to(type).clone().requiringGradient() }
                let found = try Tensor.gradients(
                    of: [run(leaves)], seeds: [seed.to(type)], withRespectTo: leaves)
                return try found.map { try #require($0) }
            }
            let expected = try gradients(
                { try Attention.plain($0[0], $0[1], $0[2], past: past, scale: input.scale) }, .float64)
            for tile in [3, 64, 128] {
                let found = try gradients(
                    {
                        try Attention.tiled(
                            $0[0], $0[1], $0[2], past: past, scale: input.scale, tileLength: tile)
                    }, type)
                for (index, (a, b)) in zip(found, expected).enumerated() {
                    // A single key has weight 1 whatever its score: those gradients are zero but for rounding.
                    let difference = try (a.to(.float64) - b).power(2).sum().item().squareRoot()
                    let size = try Swift.max(b.power(2).sum().item().squareRoot(), 1)
                    #expect(difference / size < limit, "\(index) tile \(tile) time \(time)")
                }
            }
        }
    }

    @Test func `Gradients equal finite differences`() throws {
        let input = try AttentionInput(time: 12, past: [3, 0], spare: 1)
        let seed = try Generator(seed: 5).normal([2, 4, 12, 5], .float64)
        func loss() throws -> Tensor { try (input.attend(.chunkwise(4)) * seed).sum() }
        for leaf in input.inputs { try leaf.requiringGradient() }
        let found = try Tensor.gradients(of: [loss()], seeds: [nil], withRespectTo: input.inputs)
        for (leaf, gradient) in zip(input.inputs, found) {
            let direction = try Generator(seed: 6).normal(leaf.shape, .float64)
            let analytic = try (#require(gradient) * direction).sum().item()
            let numeric = try withoutGradients {
                let values = try leaf.detached().clone()
                let sides = try [1e-5, -1e-5].map { step in
                    try leaf.detached().copy(from: values + direction * step)
                    return try loss().item()
                }
                try leaf.detached().copy(from: values)
                return (sides[0] - sides[1]) / 2e-5
            }
            #expect(Swift.abs(analytic - numeric) < 1e-7 * Swift.max(1, Swift.abs(numeric)))
        }
    }

    @Test func `One key returns its value`() throws {
        let input = try AttentionInput(heads: 2, groups: 2, time: 1)
        for form in [MixerForm.parallel, .chunkwise(128), .recurrent] {
            #expect(try relativeError(input.attend(form), input.v) < 1e-15, "\(form)")
        }
    }

    @Test func `Grouped heads equal repeated heads`() throws {
        let input = try AttentionInput(heads: 6, groups: 2, time: 70, past: [4, 20])
        let (k, v) = (
            try input.k.repeatInterleaved(3, axis: 1), try input.v.repeatInterleaved(3, axis: 1)
        )
        for form in [MixerForm.parallel, .chunkwise(16), .recurrent] {
            let repeated = try Attention.attend(
                input.q, k, v, past: input.past, scale: input.scale, form: form)
            #expect(try relativeError(input.attend(form), repeated) < 1e-14, "\(form)")
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Huge scores neither overflow nor vanish`(type: ElementType) throws {
        for deviation in [30.0, 1e-6] {
            let input = try AttentionInput(
                time: 80, keySize: 16, valueSize: 8, deviation: deviation, type: type)
            let exact = try Attention.plain(
                input.q.to(.float64), input.k.to(.float64), input.v.to(.float64), past: input.past,
                scale: input.scale)
            for form in [MixerForm.chunkwise(16), .chunkwise(128), .recurrent] {
                let found = try input.attend(form)
                #expect(try relativeError(found, exact) < (type == .float32 ? 1e-3 : 1e-2), "\(form)")
            }
        }
    }

    @Test func `Padding is never read, whatever it holds`() throws {
        let clean = try AttentionInput(time: 5, past: [2, 66], spare: 3)
        let poison = try AttentionInput(time: 5, past: [2, 66], spare: 3)
        for tensor in [poison.k, poison.v] {
            try tensor.sliced(0, 0..<1).sliced(2, 7..<74).copy(from: Tensor.full([1], .nan, .float64))
            try tensor.sliced(0, 1..<2).sliced(2, 71..<74).copy(from: Tensor.full([1], .infinity, .float64))
        }
        for form in [MixerForm.parallel, .chunkwise(64), .recurrent] {
            #expect(try relativeError(poison.attend(form), clean.attend(form)) == 0, "\(form)")
        }
    }

    @Test func `A value that is not a number stays visible`() throws {
        let input = try AttentionInput(heads: 1, groups: 1, time: 6, type: .float32)
        try input.k.sliced(2, 2..<3).copy(from: Tensor.full([1], .nan))
        let found = try input.attend(.chunkwise(64))
        #expect(try found.sliced(2, 0..<2).allFinite())
        #expect(try found.sliced(2, 2..<6).isFinite().to(.float64).sum().item() == 0)
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Sixteen thousand positions stay exact`(type: ElementType) throws {
        let input = try AttentionInput(
            heads: 2, groups: 1, time: 16_384, keySize: 32, valueSize: 32, type: type)
        let found = try withoutGradients { try input.attend(.chunkwise(128)) }
        for t in [0, 1, 777, 8191, 16_383] {
            let row = t..<t + 1
            let exact = try Attention.plain(
                input.q.sliced(2, row).to(.float64), input.k.sliced(2, 0..<t + 1).to(.float64),
                input.v.sliced(2, 0..<t + 1).to(.float64), past: [t], scale: input.scale)
            let limit = type == .float32 ? 5e-6 : 1e-2
            #expect(try relativeError(found.sliced(2, row), exact) < limit, "\(t)")
            let step = try Attention.step(
                input.q.sliced(2, row), input.k, input.v, past: [t], scale: input.scale)
            #expect(try relativeError(step, exact) < limit, "\(t)")
        }
    }

    @Test func `What does not fit is refused`() throws {
        let input = try AttentionInput(time: 4)
        let refused: [() throws -> Tensor] = [
            { try Attention.tiled(input.q, input.k, input.v, past: [1], scale: 1, tileLength: 8) },
            { try Attention.tiled(input.q, input.k, input.v, past: [-1], scale: 1, tileLength: 8) },
            { try Attention.tiled(input.q, input.k, input.v, past: [0, 0], scale: 1, tileLength: 8) },
            { try Attention.tiled(input.q, input.k, input.v, past: [0], scale: 1, tileLength: 0) },
            { try Attention.step(input.q, input.k, input.v.to(.float32), past: [0], scale: 1) },
            { try Attention.step(input.q, input.k, input.v, past: [0], scale: 0) },
            { try Attention.plain(input.q.sliced(2, 0..<0), input.k, input.v, past: [0], scale: 1) },
        ]
        for run in refused { #expect(throws: (any Error).self) { _ = try run() } }
    }
}
