import Foundation
import RetNetText
import Testing

@Suite struct TextToTextTests {
    static func stream(_ count: Int) throws -> TokenStream {
        try TokenStream(
            texts: [String(decoding: (0..<count).map { UInt8(97 + $0 % 26) }, as: UTF8.self)],
            tokenizer: SentinelByteTokenizer())
    }

    static func corruption() throws -> TextToTextObjective {
        .spanCorruption(try SpanCorruption(sentinels: SentinelByteTokenizer().sentinels, endToken: 1))
    }

    /// What a span-corrupted example was made of.
    private func original(_ source: [Int32], _ target: [Int32]) -> [Int32] {
        let sentinels = Set(SentinelByteTokenizer().sentinels)
        var spans: [Int32: [Int32]] = [:]
        var current: Int32?
        for token in target.dropLast() {
            if sentinels.contains(token) {
                current = token
            } else {
                spans[current ?? 0, default: []].append(token)
            }
        }
        return source.dropLast().flatMap { sentinels.contains($0) ? spans[$0] ?? [] : [$0] }
    }

    @Test func `Full windows become examples of T5's lengths, whose parts make up the text`() throws {
        let stream = try Self.stream(1000)
        var source = try TextToTextWindows(
            stream: stream, objective: Self.corruption(), rowCount: 4, inputLength: 64, seed: 3)
        #expect(source.windowLength == 70)
        #expect(source.targetLength == 14)
        var seen = 0
        while source.epoch == 0 {
            let batch = try source.next()
            for (input, target) in zip(batch.sources, batch.targets) {
                let piece = original(input, target)
                #expect(input.last == 1 && target.last == 1)
                #expect(piece.count == 70 ? input.count == 64 && target.count == 14 : input.count <= 64)
                // Consecutive letters of the alphabet, as in the text.
                let steps = zip(piece, piece.dropFirst()).map { ($1 - $0 + 26) % 26 }
                #expect(steps.allSatisfy { $0 == 1 })
                seen += piece.count
            }
        }
        #expect(seen >= 990)
    }

    @Test func `A prefix and its continuation make up the window, and a language model's source is empty`()
        throws
    {
        let stream = try Self.stream(500)
        var prefix = try TextToTextWindows(
            stream: stream, objective: .prefixLanguageModel(endToken: 1), rowCount: 8, inputLength: 20,
            seed: 1)
        let batch = try prefix.next()
        for (source, target) in zip(batch.sources, batch.targets) {
            #expect(source.count > 1 && target.count > 1 && source.last == 1 && target.last == 1)
            #expect(source.count + target.count <= 21)
            #expect((target[0] - source[source.count - 2] + 26) % 26 == 1)
        }
        var plain = try TextToTextWindows(
            stream: stream, objective: .languageModel(endToken: 1), rowCount: 3, inputLength: 20, seed: 1)
        #expect(try plain.next().sources.allSatisfy { $0 == [1] })
    }

    @Test func `A saved position continues exactly, over the end of an epoch too`() throws {
        let stream = try Self.stream(300)
        var source = try TextToTextWindows(
            stream: stream, objective: Self.corruption(), rowCount: 2, inputLength: 32, seed: 8)
        for _ in 0..<3 { _ = try source.next() }
        let data = try JSONEncoder().encode(source.state)
        let expected = try (0..<6).map { _ in try source.next() }
        #expect(source.epoch > 0)
        var copy = try TextToTextWindows(
            stream: stream, objective: Self.corruption(), rowCount: 2, inputLength: 32, seed: 8)
        try copy.restore(JSONDecoder().decode(BatchSourceState.self, from: data))
        #expect(try (0..<6).map { _ in try copy.next() } == expected)
        var other = try TextToTextWindows(
            stream: stream, objective: .languageModel(endToken: 1), rowCount: 2, inputLength: 35, seed: 8)
        expectTextError("cannot resume at the saved position in the data", "its kind of batches is") {
            try other.restore(source.state)
        }
    }

