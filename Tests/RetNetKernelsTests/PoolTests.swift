import Foundation
import RetNetKernels
import Testing

/// Threads that share the parts of a call.
@Suite struct PoolTests {
    private final class Marks {
        let counts: UnsafeMutableBufferPointer<Int32>
        init(_ count: Int) {
            counts = .allocate(capacity: count)
            counts.initialize(repeating: 0)
        }
        deinit { counts.deallocate() }
    }

    private static let mark: rn_body = { context, begin, end, _ in
        guard let marks = context.map({ Unmanaged<Marks>.fromOpaque($0).takeUnretainedValue() }) else {
            return
        }
        for i in begin..<end { marks.counts[Int(i)] += 1 }
    }

    @Test(arguments: [1, 2, 3, 5]) func `Every part runs once`(_ threads: Int32) throws {
        let pool = try #require(Pool(threads: threads, instructionSet: nil))
        #expect(rn_pool_thread_count(pool.pointer) == threads)
        for count in [0, 1, 2, 3, 15, 16, 17, 100, 1000, 4099] {
            for unit in [1, 3, 16] {
                let marks = Marks(count)
                for _ in 0..<20 {
                    rn_pool_run(
                        pool.pointer, Int64(count), Int64(unit), Self.mark,
                        Unmanaged.passUnretained(marks).toOpaque())
                }
                #expect(marks.counts.allSatisfy { $0 == 20 })
            }
        }
    }

    @Test func `Threads that were asleep take the next call`() throws {
        let pool = try #require(Pool(threads: 3, instructionSet: nil))
        let marks = Marks(500)
        for _ in 0..<10 {
            Thread.sleep(forTimeInterval: 0.002)
            rn_pool_run(pool.pointer, 500, 1, Self.mark, Unmanaged.passUnretained(marks).toOpaque())
        }
        #expect(marks.counts.allSatisfy { $0 == 10 })
    }

    @Test func `Several threads may use one pool`() async throws {
        let pool = try #require(Pool(threads: 2, instructionSet: nil))
        let address = UInt(bitPattern: pool.pointer)
        let matrix = Matrix(RN_I8, rows: 64, columns: 64, seed: 1)
        var numbers = Numbers(1)
        let x = numbers.numbers(64)
        let expected = matrix.products(x, batch: 1, pool: nil)[0]
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<50).allSatisfy { _ in
                        var y = [Float](repeating: 0, count: 64)
                        matrix.multiply(x, pool: OpaquePointer(bitPattern: address), into: &y)
                        return y == expected
                    }
                }
            }
            for await same in group { #expect(same) }
        }
        withExtendedLifetime(pool) {}
    }

    @Test func `Unknown instruction sets are refused`() {
        #expect(Pool(threads: 1, instructionSet: "sse9") == nil)
        #expect(instructionSets.last == "baseline")
        for name in instructionSets {
            let pool = Pool(threads: 1, instructionSet: name)
            #expect(pool.map { String(cString: rn_pool_instruction_set($0.pointer)) } == name)
        }
    }

    @Test(arguments: instructionSets) func `Reading takes every word once, and has a speed`(_ set: String)
        throws
    {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var numbers = Numbers(2)
        for count in [1, 127, 128, 1000, 70_001] {
            let words = (0..<count).map { _ in numbers.next() }
            #expect(rn_read(pool.pointer, words, Int64(8 * count)) == words.reduce(0, &+))
        }
        #expect(rn_read_bandwidth(pool.pointer, 1 << 20, 2) > 1e6)
    }
}

extension Matrix {
    func multiply(_ x: [Float], pool: OpaquePointer?, into y: inout [Float]) {
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: Int(rn_multiply_scratch(pool, Int64(columns), 1)), alignment: 64)
        defer { scratch.deallocate() }
        y.withUnsafeMutableBufferPointer { y in
            withWeights { weights in
                var product = rn_product(weights: weights, bias: nil, y: y.baseAddress, y_stride: Int64(rows))
                rn_multiply(pool, &product, 1, x, Int64(columns), 1, scratch)
            }
        }
    }
}
