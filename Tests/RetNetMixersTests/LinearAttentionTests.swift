import Foundation
import RetNetLayers
import RetNetMixers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// Linear attention against its formula, and its relation to retention.
@Suite struct LinearAttentionTests {
    private static func inputs(_ length: Int, rotated: Bool, type: ElementType = .float64) throws
        -> (inputs: LinearAttention.Inputs, memory: Tensor, keySum: Tensor)
    {
        let generator = try Generator(seed: 1)
        let shape = [2, 3, length, 4]
        let (q, k) = (
            try FeatureMap.elu(generator.normal(shape, .float64)).to(type),
            try FeatureMap.elu(generator.normal(shape, .float64)).to(type)
        )
        let v = try generator.normal([2, 3, length, 6], .float64).to(type)
        let plain = rotated ? (query: try q * 0.5, key: try k * 0.7) : nil
        return (
            LinearAttention.Inputs(query: q, key: k, value: v, plain: plain),
            try generator.normal([2, 3, 4, 6], .float64).to(type.accumulator),
            try generator.uniform([2, 3, 4], from: 1, to: 3, .float64).to(type.accumulator)
        )
    }

    @Test(arguments: [1, 2, 63, 65], [false, true])
    func `All forms equal the formula`(length: Int, rotated: Bool) throws {
        for type in [ElementType.float64, .float32] {
            let (x, memory, keySum) = try Self.inputs(length, rotated: rotated, type: type)
            for carried in [false, true] {
                let (m, z) = (carried ? memory : nil, carried ? keySum : nil)
                let exact = try LinearAttention.definition(x, epsilon: 1e-6, matrix: m, keySum: z)
                for form in [MixerForm.parallel, .chunkwise(1), .chunkwise(7), .chunkwise(100), .recurrent] {
                    let found = try LinearAttention.fused(x, epsilon: 1e-6, matrix: m, keySum: z, form: form)
                    let limit = type == .float64 ? 1e-12 : 5e-6
                    #expect(try relativeError(found.output, exact.output) < limit, "\(form)")
                    #expect(try relativeError(found.matrix, exact.matrix) < limit, "\(form)")
                    #expect(try relativeError(found.keySum, exact.keySum) < limit, "\(form)")
                }
            }
        }
    }

    @Test func `Without normalizer and features it is retention without decay`() throws {
        let (x, memory, _) = try Self.inputs(40, rotated: false)
        let linear = try LinearAttention.sum(x, matrix: memory, form: .chunkwise(16))
        let retention = try Retention.definition(
            x.query, x.key, x.value, state: memory, logGammas: [0, 0, 0])
        #expect(try relativeError(linear.output, retention.output) < 1e-12)
        #expect(try relativeError(linear.state, retention.state) < 1e-12)
    }

    @Test func `The layer without normalizer is retention without decay and gate`() throws {
        let linear = Subject(
            "linear",
            .linearAttention(
                LinearAttentionConfiguration(
                    headCount: 3, headSize: 4, featureMap: .identity, normalizer: .rms, rotation: .interleaved
                )))
        let retention = Subject(
            "retention",
            .retention(
                RetentionConfiguration(
                    headCount: 3, keySize: 4, valueSize: 4, decay: .uniform(1), normalization: .none,
                    headNorm: HeadNormConfiguration(epsilon: 1e-6), gate: .none)))
        let x = try Generator(seed: 8).normal([2, 30, 12], .float64)
        let a = try runPieces(linear.make().mixer, x, [(30, .chunkwise(8))])
        let b = try runPieces(retention.make().mixer, x, [(30, .parallel)])
        #expect(try relativeError(a.output, b.output) < 1e-11)
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `The denominator keeps growing over 16,384 tokens`(type: ElementType) throws {
        let generator = try Generator(seed: 1)
        let shape = [1, 2, 16384, 4]
        let (q, k) = (
            try FeatureMap.elu(generator.normal(shape, .float64)).to(type),
            try FeatureMap.elu(generator.normal(shape, .float64)).to(type)
        )
        let v = try (generator.normal(shape, .float64) + 1).to(type)
        let wide = LinearAttention.Inputs(
            query: try q.to(.float64), key: try k.to(.float64), value: try v.to(.float64))
        let exact = try LinearAttention.fused(
            wide, epsilon: 1e-6, matrix: nil, keySum: nil, form: .chunkwise(256))
        let found = try LinearAttention.fused(
            .init(query: q, key: k, value: v), epsilon: 1e-6, matrix: nil, keySum: nil, form: .chunkwise(128))
        #expect(try relativeError(found.output, exact.output) < (type == .float32 ? 1e-5 : 1e-2))
        #expect(try relativeError(found.keySum, exact.keySum) < 1e-5)
        #expect(found.keySum.elementType == .float32)
    }

    @Test func `A rebased state gives identical outputs from position 0`() throws {
        let subject = Subject(
            "linear",
            .linearAttention(LinearAttentionConfiguration(headCount: 3, headSize: 4, rotation: .halves)))
        let mixer = try subject.make().mixer
        let x = try Generator(seed: 8).normal([2, 9, 12], .float64)
        let start = [700, 11].map { SequencePosition(position: $0) }
        let first = try runPieces(mixer, x, [(9, .parallel)], positions: start)
        let expected = try runPieces(
            mixer, x, [(9, .parallel)], state: first.state, positions: first.positions)
        let moved = try mixer.rebased(first.state, by: first.positions.map(\.position))
        let found = try runPieces(mixer, x, [(9, .parallel)], state: moved)
        #expect(try relativeError(found.output, expected.output) < 1e-11)
    }

    @Test func `Parameters and states are counted to the number`() throws {
        for (heads, size) in [(16, 64), (4, 256)] {
            let c = LinearAttentionConfiguration(headCount: heads, headSize: size)
            let count = try c.parameterShapes(hiddenSize: 1024).reduce(0) { $0 + $1.shape.reduce(1, *) }
            #expect(count == 4_194_304)
            #expect(c.stateElementCount(tokenCount: 9) == heads * size * size + heads * size)
        }
    }
}
