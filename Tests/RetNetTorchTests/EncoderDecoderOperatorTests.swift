import RetNetTestSupport
import RetNetTorch
import Testing

/// The operators of encoder-decoder models against chains of plain operations, in values and gradients.
@Suite struct EncoderDecoderOperatorTests {
    static let types: [ElementType] = [.float64, .float32, .bfloat16]
    static let limits: [ElementType: Double] = [.float64: 1e-12, .float32: 3e-6, .bfloat16: 2e-2]

    /// Compares fused(inputs in `type`) with plain(inputs in float64), and the gradients by all inputs.
    func compare(
        _ inputs: [Tensor], _ type: ElementType, _ fused: ([Tensor]) throws -> [Tensor],
        _ plain: ([Tensor]) throws -> [Tensor]
    ) throws {
        let limit = try #require(Self.limits[type])
        let exact = try inputs.map { try $0.to(type).to(.float64).clone().requiringGradient() }
        let narrow = try exact.map { try $0.detached().to(type).clone().requiringGradient() }
        let (expected, found) = (try plain(exact), try fused(narrow))
        let generator = try Generator(seed: 9)
        let seeds = try expected.map { try generator.normal($0.shape, .float64) }
        for (a, b) in zip(found, expected) { #expect(try relativeError(a, b) < limit) }
        let want = try Tensor.gradients(of: expected, seeds: seeds, withRespectTo: exact)
        let typed = try zip(seeds, found).map { try $0.to($1.elementType) }
        let have = try Tensor.gradients(of: found, seeds: typed, withRespectTo: narrow)
        for (a, b) in zip(have, want) {
            #expect(try relativeError(try #require(a), try #require(b)) < 3 * limit)
        }
    }

    /// [B, T, parts · H · A] → [B, H, T, A] of one part.
    func part(_ x: Tensor, _ index: Int, _ parts: Int, heads: Int) throws -> Tensor {
        let size = x.size(2) / parts / heads
        return try x.reshaped([x.size(0), x.size(1), parts, heads, size]).selected(2, index).transposed(1, 2)
    }

    /// The definition, with the bias of every pair written out.
    func attention(
        q: Tensor, k: Tensor, v: Tensor, bias: Tensor?, querySegments: [[Int32]], keySegments: [[Int32]],
        causal: Bool
    ) throws -> Tensor {
        let (batch, heads, queries, keys) = (q.size(0), q.size(1), q.size(2), k.size(2))
        var scores = try q.matmul(k.transposed(2, 3))
        if let bias {
            let places = (0..<queries).flatMap { i in (0..<keys).map { Int64($0 - i + queries - 1) } }
            scores =
                try scores
                + bias.indexSelected(1, Tensor.from(places)).reshaped([1, heads, queries, keys])
        }
        var hidden: [UInt8] = []
        for b in 0..<batch {
            for i in 0..<queries {
                for j in 0..<keys {
                    let sees = querySegments[b][i] != 0 && querySegments[b][i] == keySegments[b][j]
                    hidden.append(sees && (!causal || j - i <= keys - queries) ? 0 : 1)
                }
            }
        }
        let mask = try Tensor.from(hidden, [batch, 1, queries, keys]).isEqual(to: 1)
        let p = try scores.maskFilled(mask, -1e30).softmax(axis: -1).maskFilled(mask, 0)
        return try p.matmul(v).transposed(1, 2).reshaped([batch, queries, -1])
    }

    @Test(arguments: types, [false, true])
    func `Attention within a sequence`(type: ElementType, causal: Bool) throws {
        let (batch, time, heads, size) = (2, 70, 3, 4)
        let generator = try Generator(seed: 1)
        let inputs = [
            try generator.normal([batch, time, 3 * heads * size], .float64),
            try generator.normal([heads, 2 * time - 1], .float64),
        ]
        // Two packed examples and padding; a whole row of one example.
        let segments: [[Int32]] = [
            (0..<time).map { $0 < 30 ? 1 : $0 < 66 ? 2 : 0 }, [Int32](repeating: 1, count: time),
        ]
        let packed = try Tensor.from(segments.flatMap { $0 }, [batch, time])
        try compare(inputs, type) { inputs in
            [
                try FusedOperators.biasedAttention(
                    inputs[0], bias: inputs[1], querySegments: packed, keySegments: packed, headCount: heads,
                    causal: causal)
            ]
        } _: { inputs in
            [
                try attention(
                    q: part(inputs[0], 0, 3, heads: heads), k: part(inputs[0], 1, 3, heads: heads),
                    v: part(inputs[0], 2, 3, heads: heads), bias: inputs[1], querySegments: segments,
                    keySegments: segments, causal: causal)
            ]
        }
    }

    @Test(arguments: types) func `Attention over another sequence`(type: ElementType) throws {
        let (batch, queries, keys, heads, size) = (2, 5, 9, 2, 3)
        let generator = try Generator(seed: 2)
        let inputs = [
            try generator.normal([batch, queries, heads * size], .float64),
            try generator.normal([batch, keys, 2 * heads * size], .float64),
        ]
        let of: [[Int32]] = [[1, 1, 2, 2, 0], [1, 1, 1, 1, 1]]
        let over: [[Int32]] = [[1, 1, 1, 2, 2, 2, 2, 0, 0], [1, 1, 1, 1, 1, 1, 0, 0, 0]]
        let ofTensor = try Tensor.from(of.flatMap { $0 }, [batch, queries])
        let overTensor = try Tensor.from(over.flatMap { $0 }, [batch, keys])
        try compare(inputs, type) { inputs in
            [
                try FusedOperators.biasedAttention(
                    inputs[0], memory: inputs[1], querySegments: ofTensor, keySegments: overTensor,
                    headCount: heads, causal: false)
            ]
        } _: { inputs in
            [
                try attention(
                    q: part(inputs[0], 0, 1, heads: heads), k: part(inputs[1], 0, 2, heads: heads),
                    v: part(inputs[1], 1, 2, heads: heads), bias: nil, querySegments: of, keySegments: over,
                    causal: false)
            ]
        }
    }

    @Test(arguments: [1, 4]) func `Dropped probabilities, with masks of queries or shared`(rows: Int) throws {
        let (batch, time, heads, size) = (2, 4, 2, 3)
        let generator = try Generator(seed: 3)
        let inputs = [try generator.normal([batch, time, 3 * heads * size], .float64)]
        let keep = try generator.bernoulli([batch, heads, rows, time], probability: 0.5, .float64) * 2
        try compare(inputs, .float64) { inputs in
            [try FusedOperators.biasedAttention(inputs[0], keep: keep, headCount: heads, causal: true)]
        } _: { inputs in
            let q = try part(inputs[0], 0, 3, heads: heads)
            let scores = try q.matmul(part(inputs[0], 1, 3, heads: heads).transposed(2, 3))
            let future = try Tensor.ones([time, time], .float64).lowerTriangle().isEqual(to: 0)
            let p = try scores.maskFilled(future, -1e30).softmax(axis: -1) * keep
            let mixed = try p.matmul(part(inputs[0], 2, 3, heads: heads))
            return [try mixed.transposed(1, 2).reshaped([batch, time, -1])]
        }
    }

    @Test(arguments: types) func `A step reads a cache like the last query of a sequence`(type: ElementType)
        throws
    {
        let (sources, group, heads, count, size) = (2, 3, 2, 70, 5)
        let limit = try #require(Self.limits[type])
        let generator = try Generator(seed: 4)
        let q = try generator.normal([sources * group, heads * size], .float64).to(type)
        let keys = try generator.normal([sources, heads, count + 4, size], .float64).to(type)
        let values = try generator.normal([sources, heads, count + 4, size], .float64).to(type)
        let bias = try generator.normal([heads, count], .float64)
        let marks: [[Int32]] = [(0..<count).map { $0 < 50 ? 1 : 0 }, [Int32](repeating: 1, count: count)]
        let segments = try Tensor.from(marks.flatMap { $0 }, [sources, count])
        let found = try FusedOperators.biasedAttentionStep(
            q, keys: keys, values: values, bias: bias, keySegments: segments, count: count)
        let rows = marks.flatMap { [[Int32]](repeating: $0, count: group) }
        func spread(_ x: Tensor) throws -> Tensor {
            try x.to(.float64).sliced(2, 0..<count).repeatInterleaved(group, axis: 0)
        }
        let expected = try attention(
            q: q.to(.float64).reshaped([sources * group, heads, 1, size]), k: spread(keys), v: spread(values),
            bias: bias, querySegments: rows.map { _ in [1] }, keySegments: rows, causal: false)
        #expect(try relativeError(found, expected.squeezed(1)) < limit)
    }

    @Test func `Queries without keys get zeros and no gradients`() throws {
        let x = try Generator(seed: 5).normal([1, 3, 6]).requiringGradient()
        let segments = try Tensor.from([Int32(0), 0, 0], [1, 3])
        let out = try FusedOperators.biasedAttention(
            x, querySegments: segments, keySegments: segments, headCount: 1, causal: false)
        #expect(try out.abs().max().item() == 0)
        try out.sum().backward()
        #expect(try #require(try x.gradient()).abs().max().item() == 0)
    }

    @Test(arguments: types) func `Residual sums and norms`(type: ElementType) throws {
        let generator = try Generator(seed: 6)
        let inputs = try [[3, 7, 33], [3, 7, 33], [33]].map { try generator.normal($0, .float64) }
        func norm(_ x: Tensor, _ weight: Tensor) throws -> Tensor {
            try x * ((x * x).mean([-1], keepingAxes: true) + 1e-6).rsqrt() * weight
        }
        try compare(inputs, type) { x in
            let (normed, stream) = try FusedOperators.residualNorm(
                x[0], adding: x[1], weight: x[2], epsilon: 1e-6, as: type)
            return [normed, stream, try FusedOperators.residualAdd(stream, x[1])]
        } _: { x in
            let sum = try x[0] + x[1]
            return [try norm(sum, x[2]), sum, try sum + x[1]]
        }
        try compare([inputs[0], inputs[2]], type) { x in
            [try FusedOperators.residualNorm(x[0], weight: x[1], epsilon: 1e-6, as: type).normed]
        } _: { x in
            [try norm(x[0], x[1])]
        }
    }

    @Test func `A float32 stream keeps what bfloat16 branches add`() throws {
        let big = try Tensor.full([1, 4], 1000)
        let small = try Tensor.full([1, 4], 0.25, .bfloat16)
        let weight = try Tensor.ones([4])
        var stream = big
        for _ in 0..<8 {
            (_, stream) = try FusedOperators.residualNorm(
                stream, adding: small, weight: weight, epsilon: 1e-6, as: .bfloat16)
        }
        #expect(try stream.doubles() == [1002, 1002, 1002, 1002])
        #expect(stream.elementType == .float32)
        // Gradients of both types come back.
        let x = try big.clone().requiringGradient()
        let branch = try small.clone().requiringGradient()
        let (normed, sum) = try FusedOperators.residualNorm(
            x, adding: branch, weight: weight, epsilon: 1e-6, as: .bfloat16)
        #expect(normed.elementType == .bfloat16)
        try FusedOperators.residualAdd(sum, normed).sum().backward()
        #expect(try #require(try x.gradient()).elementType == .float32)
        #expect(try #require(try branch.gradient()).elementType == .bfloat16)
    }

    @Test(arguments: types) func `Token losses with their normalisers`(type: ElementType) throws {
        let generator = try Generator(seed: 7)
        let logits = try generator.normal([5, 101], standardDeviation: 3, .float64)
        let targets = try Tensor.from([Int64(0), 100, -100, 7, 7])
        let picks = try Tensor.from([Int64(0), 100, 0, 7, 7], [5, 1])
        let counted = try Tensor.from([1.0, 1, 0, 1, 1])
        try compare([logits], type) { x in
            let (losses, normalizers) = try FusedOperators.tokenLosses(x[0], targets: targets)
            return [losses, normalizers]
        } _: { x in
            let maximum = try x[0].detached().max([-1], keepingAxes: true)
            let z = try (x[0] - maximum).exp().sum([-1]).log() + maximum.squeezed(1)
            return [try (z - x[0].gathered(1, picks).squeezed(1)) * counted, z]
        }
        let narrow = try logits.to(type)
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.tokenLosses(narrow, targets: Tensor.from([Int64(0), 101, 0, 0, 0]))
            }.contains("outside the vocabulary of 101"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.tokenLosses(narrow, targets: Tensor.from([Int64(0)]))
            }.contains("found [5, 101] and [1]"))
    }

    @Test func `Half precision, which has no kernels of its own, takes the general path`() throws {
        let generator = try Generator(seed: 10)
        let x = try generator.normal([2, 6, 3 * 8])
        let bias = try generator.normal([2, 11])
        let segments = try Tensor.from([Int32](repeating: 1, count: 9) + [0, 0, 0], [2, 6])
        let weight = try generator.normal([24])
        let targets = try Tensor.from([Int64(3), -100])
        func results(_ x: Tensor) throws -> [Tensor] {
            let attention = try FusedOperators.biasedAttention(
                x, bias: bias, querySegments: segments, keySegments: segments, headCount: 2, causal: true)
            let heads = try x.reshaped([2, 6, 6, 4]).permuted([0, 2, 1, 3]).contiguous()
            let step = try FusedOperators.biasedAttentionStep(
                x.selected(1, 0).contiguous(), keys: heads, values: heads, keySegments: segments, count: 6)
            let (normed, stream) = try FusedOperators.residualNorm(
                x, adding: x, weight: weight, epsilon: 1e-6, as: x.elementType)
            let loss = try FusedOperators.tokenLosses(x.selected(1, 0), targets: targets)
            return [attention, step, normed, stream, loss.losses, loss.logNormalizers]
        }
        for (a, b) in zip(try results(x.to(.float16)), try results(x)) {
            #expect(try relativeError(a, b) < 3e-3)
        }
    }

    @Test func `Shapes that do not fit are refused`() throws {
        let x = try Tensor.zeros([1, 3, 6])
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.biasedAttention(x, headCount: 4, causal: false)
            }.contains("do not hold 4 heads"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.biasedAttention(
                    x, bias: Tensor.zeros([1, 4]), headCount: 1, causal: false)
            }.contains("the bias of distances must be [1, 5], found [1, 4]"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.biasedAttention(
                    x, querySegments: Tensor.zeros([1, 2], .int32), headCount: 1, causal: false)
            }.contains("segments of queries must be int32 [1, 3]"))
        #expect(
            errorText(TorchError.self) {
                let cache = try Tensor.zeros([2, 1, 4, 2])
                return try FusedOperators.biasedAttentionStep(
                    Tensor.zeros([2, 2]), keys: cache, values: cache, count: 5)
            }.contains("do not hold 5 positions"))
        #expect(
            errorText(TorchError.self) {
                try FusedOperators.residualNorm(x, weight: Tensor.ones([5]), epsilon: 1e-6, as: .float32)
            }.contains("the norm's weight must have the size of the last axis"))
        #expect(errorText(TorchError.self) { try x.largest(7, axis: -1) }.contains("k out of range"))
    }
}
