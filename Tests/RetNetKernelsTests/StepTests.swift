import Foundation
import RetNetKernels
import Testing

/// The operations between products, against their formulas in Double.
@Suite struct StepTests {
    /// What each function is.
    static let functions: [(rn_function, @Sendable (Double) -> Double)] = [
        (RN_IDENTITY, { $0 }), (RN_SWISH, { $0 / (1 + exp(-$0)) }),
        (RN_GELU, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }), (RN_RELU, { max($0, 0) }),
        (
            RN_GELU_TANH,
            { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
        ),
        (RN_SQUARED_RELU, { max($0, 0) * max($0, 0) }), (RN_SIGMOID, { 1 / (1 + exp(-$0)) }),
        (RN_TANH, { tanh($0) }), (RN_EXP, { exp($0) }), (RN_SOFTPLUS, { log(1 + exp($0)) }),
        (RN_ELU_PLUS_ONE, { $0 > 0 ? $0 + 1 : exp($0) }),
    ]

    @Test(arguments: instructionSets) func `Functions, alone and with a factor, in place too`(_ set: String)
        throws
    {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(1)
        let (rows, size) = (3, 133)
        let x = numbers.numbers(rows * size, scale: 4)
        let factor = numbers.numbers(rows * size)
        for (function, formula) in Self.functions {
            var y = [Float](repeating: .nan, count: rows * size)
            rn_apply(
                pool.pointer, function, x, Int64(size), nil, 0, &y, Int64(size), Int64(rows), Int64(size))
            #expect(relativeError(y, x.map { formula(Double($0)) }) < 1e-6)
            var inPlace = x
            inPlace.withUnsafeMutableBufferPointer {
                rn_apply(
                    pool.pointer, function, $0.baseAddress, Int64(size), factor, Int64(size), $0.baseAddress,
                    Int64(size), Int64(rows), Int64(size))
            }
            let expected = zip(x, factor).map { formula(Double($0)) * Double($1) }
            #expect(relativeError(inPlace, expected) < 1e-6)
        }
    }

