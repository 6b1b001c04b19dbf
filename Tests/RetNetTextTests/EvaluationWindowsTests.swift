import Testing

@testable import RetNetText

@Suite struct EvaluationWindowsTests {
    private func all(_ windows: EvaluationWindows) throws -> [Batch] {
        var windows = windows
        var batches: [Batch] = []
        while let batch = try windows.next() { batches.append(batch) }
        #expect(windows.fractionCompleted == 1)
        #expect(try windows.next() == nil)
        return batches
    }

    private func scored(_ batches: [Batch]) -> [Int32] {
        batches.flatMap { $0.targets.filter { $0 != Batch.ignoredTarget } }
    }

    @Test(arguments: [1, 2, 5, 7, 100])
    func `a carried row reads the stream once without gaps`(length: Int) throws {
        let stream = try numberedStream([9, 1, 4])
        let tokens = try stream.allTokens
        let windows = try EvaluationWindows(stream: stream, length: length)
        let batches = try all(windows)
        #expect(batches.flatMap(\.tokens) == Array(tokens.dropLast()))
        #expect(batches.flatMap(\.targets) == Array(tokens.dropFirst()))
        #expect(batches.map { $0.resets[0] } == batches.indices.map { $0 == 0 })
        #expect(batches.allSatisfy { $0.rowCount == 1 && $0.length <= length })
        #expect(windows.targetCount == tokens.count - 1)
        var place = 0
        var starts: [Int] = []
        for batch in batches {
            starts += batch.documentStarts[0].map { $0 + place }
            place += batch.length
        }
        #expect(starts == [0, 10, 12])
    }

    @Test(arguments: [nil, 1_000_000] as [Int32?])
    func `windows within documents reset at each document`(beginToken: Int32?) throws {
        let stream = try numberedStream([9, 1, 4], beginToken: beginToken)
        let windows = try EvaluationWindows(stream: stream, length: 4, mode: .carriedWithinDocuments)
        let batches = try all(windows)
        #expect(try batches.flatMap(\.tokens) == stream.allTokens)
        #expect(batches.filter { $0.resets[0] }.count == 3)
        #expect(batches.allSatisfy { $0.resets[0] == ($0.documentStarts[0] == [0]) })
        #expect(scored(batches).count == windows.targetCount)
    }

    @Test(arguments: [(1, 0), (2, 0), (3, 2), (1, 4), (4, 1)])
    func `independent windows score every token once`(rowCount: Int, overlap: Int) throws {
        let stream = try numberedStream([30, 2, 11])
        let tokens = try stream.allTokens
        let windows = try EvaluationWindows(
            stream: stream, length: 5, mode: .independent(rowCount: rowCount, overlap: overlap))
        let batches = try all(windows)
        #expect(scored(batches) == Array(tokens.dropFirst()))
        #expect(
            batches.allSatisfy { $0.resets.allSatisfy { $0 } && $0.rowCount <= rowCount && $0.length <= 5 })
        for batch in batches {
            for row in 0..<batch.rowCount {
                let range = (row * batch.length)..<((row + 1) * batch.length)
                let pairs = Array(zip(batch.tokens[range], batch.targets[range]))
                for (place, pair) in pairs.enumerated().dropLast() where pair.1 != Batch.ignoredTarget {
                    if pairs[place + 1].1 != Batch.ignoredTarget { #expect(pairs[place + 1].0 == pair.1) }
                }
            }
        }
    }

    @Test func `impossible shapes are refused`() throws {
        let stream = try numberedStream([9])
        expectTextError("overlap") {
            _ = try EvaluationWindows(stream: stream, length: 4, mode: .independent(rowCount: 1, overlap: 4))
        }
        expectTextError("length") { _ = try EvaluationWindows(stream: stream, length: 0) }
        expectTextError("rowCount") {
            _ = try EvaluationWindows(stream: stream, length: 4, mode: .independent(rowCount: 0, overlap: 0))
        }
        expectTextError("1 tokens") {
            _ = try EvaluationWindows(stream: numberedStream([1], beginToken: nil), length: 4)
        }
    }
}
