import Foundation
import Testing

@testable import RetNetText

@Suite struct ShuffledWindowsTests {
    @Test(arguments: [(1, 7), (3, 7), (4, 1), (2, 50)])
    func `every token but the first is a target exactly once per epoch`(rowCount: Int, length: Int) throws {
        let stream = try numberedStream([40, 3, 1, 8])
        let all = try stream.allTokens
        var windows = try ShuffledWindows(stream: stream, rowCount: rowCount, length: length, seed: 5)
        var targets: [[Int32]] = []
        var epochCounts: [Int] = []
        while windows.epoch < 3 {
            let epoch = windows.epoch
            while epochCounts.count <= epoch { epochCounts.append(windows.windowsPerEpoch) }
            let batch = try windows.next()
            #expect(batch.rowCount == rowCount && batch.tokens.count == windows.tokensPerBatch)
            #expect(batch.resets == Array(repeating: true, count: rowCount))
            for row in 0..<rowCount { targets.append(check(batch, row: row, all: all)) }
        }
        var first = 0
        for count in epochCounts.prefix(2) {
            let epoch = targets[first..<(first + count)].flatMap { $0 }
            #expect(epoch.sorted() == all.dropFirst().sorted())
            first += count
        }
    }

    /// Checks that a row is a part of the stream and returns its targets.
    private func check(_ batch: Batch, row: Int, all: [Int32]) -> [Int32] {
        let range = (row * batch.length)..<((row + 1) * batch.length)
        let inputs = batch.tokens[range]
        let targets = batch.targets[range].filter { $0 != Batch.ignoredTarget }
        let text = Array(inputs.prefix(targets.count)) + targets.suffix(1)
        #expect(Array(text.dropFirst()) == targets)
        #expect((0...(all.count - text.count)).contains { all[$0..<($0 + text.count)].elementsEqual(text) })
        let starts = inputs.prefix(targets.count).enumerated().filter { $0.element == 1_000_000 }.map(
            \.offset)
        #expect(batch.documentStarts[row] == starts)
        #expect(batch.tokens[range].dropFirst(targets.count).allSatisfy { $0 == 0 })
        return targets
    }

    @Test func `orders differ between epochs and seeds and are the same for one seed`() throws {
        let stream = try numberedStream([300])
        func order(seed: UInt64) throws -> [Batch] {
            var windows = try ShuffledWindows(stream: stream, rowCount: 10, length: 10, seed: seed)
            return try (0..<6).map { _ in try windows.next() }
        }
        let first = try order(seed: 1)
        #expect(try order(seed: 1) == first)
        #expect(try order(seed: 2)[0] != first[0])
        #expect(Set(first).count == 6)
    }

    @Test func `a beginning can be put before each window`() throws {
        let stream = try numberedStream([30, 5, 5])
        var windows = try ShuffledWindows(
            stream: stream, rowCount: 4, length: 6, seed: 1, prependsBeginToken: true)
        var seen: Set<Int32> = []
        for _ in 0..<6 {
            let batch = try windows.next()
            for row in 0..<4 {
                #expect(batch.tokens[row * 6] == 1_000_000)
                #expect(batch.targets[row * 6] != 1_000_000)
                #expect(batch.documentStarts[row].first == 0)
            }
            seen.formUnion(batch.targets)
        }
        #expect(seen.isSuperset(of: 1..<40))
    }

    @Test func `a restored source gives the same batches`() throws {
        let stream = try numberedStream([100, 20])
        var windows = try ShuffledWindows(stream: stream, rowCount: 3, length: 8, seed: 9)
        for _ in 0..<17 {
            let data = try JSONEncoder().encode(windows.state)
            let state = try JSONDecoder().decode(BatchSourceState.self, from: data)
            var copy = try ShuffledWindows(stream: stream, rowCount: 3, length: 8, seed: 9)
            try copy.restore(state)
            #expect(copy.state == windows.state)
            var original = windows
            for _ in 0..<9 { #expect(try copy.next() == original.next()) }
            _ = try windows.next()
        }
    }

    @Test func `a state of other data or settings is refused`() throws {
        let stream = try numberedStream([100, 20])
        var windows = try ShuffledWindows(stream: stream, rowCount: 3, length: 8, seed: 9)
        let state = windows.state
        func refuse(_ piece: String, _ change: (inout BatchSourceState) -> Void) {
            var changed = state
            change(&changed)
            expectTextError(piece) { try windows.restore(changed) }
            #expect(windows.state == state)
        }
        refuse("fingerprint") { $0.fingerprint ^= 1 }
        refuse("number of tokens") { $0.tokenCount += 1 }
        refuse("rows") { $0.rowCount = 4 }
        refuse("length") { $0.length = 9 }
        refuse("seed") { $0.seed = 1 }
        refuse("kind") { $0.kind = "contiguous" }
        refuse("window 1000") { $0.index = 1_000 }
        refuse("window -1") { $0.index = -1 }
        refuse("epoch") { $0.epoch = -1 }
        refuse("epoch") { $0.epoch = .max }
    }

    @Test func `texts shorter than a window and impossible shapes are refused`() throws {
        let stream = try numberedStream([10])
        expectTextError("11 tokens", "needs 12") {
            _ = try ShuffledWindows(stream: stream, rowCount: 1, length: 11, seed: 0)
        }
        #expect(try ShuffledWindows(stream: stream, rowCount: 1, length: 10, seed: 0).windowsPerEpoch <= 2)
        expectTextError("rowCount") {
            _ = try ShuffledWindows(stream: stream, rowCount: 0, length: 2, seed: 0)
        }
        expectTextError("length") { _ = try ShuffledWindows(stream: stream, rowCount: 1, length: 0, seed: 0) }
        expectTextError("fewer or shorter rows") {
            _ = try ShuffledWindows(stream: stream, rowCount: .max, length: 2, seed: 0)
        }
        let plain = try numberedStream([10], beginToken: nil)
        expectTextError("prependsBeginToken") {
            _ = try ShuffledWindows(stream: plain, rowCount: 1, length: 2, seed: 0, prependsBeginToken: true)
        }
    }
}
