import RetNetKernels
import Testing

/// Products of few rows with weights of all types, against the sums that define them.
@Suite struct ProductTests {
    struct Case: CustomTestStringConvertible {
        let set: String
        let type: rn_weight_type
        var testDescription: String { "\(set), type \(type.rawValue)" }
    }

    static let cases = instructionSets.flatMap { set in Matrix.types.map { Case(set: set, type: $0) } }

    @Test(arguments: cases) func `Products equal their definition for any shape`(_ given: Case) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: given.set))
        var numbers = Numbers(1)
        let isGrouped = given.type == RN_I8 || given.type == RN_I4
        for (rows, columns) in isGrouped
            ? [(1, 32), (3, 96), (17, 512), (16, 544), (49, 1056)]
            : [(1, 1), (3, 7), (5, 16), (17, 65), (49, 515)]
        {
            let matrix = Matrix(given.type, rows: rows, columns: columns, seed: UInt64(rows))
            let x = numbers.numbers(19 * columns)
            let bias = numbers.numbers(rows)
            let expected = matrix.definition(x, batch: 19, bias: bias, set: given.set)
            for batch in [1, 2, 5, 19] {
                let found = matrix.products(x, batch: batch, bias: bias, pool: pool)[0]
                #expect(relativeError(found, expected) < 1e-6)
            }
            let plain = matrix.products(x, batch: 2, pool: pool)[0]
            let unbiased = zip(expected, bias + bias).map { $0 - Double($1) }
            #expect(relativeError(plain, unbiased) < 1e-6)
        }
    }

    @Test(arguments: cases) func `A row is the same bit for bit in every batch`(_ given: Case) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: given.set))
        var numbers = Numbers(2)
        let (rows, columns) = (37, 1120)
        let matrix = Matrix(given.type, rows: rows, columns: columns, seed: 3)
        let x = numbers.numbers(columns)
        let alone = matrix.products(x, batch: 1, pool: pool)[0]
        for batch in [2, 3, 4, 7, 9, 16, 23, 70] {
            let row = Int(numbers.next() % UInt64(batch))
            var all = numbers.numbers(batch * columns, scale: 100)
            if row != 0 { all[0] = .nan }
            all.replaceSubrange(row * columns..<(row + 1) * columns, with: x)
            let found = matrix.products(all, batch: batch, pool: pool)[0]
            #expect(Array(found[row * rows..<(row + 1) * rows]) == alone)
        }
    }

    @Test(arguments: instructionSets) func `Several matrices share a call`(_ set: String) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(4)
        for type in Matrix.types {
            let matrix = Matrix(type, rows: 37, columns: 96, seed: 9)
            let x = numbers.numbers(3 * 96)
            let results = matrix.products(x, batch: 3, pool: pool, copies: 4)
            for result in results { #expect(result == matrix.products(x, batch: 3, pool: pool)[0]) }
        }
    }

    @Test(arguments: Matrix.types.map(\.rawValue)) func `Rows of an embedding`(_ type: UInt32) {
        let matrix = Matrix(rn_weight_type(type), rows: 5, columns: 96, seed: 5)
        for row in 0..<5 {
            var found = [Float](repeating: .nan, count: 96)
            matrix.withWeights { weights in
                withUnsafePointer(to: weights) { rn_weight_row($0, Int64(row), &found) }
            }
            #expect(relativeError(found, Array(matrix.values[row * 96..<(row + 1) * 96])) < 1e-6)
            #expect(
                rn_weight_bytes(matrix.type, 5, 96)
                    == Int64(matrix.data.count + 2 * (matrix.scales.count + matrix.minima.count)))
        }
    }

    @Test func `An infinite or undefined input reaches the result`() throws {
        var numbers = Numbers(7)
        for type in Matrix.types {
            let matrix = Matrix(type, rows: 3, columns: 64, seed: 6)
            for value in [Float.nan, .infinity] {
                var x = numbers.numbers(64)
                x[40] = value
                let found = matrix.products(x, batch: 1, pool: nil)[0]
                #expect(found.allSatisfy { !$0.isFinite })
            }
        }
    }
}