    @Test func `Every short text and phase gives examples`() throws {
        for count in 3...12 {
            for seed in 0..<6 as Range<UInt64> {
                var source = try TextToTextWindows(
                    stream: Self.stream(count), objective: .prefixLanguageModel(endToken: 1), rowCount: 1,
                    inputLength: 3, seed: seed)
                for _ in 0..<12 { #expect(try source.next().targetCount >= 2) }
            }
        }
        expectTextError("the text has 2 tokens, but one window needs") {
            _ = try TextToTextWindows(
                stream: Self.stream(2), objective: .prefixLanguageModel(endToken: 1), rowCount: 1,
                inputLength: 3, seed: 0)
        }
        expectTextError("invalid input length", "sentinels, but the tokenizer has") {
            _ = try TextToTextWindows(
                stream: Self.stream(20_000), objective: Self.corruption(), rowCount: 1, inputLength: 8192,
                seed: 0)
        }
    }

    // MARK: Mixtures

    static func tasks() -> [TextToTextMixture.Task] {
        [(0, 40), (1, 10)].map { kind, count in
            TextToTextMixture.Task(
                name: "task \(kind)",
                examples: (0..<count).map { index in
                    EncodedExample(
                        source: [Int32](repeating: Int32(10 + kind), count: 2 + index % 5) + [1],
                        target: [Int32(100 + index), 1])
                })
        }
    }

    static func mixture(packed: Bool) throws -> TextToTextMixture {
        try TextToTextMixture(
            tasks: tasks(), shares: TextToTextMixture.shares(sizes: [40, 10]), rowCount: 3, inputLength: 16,
            targetLength: 6, isPacked: packed, seed: 4)
    }

    @Test func `Shares follow sizes, the limit and the temperature`() {
        #expect(TextToTextMixture.shares(sizes: [40, 10]) == [0.8, 0.2])
        #expect(TextToTextMixture.shares(sizes: [40, 10], limit: 10) == [0.5, 0.5])
        let shares = TextToTextMixture.shares(sizes: [40, 10], temperature: 2)
        #expect(abs(shares[0] - 2.0 / 3) < 1e-12)
    }

    @Test(arguments: [true, false]) func `Examples of a task come once before any comes again`(packed: Bool)
        throws
    {
        var source = try Self.mixture(packed: packed)
        var counts: [[Int32]: Int] = [:]
        var drawn = [0, 0]
        for _ in 0..<60 {
            let batch = try source.next()
            for row in 0..<batch.rowCount {
                #expect(batch.sources[row].count <= 16 && batch.targets[row].count <= 6)
                #expect(batch.sources[row].count == batch.sourceSegments[row].count)
                let last = batch.targetSegments[row].last ?? 0
                #expect(packed || last == 1)
                #expect(batch.sourceSegments[row].last == last)
                for segment in 1...last {
                    let indices = batch.targets[row].indices.filter {
                        batch.targetSegments[row][$0] == segment
                    }
                    let first = batch.sourceSegments[row].firstIndex(of: segment) ?? 0
                    let kind = batch.sources[row][first]
                    counts[[kind] + indices.map { batch.targets[row][$0] }, default: 0] += 1
                    drawn[Int(kind) - 10] += 1
                }
            }
        }
        for (kind, count) in [(Int32(10), 40), (11, 10)] {
            let own = counts.filter { $0.key[0] == kind }.values
            #expect(own.count == count)
            #expect((own.max() ?? 0) - (own.min() ?? 0) <= 1)
        }
        let share = Double(drawn[0]) / Double(drawn[0] + drawn[1])
        #expect(abs(share - 0.8) < 0.1)
        #expect(!packed || drawn[0] + drawn[1] > 250)
    }

    @Test(arguments: [true, false]) func `A mixture continues from a saved position`(packed: Bool) throws {
        var source = try Self.mixture(packed: packed)
        for _ in 0..<25 { _ = try source.next() }
        let state = try JSONDecoder().decode(
            BatchSourceState.self, from: JSONEncoder().encode(source.state))
        let expected = try (0..<30).map { _ in try source.next() }
        var copy = try Self.mixture(packed: packed)
        try copy.restore(state)
        #expect(try (0..<30).map { _ in try copy.next() } == expected)
        var other = try Self.mixture(packed: !packed)
        expectTextError("its kind of batches is") { try other.restore(state) }
        var broken = state
        broken.rows[1].offset = 10
        expectTextError("its position in the examples is out of range") { try copy.restore(broken) }
    }

    @Test func `Sources begin at multiples of the alignment`() throws {
        var source = try TextToTextMixture(
            tasks: Self.tasks(), shares: [0.5, 0.5], rowCount: 4, inputLength: 16, targetLength: 8,
            isPacked: true, alignment: 4, seed: 1)
        let batch = try source.next()
        for (tokens, segments) in zip(batch.sources, batch.sourceSegments) {
            #expect(tokens.count <= 16)
            for segment in 1...(segments.last ?? 1) {
                let first = try #require(segments.firstIndex(of: segment))
                #expect(first % 4 == 0)
            }
            #expect(zip(tokens, segments).allSatisfy { ($0 == 0) == ($1 == 0) })
        }
        #expect(batch.sourceCount < batch.sources.reduce(0) { $0 + $1.count })
    }

    @Test func `Examples that do not fit into a row are refused`() throws {
        let long = TextToTextMixture.Task(
            name: "long", examples: [EncodedExample(source: [5, 6, 7, 1], target: [1])])
        expectTextError("examples of long", "number 0 has 4 source and 1 target tokens") {
            _ = try TextToTextMixture(
                tasks: [long], shares: [1], rowCount: 1, inputLength: 3, targetLength: 2, isPacked: true,
                seed: 0)
        }
        let cut = EncodedExample(
            source: [5, 6, 7], target: [8, 9], endToken: 1, sourceLength: 3, targetLength: 2)
        #expect(cut == EncodedExample(source: [5, 6, 1], target: [8, 1]))
    }
}
