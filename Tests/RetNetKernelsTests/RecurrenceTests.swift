import Foundation
import RetNetKernels
import Testing

/// Steps of mixers over whole sequences, against their recurrences in Double.
@Suite struct RecurrenceTests {
    /// Sequences of 3, 1 and 6 tokens in rows that follow each other.
    private static let lengths = [3, 1, 6]
    private static let rows = 10

    static let cases = instructionSets.flatMap { set in
        [RN_NO_DECAY, RN_HEAD_DECAY, RN_CHANNEL_DECAY].flatMap { decay in
            [false, true].flatMap { delta in
                [RN_F32, RN_BF16, RN_F16].map {
                    RecurrenceCase(set: set, decay: decay, delta: delta, state: $0)
                }
            }
        }
    }

    @Test(arguments: cases) func `Matrix states, all tokens at once and one by one`(_ given: RecurrenceCase)
        throws
    {
        let pool = try #require(Pool(threads: 2, instructionSet: given.set))
        for (heads, keys, values, queryShare, valueShare) in [
            (4, 6, 83, 2, 1), (2, 5, 1, 1, 2), (3, 64, 96, 1, 1),
        ] {
            var numbers = Numbers(7)
            let q = numbers.numbers(Self.rows * heads / queryShare * keys)
            let k = numbers.numbers(
                Self.rows * heads / queryShare * keys, scale: 1 / Float(keys).squareRoot())
            let v = numbers.numbers(Self.rows * heads / valueShare * values)
            let decays = numbers.numbers(Self.rows * heads * keys).map { 0.5 + abs($0) / 4 }
            let strengths = numbers.numbers(Self.rows * heads).map { abs($0) / 2 }
            let decayWidth = given.decay == RN_CHANNEL_DECAY ? heads * keys : heads
            var states = [Float](repeating: 0, count: 3 * heads * keys * values)
            for i in states.indices { states[i] = numbers.number() }
            let size = states.count / 3
            let start = (0..<3).map { narrowed(Array(states[$0 * size..<($0 + 1) * size]), given.state) }
            states = start.flatMap { widened($0, given.state, size) }
            var shape = rn_recurrence()
            (shape.heads, shape.key_size, shape.value_size) = (Int64(heads), Int64(keys), Int64(values))
            shape.state_type = given.state
            (shape.query_share, shape.key_share) = (Int64(queryShare), Int64(queryShare))
            shape.value_share = Int64(valueShare)
            shape.decay_kind = given.decay
            let (memory, oneByOne) = (
                start.map { SequenceMemory($0, shape) }, start.map { SequenceMemory($0, shape) }
            )

            var output = [Float](repeating: .nan, count: Self.rows * heads * values)
            var alone = output
            let run = {
                (memory: [SequenceMemory], output: inout [Float], first: [Int], counts: [Int], position: Int)
                in
                output.withUnsafeMutableBufferPointer { output in
                    withPointers(q, k, v, decays, strengths) { p in
                        var recurrence = shape
                        (recurrence.query, recurrence.key, recurrence.value) = (p[0], p[1], p[2])
                        recurrence.query_stride = Int64(heads / queryShare * keys)
                        recurrence.key_stride = recurrence.query_stride
                        recurrence.value_stride = Int64(heads / valueShare * values)
                        (recurrence.decays, recurrence.decay_stride) = (p[3], Int64(decayWidth))
                        if given.delta {
                            (recurrence.strengths, recurrence.strength_stride) = (p[4], Int64(heads))
                        }
                        (recurrence.output, recurrence.output_stride) = (
                            output.baseAddress, Int64(heads * values)
                        )
                        let sequences = (0..<3).filter { counts[$0] > 0 }.map {
                            memory[$0].sequence(first: first[$0], count: counts[$0], position: position)
                        }
                        recur(&recurrence, sequences, pool)
                    }
                }
            }
            run(memory, &output, [0, 3, 4], Self.lengths, 0)
            for t in 0..<6 {
                run(oneByOne, &alone, [t, 3 + t, 4 + t], Self.lengths.map { t < $0 ? 1 : 0 }, t)
            }
            #expect(output == alone)
            for (all, single) in zip(memory, oneByOne) {
                #expect(all.state == single.state)
                all.settle(shape, pool)
            }

            var expected: [Double] = []
            var matrix = states.map(Double.init)
            for (sequence, length) in Self.lengths.enumerated() {
                for t in 0..<length {
                    let row = [0, 3, 4][sequence] + t
                    for head in 0..<heads {
                        let base = (sequence * heads + head) * keys * values
                        let x = row * heads / queryShare * keys + head / queryShare * keys
                        let y = row * heads / valueShare * values + head / valueShare * values
                        for j in 0..<values {
                            var erased = 0.0
                            for i in 0..<keys {
                                let a =
                                    given.decay == RN_NO_DECAY
                                    ? 1
                                    : Double(
                                        decays[
                                            row * decayWidth
                                                + (given.decay == RN_HEAD_DECAY ? head : head * keys + i)])
                                matrix[base + i * values + j] *= a
                                erased += Double(k[x + i]) * matrix[base + i * values + j]
                            }
                            var write = Double(v[y + j])
                            if given.delta {
                                write = (write - erased) * Double(strengths[row * heads + head])
                            }
                            var sum = 0.0
                            for i in 0..<keys {
                                matrix[base + i * values + j] += Double(k[x + i]) * write
                                sum += Double(q[x + i]) * matrix[base + i * values + j]
                            }
                            expected.append(sum)
                        }
                    }
                }
            }
            let bound = given.state == RN_F32 ? 2e-6 : given.state == RN_F16 ? 1e-3 : 1e-2
            #expect(relativeError(output, expected) < bound)
            let settled = memory.flatMap { widened($0.state, given.state, size) }
            #expect(relativeError(settled, matrix) < bound)
        }
    }