    @Test func `Sums and shifts`() {
        var numbers = Numbers(2)
        let (a, b, w) = (numbers.numbers(131), numbers.numbers(131), numbers.numbers(131))
        var sum = a
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                rn_weighted_sum([a.baseAddress, b.baseAddress], [2, -0.5], 2, &sum, 131)
            }
        }
        #expect(relativeError(sum, zip(a, b).map { 2 * Double($0) - 0.5 * Double($1) }) < 1e-6)
        var mixed = [Float](repeating: 0, count: 131)
        rn_interpolate(a, b, w, &mixed, 131)
        let expected = (0..<131).map { Double(a[$0]) + (Double(b[$0]) - Double(a[$0])) * Double(w[$0]) }
        #expect(relativeError(mixed, expected) < 1e-6)
    }

    @Test(arguments: instructionSets) func `Norms of heads with gates`(_ set: String) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(3)
        for (rows, heads, size) in [(1, 1, 1024), (5, 3, 70), (2, 4, 16)] {
            let width = heads * size
            let (x, gate) = (numbers.numbers(rows * width), numbers.numbers(rows * width))
            let (weight, bias) = (numbers.numbers(width), numbers.numbers(width))
            let epsilons = numbers.numbers(rows * heads).map { abs($0) + 0.1 }
            for kind in [RN_NO_NORM, RN_RMS, RN_LAYER] {
                for variant in 0..<8 {
                    let (hasWeights, perHead, hasGate) = (
                        variant & 1 != 0, variant & 2 != 0, variant & 4 != 0
                    )
                    var norm = rn_norm()
                    norm.kind = kind
                    norm.function = RN_SWISH
                    (norm.heads, norm.size) = (Int64(heads), Int64(size))
                    norm.heads_have_weights = perHead
                    norm.epsilon = 0.01
                    (norm.x_stride, norm.gate_stride, norm.y_stride) = (
                        Int64(width), Int64(width), Int64(width)
                    )
                    var found = x
                    found.withUnsafeMutableBufferPointer { y in
                        weight.withUnsafeBufferPointer { weight in
                            bias.withUnsafeBufferPointer { bias in
                                gate.withUnsafeBufferPointer { gate in
                                    epsilons.withUnsafeBufferPointer { epsilons in
                                        if hasWeights {
                                            (norm.weight, norm.bias) = (weight.baseAddress, bias.baseAddress)
                                        }
                                        if hasGate { norm.gate = gate.baseAddress }
                                        if perHead { norm.epsilons = epsilons.baseAddress }
                                        norm.x = UnsafePointer(y.baseAddress)
                                        norm.y = y.baseAddress
                                        rn_normalize(pool.pointer, &norm, Int64(rows))
                                    }
                                }
                            }
                        }
                    }
                    var expected: [Double] = []
                    for row in 0..<rows {
                        for head in 0..<heads {
                            let start = row * width + head * size
                            let part = x[start..<start + size].map(Double.init)
                            let mean = kind == RN_LAYER ? part.reduce(0, +) / Double(size) : 0
                            let square = part.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(size)
                            let epsilon =
                                perHead ? Double(epsilons[row * heads + head]) : Double(norm.epsilon)
                            let divisor = ((kind == RN_NO_NORM ? 0 : square) + epsilon).squareRoot()
                            for i in 0..<size {
                                var y = (part[i] - mean) / divisor
                                let place = perHead ? head * size + i : i
                                if hasWeights { y = y * Double(weight[place]) + Double(bias[place]) }
                                if hasGate { y *= Self.functions[1].1(Double(gate[start + i])) }
                                expected.append(y)
                            }
                        }
                    }
                    #expect(relativeError(found, expected) < 2e-6)
                }
            }
        }
    }

    @Test(arguments: instructionSets) func `Rotations of pairs`(_ set: String) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(4)
        for (rows, heads, size, pairs) in [(3, 2, 256, 128), (2, 3, 20, 7)] {
            let width = heads * size
            let x = numbers.numbers(rows * width)
            let (cosine, sine) = (numbers.numbers(rows * pairs), numbers.numbers(rows * pairs))
            for interleaved in [true, false] {
                var found = x
                cosine.withUnsafeBufferPointer { cosine in
                    sine.withUnsafeBufferPointer { sine in
                        found.withUnsafeMutableBufferPointer { y in
                            var rotation = rn_rotation(
                                cosine: cosine.baseAddress, sine: sine.baseAddress,
                                table_stride: Int64(pairs),
                                heads: Int64(heads), size: Int64(size), pairs: Int64(pairs),
                                interleaved: interleaved, scale: 0.25)
                            rn_rotate(
                                pool.pointer, &rotation, y.baseAddress, Int64(width), y.baseAddress,
                                Int64(width), Int64(rows))
                        }
                    }
                }
                var expected = x.map { Double($0) * 0.25 }
                for row in 0..<rows {
                    for head in 0..<heads {
                        for j in 0..<pairs {
                            let start = row * width + head * size
                            let a = start + (interleaved ? 2 * j : j)
                            let b = start + (interleaved ? 2 * j + 1 : j + pairs)
                            let (c, s) = (Double(cosine[row * pairs + j]), Double(sine[row * pairs + j]))
                            expected[a] = (Double(x[a]) * c - Double(x[b]) * s) * 0.25
                            expected[b] = (Double(x[b]) * c + Double(x[a]) * s) * 0.25
                        }
                    }
                }
                #expect(relativeError(found, expected) < 1e-6)
            }
        }
    }

    @Test(arguments: instructionSets) func `Narrow numbers are the nearest ones`(_ set: String) throws {
        let pool = try #require(Pool(threads: 1, instructionSet: set))
        var numbers = Numbers(5)
        var x =
            numbers.numbers(400, scale: 3) + numbers.numbers(400, scale: 1e-5)
            + numbers.numbers(100, scale: 6e4)
        x += [
            0, -0.0, .infinity, -.infinity, 65519, 65520, 65504, 1e-8, 3e-8, 2.98e-8, 5.9e-8, 1,
            1.00048828125,
        ]
        x += [1.0009765625, 6.1e-5, 6.097e-5, 1e30, 3e38]
        var half = [UInt16](repeating: 0, count: x.count)
        rn_narrow(pool.pointer, x, RN_F16, &half, Int64(x.count))
        #expect(half == x.map { Float16($0).bitPattern })
        var back = [Float](repeating: 0, count: x.count)
        rn_widen(pool.pointer, half, RN_F16, &back, Int64(x.count))
        #expect(back == x.map { Float(Float16($0)) })
        rn_narrow(pool.pointer, x, RN_BF16, &half, Int64(x.count))
        #expect(half == x.map(bfloat16))
        rn_widen(pool.pointer, half, RN_BF16, &back, Int64(x.count))
        #expect(back == half.map(float(bfloat16:)))
    }

    @Test func `The largest logits`() {
        var numbers = Numbers(6)
        var x = (0..<1000).map { _ in Float(numbers.next() % 97) }
        x[17] = .nan
        let order = x.indices.filter { !x[$0].isNaN }.sorted { (x[$0], $1) > (x[$1], $0) }
        #expect(rn_largest(x, 1000) == Int64(order[0]))
        for wanted in [0, 1, 5, 50, 999, 1200] {
            var values = [Float](repeating: 0, count: max(wanted, 1))
            var indices = [Int32](repeating: 0, count: max(wanted, 1))
            let count = Int(rn_largest_elements(x, 1000, Int64(wanted), &values, &indices))
            #expect(count == min(wanted, 999))
            #expect(indices.prefix(count).map(Int.init) == Array(order.prefix(count)))
            #expect(Array(values.prefix(count)) == order.prefix(count).map { x[$0] })
        }
        x[17] = 3
        let sum = x.reduce(0.0) { $0 + exp(Double($1) - 96) }
        #expect(abs(Double(rn_log_sum(x, 1000)) - (log(sum) + 96)) < 1e-5)
        #expect(rn_log_sum([-.infinity, -.infinity], 2) == -.infinity)
    }
}
