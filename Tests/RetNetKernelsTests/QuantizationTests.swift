import RetNetKernels
import Testing

/// Weights rounded to 8 and 4 bits.
@Suite struct QuantizationTests {
    private struct Rounded {
        var first: Int64
        var data: [UInt8]
        var scales: [UInt16]
        var minima: [UInt16]
        /// What the weights stand for.
        var values: [Double]
    }

    private func rounded(
        _ x: [Float], rows: Int, columns: Int, _ type: rn_weight_type, pool: Pool?
    ) -> Rounded {
        let groups = rows * columns / 32
        var result = Rounded(
            first: 0, data: [UInt8](repeating: 0xaa, count: type == RN_I8 ? x.count : x.count / 2),
            scales: [UInt16](repeating: 0, count: groups),
            minima: [UInt16](repeating: 0, count: type == RN_I4 ? groups : 1), values: [])
        result.first = rn_quantize(
            pool?.pointer, x, Int64(rows), Int64(columns), type, &result.data, &result.scales, &result.minima)
        var row = [Float](repeating: 0, count: columns)
        for index in 0..<rows {
            result.data.withUnsafeBytes { data in
                result.scales.withUnsafeBufferPointer { scales in
                    result.minima.withUnsafeBufferPointer { minima in
                        var weights = rn_weights(
                            data: data.baseAddress, scales: scales.baseAddress, minima: minima.baseAddress,
                            rows: Int64(rows), columns: Int64(columns), type: type)
                        rn_weight_row(&weights, Int64(index), &row)
                    }
                }
            }
            result.values += row.map(Double.init)
        }
        return result
    }

    @Test(arguments: instructionSets) func `Eight bits are the nearest multiples of the scale`(_ set: String)
        throws
    {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(1)
        let x = numbers.numbers(6 * 96, scale: 0.03)
        let found = rounded(x, rows: 6, columns: 96, RN_I8, pool: pool)
        #expect(found.first == -1)
        for (i, value) in x.enumerated() {
            let group = x[i / 32 * 32..<i / 32 * 32 + 32]
            let largest = Double(group.map(abs).max() ?? 0)
            // Half a step, and what the scale loses as float16.
            #expect(abs(found.values[i] - Double(value)) < largest / 127 * 0.5 + largest * 0.0006)
        }
        #expect(!found.data.contains(0x80))
    }

    @Test(arguments: instructionSets) func `Four bits have less error than the range of a group gives`(
        _ set: String
    ) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(2)
        // Sums of four are nearly normal, and every eleventh number lies outside.
        let x = (0..<32 * 60).map { i in
            (0..<4).reduce(Float(0)) { sum, _ in sum + numbers.number() } * (i % 11 == 0 ? 3 : 1)
        }
        let found = rounded(x, rows: 10, columns: 192, RN_I4, pool: pool)
        #expect(found.first == -1)
        var (error, plain) = (0.0, 0.0)
        for start in stride(from: 0, to: x.count, by: 32) {
            let group = x[start..<start + 32].map(Double.init)
            let (low, high) = (group.min() ?? 0, group.max() ?? 0)
            var (ours, range) = (0.0, 0.0)
            for (i, value) in group.enumerated() {
                let level = ((value - low) / (high - low) * 15).rounded()
                range += (low + level * (high - low) / 15 - value) * (low + level * (high - low) / 15 - value)
                ours += (found.values[start + i] - value) * (found.values[start + i] - value)
            }
            #expect(ours <= range * 1.01)
            error += ours
            plain += range
        }
        #expect(error < 0.85 * plain)
    }

    @Test func `Groups without a range, and numbers at the bounds`() {
        for type in [RN_I8, RN_I4] {
            let constant = [Float](repeating: 0.75, count: 32) + [Float](repeating: 0, count: 32)
            let found = rounded(constant, rows: 1, columns: 64, type, pool: nil)
            #expect(found.first == -1)
            for (a, b) in zip(found.values, constant) { #expect(abs(a - Double(b)) < 1e-3) }
            var tiny = [Float](repeating: 1e-7, count: 32)
            tiny[3] = -1e-7
            #expect(rounded(tiny, rows: 1, columns: 32, type, pool: nil).values.allSatisfy { abs($0) < 1e-6 })
        }
    }

    @Test func `Numbers that are not finite or too large are named`() throws {
        let pool = try #require(Pool(threads: 2, instructionSet: nil))
        var numbers = Numbers(3)
        let x = numbers.numbers(40 * 64)
        for type in [RN_I8, RN_I4] {
            for bad in [Float.nan, .infinity, -.infinity] {
                var damaged = x
                damaged[17 * 64 + 35] = bad
                damaged[30 * 64] = bad
                #expect(rounded(damaged, rows: 40, columns: 64, type, pool: pool).first == 17 * 64 + 35)
            }
            var large = x
            large[5 * 64 + 40] = 1e7
            #expect(rounded(large, rows: 40, columns: 64, type, pool: pool).first == 5 * 64 + 32)
        }
    }
}