    @Test(arguments: instructionSets) func `The average of RWKV`(_ set: String) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(8)
        let channels = 700
        let (k, v) = (numbers.numbers(Self.rows * channels, scale: 4), numbers.numbers(Self.rows * channels))
        let (w, u) = (numbers.numbers(channels).map { abs($0) }, numbers.numbers(channels))
        var found = [Float](repeating: .nan, count: Self.rows * channels)
        var states = [Float](repeating: 0, count: 3 * 3 * channels)
        found.withUnsafeMutableBufferPointer { found in
            withPointers(k, v, w, u) { p in
                var wkv = rn_wkv(
                    channels: Int64(channels), key: p[0], value: p[1], output: found.baseAddress,
                    stride: Int64(channels), decay: p[2], bonus: p[3])
                states.withUnsafeMutableBufferPointer { states in
                    // In two calls: the second one continues.
                    for call in 0..<2 {
                        let sequences = [(0, 2, 1), (3, 1, 0), (4, 3, 3)].enumerated().map { index, part in
                            rn_sequence(
                                state: states.baseAddress.map { $0 + index * 3 * channels }, recent: nil,
                                first: Int64(part.0 + (call == 1 ? part.1 : 0)),
                                count: Int64(call == 0 ? part.1 : part.2), position: 0)
                        }
                        rn_average(pool.pointer, &wkv, sequences, 3)
                    }
                }
            }
        }
        var expected: [Double] = []
        for (start, length) in zip([0, 3, 4], Self.lengths) {
            for t in 0..<length {
                for c in 0..<channels {
                    var (top, bottom) = (0.0, 0.0)
                    for i in 0...t {
                        let key = Double(k[(start + i) * channels + c])
                        let weight = exp(i == t ? key + Double(u[c]) : key - Double(t - 1 - i) * Double(w[c]))
                        top += weight * Double(v[(start + i) * channels + c])
                        bottom += weight
                    }
                    expected.append(top / bottom)
                }
            }
        }
        #expect(relativeError(found, expected) < 1e-5)
    }

    @Test(arguments: instructionSets) func `Convolutions over the last tokens`(_ set: String) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(9)
        for width in [1, 2, 4] {
            let channels = 300
            let x = numbers.numbers(Self.rows * channels)
            let (weight, bias) = (numbers.numbers(channels * width), numbers.numbers(channels))
            let past = numbers.numbers(3 * (width - 1) * channels)
            var (found, rings) = ([Float](repeating: .nan, count: Self.rows * channels), past)
            found.withUnsafeMutableBufferPointer { found in
                withPointers(x, weight, bias) { p in
                    var convolution = rn_convolution(
                        channels: Int64(channels), width: Int64(width), weight: p[1], bias: p[2],
                        function: RN_SWISH, x: p[0], x_stride: Int64(channels), y: found.baseAddress,
                        y_stride: Int64(channels))
                    rings.withUnsafeMutableBufferPointer { rings in
                        let sequences = zip([0, 3, 4], Self.lengths).enumerated().map { index, part in
                            rn_sequence(
                                state: rings.baseAddress.map { $0 + index * (width - 1) * channels },
                                recent: nil,
                                first: Int64(part.0), count: Int64(part.1), position: 0)
                        }
                        rn_convolve(pool.pointer, &convolution, sequences, 3)
                    }
                }
            }
            var (expected, ends): ([Double], [Float]) = ([], [])
            for (index, (start, length)) in zip([0, 3, 4], Self.lengths).enumerated() {
                let before = past[index * (width - 1) * channels..<(index + 1) * (width - 1) * channels]
                let all = Array(before) + x[start * channels..<(start + length) * channels]
                for t in 0..<length {
                    for c in 0..<channels {
                        let sum = (0..<width).reduce(Double(bias[c])) {
                            $0 + Double(weight[c * width + $1]) * Double(all[(t + $1) * channels + c])
                        }
                        expected.append(sum / (1 + exp(-sum)))
                    }
                }
                ends += all.suffix((width - 1) * channels)
            }
            #expect(relativeError(found, expected) < 1e-6)
            #expect(rings == ends)
        }
    }

    @Test(arguments: instructionSets) func `Attention over caches of three types`(_ set: String) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(10)
        // With a reach above 0 there are biases by distance, and some rows see other keys than those before them.
        for (heads, cacheHeads, size, reach) in [(4, 4, 64, 0), (6, 2, 20, 0), (4, 1, 33, 0), (3, 3, 12, 9)] {
            for type in [RN_F32, RN_BF16, RN_F16] {
                let capacity = 210
                let pasts = [0, 200, 63]
                let seen = reach > 0 ? [7, 0, 150] : [0, 0, 0]
                let bias = numbers.numbers(heads * (2 * reach + 1))
                let query = numbers.numbers(Self.rows * heads * size)
                let count = 3 * cacheHeads * capacity * size
                let keys = narrowed(numbers.numbers(count), type)
                let values = narrowed(numbers.numbers(count), type)
                var found = [Float](repeating: .nan, count: Self.rows * heads * size)
                found.withUnsafeMutableBufferPointer { found in
                    query.withUnsafeBufferPointer { query in
                        var attention = rn_attention(
                            heads: Int64(heads), cache_heads: Int64(cacheHeads), head_size: Int64(size),
                            cache_type: type, scale: 0.7, query: query.baseAddress,
                            query_stride: Int64(heads * size), output: found.baseAddress,
                            output_stride: Int64(heads * size), bias: nil, bias_reach: Int64(reach))
                        let biases = UnsafeMutablePointer<Float>.allocate(capacity: bias.count)
                        defer { biases.deallocate() }
                        biases.initialize(from: bias, count: bias.count)
                        if reach > 0 { attention.bias = UnsafePointer(biases) }
                        let scratch = UnsafeMutableRawPointer.allocate(
                            byteCount: Int(rn_attend_scratch(pool.pointer, &attention)), alignment: 64)
                        defer { scratch.deallocate() }
                        keys.withUnsafeBytes { keys in
                            values.withUnsafeBytes { values in
                                let caches = (0..<3).map { index in
                                    rn_cache(
                                        keys: keys.baseAddress.map { $0 + index * keys.count / 3 },
                                        values: values.baseAddress.map { $0 + index * values.count / 3 },
                                        head_stride: Int64(capacity * size), first: Int64([0, 3, 4][index]),
                                        count: Int64(Self.lengths[index]), past: Int64(pasts[index]),
                                        seen: Int64(seen[index]))
                                }
                                rn_attend(pool.pointer, &attention, caches, 3, scratch)
                            }
                        }
                    }
                }
                let (k, v) = (widened(keys, type, count), widened(values, type, count))
                var expected: [Double] = []
                for (index, (start, length)) in zip([0, 3, 4], Self.lengths).enumerated() {
                    for t in 0..<length {
                        for head in 0..<heads {
                            let group = head / (heads / cacheHeads)
                            let base = (index * cacheHeads + group) * capacity * size
                            let place = pasts[index] + t
                            let count = seen[index] > 0 ? seen[index] : place + 1
                            let weights = (0..<count).map { i in
                                let dot = (0..<size).reduce(0.0) {
                                    $0 + Double(query[((start + t) * heads + head) * size + $1])
                                        * Double(k[base + i * size + $1])
                                }
                                let distance = min(max(i - place, -reach), reach)
                                let added =
                                    reach > 0 ? Double(bias[head * (2 * reach + 1) + reach + distance]) : 0
                                return exp(0.7 * dot + added - 20)
                            }
                            let total = weights.reduce(0, +)
                            for c in 0..<size {
                                var sum = 0.0
                                for (i, weight) in weights.enumerated() {
                                    sum += weight * Double(v[base + i * size + c])
                                }
                                expected.append(sum / total)
                            }
                        }
                    }
                }
                #expect(relativeError(found, expected) < 5e-6)
            }
        }
    }
}

func narrowed(_ x: [Float], _ type: rn_weight_type) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: x.count * (type == RN_F32 ? 4 : 2))
    rn_narrow(nil, x, type, &bytes, Int64(x.count))
    return bytes
}

func widened(_ bytes: [UInt8], _ type: rn_weight_type, _ count: Int) -> [Float] {
    var x = [Float](repeating: 0, count: count)
    rn_widen(nil, bytes, type, &x, Int64(count))
    return x
}

func withPointers<Result>(
    _ arrays: [Float]..., body: ([UnsafePointer<Float>]) -> Result
) -> Result {
    func next(_ index: Int, _ pointers: [UnsafePointer<Float>]) -> Result {
        guard index < arrays.count else { return body(pointers) }
        return arrays[index].withUnsafeBufferPointer { buffer in
            guard let pointer = buffer.baseAddress else { return body(pointers) }
            return next(index + 1, pointers + [pointer])
        }
    }
    return next(0, [])
}
