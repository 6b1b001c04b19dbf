import Foundation
import Testing

@testable import RetNetText

@Suite struct ContiguousWindowsTests {
    private static let begin: Int32 = 1_000_000

    /// Follows all rows and returns the inputs and targets of whole pieces, in the order of their ends.
    private func follow(_ windows: inout ContiguousWindows, batchCount: Int) throws -> [(
        inputs: [Int32], targets: [Int32]
    )] {
        var open = [(inputs: [Int32], targets: [Int32])](repeating: ([], []), count: windows.rowCount)
        var pieces: [(inputs: [Int32], targets: [Int32])] = []
        for number in 0..<batchCount {
            let batch = try windows.next()
            for row in 0..<batch.rowCount {
                if number == 0 { #expect(batch.resets[row]) }
                #expect(batch.resets[row] == (batch.documentStarts[row].first == 0))
                if windows.cutsAtDocuments { #expect(batch.documentStarts[row].allSatisfy { $0 == 0 }) }
                for place in 0..<batch.length {
                    if batch.documentStarts[row].contains(place) {
                        if !open[row].inputs.isEmpty { pieces.append(open[row]) }
                        open[row] = ([], [])
                    }
                    let index = row * batch.length + place
                    let isPadding =
                        windows.cutsAtDocuments && batch.targets[index] == Batch.ignoredTarget
                        && batch.tokens[index] == 0
                    if isPadding { continue }
                    open[row].inputs.append(batch.tokens[index])
                    open[row].targets.append(batch.targets[index])
                }
            }
        }
        return pieces
    }

    @Test(arguments: [false, true], [(1, 4), (3, 4), (3, 16), (5, 1)])
    func `rows read pieces from beginning to end and every token once per epoch`(
        cutsAtDocuments: Bool, shape: (Int, Int)
    ) throws {
        // Token 0 is left out, as padding is 0.
        let stream = try numberedStream([1, 20, 3, 1, 8, 30, 2, 9]).documents(1..<8)
        let all = try stream.allTokens
        var windows = try ContiguousWindows(
            stream: stream, rowCount: shape.0, length: shape.1, seed: 4, cutsAtDocuments: cutsAtDocuments)
        let pieces = try follow(&windows, batchCount: 400 / shape.0)
        var counts: [Int32: Int] = [:]
        for piece in pieces {
            #expect(Array(piece.inputs.dropFirst()) == Array(piece.targets.dropLast()))
            let first = try #require(piece.inputs.first { $0 != Self.begin })
            let place = try #require(all.firstIndex(of: first)) - (piece.inputs[0] == Self.begin ? 1 : 0)
            let end = place + piece.inputs.count
            #expect(Array(all[place..<end]) == piece.inputs)
            #expect(piece.targets.last == (end < all.count ? all[end] : Self.begin))
            for token in piece.inputs where token != Self.begin { counts[token, default: 0] += 1 }
        }
        // All rows together are never further apart than the pieces that are being read.
        #expect(counts.count == all.filter { $0 != Self.begin }.count)
        let most = counts.values.max() ?? 0
        let fewest = counts.values.min() ?? 0
        #expect(most - fewest <= 3)
        #expect(fewest >= 2)
        #expect(windows.epoch >= fewest)
    }

    @Test func `one row reads each epoch completely before the next`() throws {
        let stream = try numberedStream([5, 6, 7])
        let all = try stream.allTokens
        var windows = try ContiguousWindows(stream: stream, rowCount: 1, length: 7, seed: 1)
        for _ in 0..<4 {
            var inputs: [Int32] = []
            for _ in 0..<3 { inputs += try windows.next().tokens }
            #expect(inputs.sorted() == all.sorted())
        }
        #expect(windows.epoch == 4)
    }

    @Test func `one long document is shared between the rows`() throws {
        let stream = try numberedStream([1_001])
        var windows = try ContiguousWindows(stream: stream, rowCount: 4, length: 10, seed: 1)
        let batch = try windows.next()
        let firsts = (0..<4).map { batch.tokens[$0 * 10] }
        #expect(Set(firsts).count == 4)
        var inputs = batch.tokens
        for _ in 0..<24 { inputs += try windows.next().tokens }
        #expect(Set(inputs).count > 990)
    }

    @Test func `without a beginning token the end of a document has no target`() throws {
        let stream = try numberedStream([4, 3], beginToken: nil)
        var windows = try ContiguousWindows(stream: stream, rowCount: 1, length: 3, seed: 1)
        var pairs: [Int32: Int32] = [:]
        for _ in 0..<7 {
            let batch = try windows.next()
            for (token, target) in zip(batch.tokens, batch.targets) { pairs[token] = target }
        }
        #expect(pairs == [0: 1, 1: 2, 2: 3, 3: -100, 4: 5, 5: 6, 6: -100])
    }

    @Test(arguments: [false, true])
    func `a restored source gives the same batches`(cutsAtDocuments: Bool) throws {
        let stream = try numberedStream([50, 3, 9, 1, 1, 22, 17])
        func make() throws -> ContiguousWindows {
            try ContiguousWindows(
                stream: stream, rowCount: 3, length: 6, seed: 2, cutsAtDocuments: cutsAtDocuments)
        }
        var windows = try make()
        for _ in 0..<15 {
            let data = try JSONEncoder().encode(windows.state)
            var copy = try make()
            try copy.restore(JSONDecoder().decode(BatchSourceState.self, from: data))
            var original = windows
            for _ in 0..<12 { #expect(try copy.next() == original.next()) }
            #expect(copy.state == original.state)
            _ = try windows.next()
        }
    }

    @Test func `a state of other data or settings is refused`() throws {
        let stream = try numberedStream([50, 20])
        var windows = try ContiguousWindows(stream: stream, rowCount: 2, length: 8, seed: 9)
        _ = try windows.next()
        let state = windows.state
        func refuse(_ piece: String, _ change: (inout BatchSourceState) -> Void) {
            var changed = state
            change(&changed)
            expectTextError(piece) { try windows.restore(changed) }
            #expect(windows.state == state)
        }
        refuse("fingerprint") { $0.fingerprint ^= 1 }
        refuse("kind") { $0.kind = "contiguous+cut" }
        refuse("row positions") { $0.rows.removeLast() }
        refuse("outside the data") { $0.rows[0].piece = 100 }
        refuse("outside the data") { $0.rows[0].piece = -1 }
        refuse("outside the data") { $0.rows[1].offset = 1_000 }
        refuse("outside the data") { $0.rows[1].offset = -1 }
        refuse("piece 99") { $0.index = 99 }
        refuse("epoch -1") { $0.epoch = -1 }
        expectTextError("needs 73") {
            _ = try ContiguousWindows(stream: stream, rowCount: 2, length: 72, seed: 9)
        }
    }

    @Test func `damaged data leaves the place unchanged`() throws {
        let tokenizer = OffsetTokenizer(offset: 0, vocabularySize: 1 << 21)
        let wide = TokenCollector(vocabularySize: 1 << 30, path: "damaged", isBytewise: true)
        try wide.append(EncodedText(tokens: [1, 2, 3, 1 << 25, 5, 6]))
        let finished = try #require(wide.finish())
        let stream = try TokenStream(
            like: tokenizer, sources: [finished.source], parts: [TokenStream.Part(source: 0, start: 0)],
            counts: [6], paths: ["damaged"])
        var windows = try ContiguousWindows(stream: stream, rowCount: 1, length: 2, seed: 0)
        expectTextError("damaged", "index 3") { for _ in 0..<3 { _ = try windows.next() } }
        let stuck = windows.state
        expectTextError("index 3") { _ = try windows.next() }
        #expect(windows.state == stuck)
    }
}
