import RetNetText
import Testing

@Suite struct SpanCorruptionTests {
    private func corruption() throws -> SpanCorruption {
        try SpanCorruption(sentinels: (0..<100).map { Int32(32_099 - $0) }, endToken: 1)
    }

    @Test(arguments: [
        (32, 34, 5, 2, 8), (48, 52, 8, 3, 12), (64, 70, 10, 3, 14), (96, 106, 16, 5, 22),
        (128, 141, 21, 7, 29), (256, 284, 43, 14, 58), (512, 568, 85, 28, 114), (1024, 1137, 171, 57, 229),
    ])
    func `Lengths are those of the reference`(
        inputs: Int, length: Int, noise: Int, spans: Int, targets: Int
    ) throws {
        let corruption = try corruption()
        let found = try corruption.windowLength(inputLength: inputs)
        #expect(found.length == length)
        #expect(found.targetLength == targets)
        let counts = corruption.noise(length: length)
        #expect(counts.tokenCount == noise)
        #expect(counts.spanCount == spans)
    }

    @Test(arguments: [(190, 29), (350, 53), (390, 59), (670, 101), (710, 107), (10, 2), (30, 4)])
    func `Shares are rounded in float32, half to even`(length: Int, noise: Int) throws {
        // In float64, the first five are one less.
        #expect(try corruption().noise(length: length).tokenCount == noise)
    }

    @Test func `Inputs and targets are those of the worked example`() throws {
        let mask = [false, false, true, true, false, false, false, true]
        let found = try corruption().corrupt([10, 11, 12, 13, 14, 15, 16, 17], mask: mask)
        #expect(found.inputs == [10, 11, 32_099, 14, 15, 16, 32_098, 1])
        #expect(found.targets == [32_099, 12, 13, 32_098, 17, 1])
    }

    @Test(arguments: [2, 3, 5, 17, 141, 568, 701])
    func `Every draw has the right lengths and gives the text back`(length: Int) throws {
        let corruption = try corruption()
        let lengths = corruption.corruptedLengths(length: length)
        var generator = SeededGenerator(seed: UInt64(length))
        let tokens = (0..<length).map { Int32(100 + $0) }
        for _ in 0..<50 {
            let mask = corruption.noiseMask(length: length, using: &generator)
            #expect(mask.count == length)
            #expect(mask.first == false && mask.last == true)
            let (inputs, targets) = try corruption.corrupt(tokens, mask: mask)
            #expect(inputs.count == lengths.inputs && targets.count == lengths.targets)
            #expect(Self.restored(inputs, targets) == tokens)
            let sentinels = inputs.filter { $0 > 30_000 }
            #expect(sentinels == targets.filter { $0 > 30_000 })
            #expect(sentinels == (0..<sentinels.count).map { Int32(32_099 - $0) })
        }
    }

    /// The text: every sentinel of the inputs replaced by what follows it in the targets.
    private static func restored(_ inputs: [Int32], _ targets: [Int32]) -> [Int32] {
        var spans: [Int32: [Int32]] = [:]
        var current: Int32 = 0
        for token in targets.dropLast() {
            if token > 30_000 { current = token } else { spans[current, default: []].append(token) }
        }
        return inputs.dropLast().flatMap { $0 > 30_000 ? spans[$0] ?? [] : [$0] }
    }

    @Test func `All divisions into parts are equally likely`() throws {
        // 5 items in 3 parts: 6 divisions. Their counts come from masks of 10 tokens with 5 of noise.
        let corruption = try SpanCorruption(
            sentinels: Array(0..<9), endToken: 9, noiseDensity: 0.5, meanSpanLength: 1.6)
        #expect(corruption.noise(length: 10).tokenCount == 5)
        #expect(corruption.noise(length: 10).spanCount == 3)
        var generator = SeededGenerator(seed: 1)
        var counts: [[Bool]: Int] = [:]
        for _ in 0..<36_000 {
            counts[corruption.noiseMask(length: 10, using: &generator), default: 0] += 1
        }
        #expect(counts.count == 36)
        for count in counts.values { #expect(abs(count - 1000) < 160) }
    }

    @Test func `A rolled mask keeps its counts`() throws {
        let corruption = try corruption()
        var generator = SeededGenerator(seed: 4)
        var startsWithNoise = 0
        for _ in 0..<200 {
            let mask = corruption.noiseMask(length: 141, rolls: true, using: &generator)
            #expect(mask.filter { $0 }.count == 21)
            if mask[0] { startsWithNoise += 1 }
        }
        #expect(startsWithNoise > 5)
    }

    @Test func `Impossible settings are refused`() throws {
        expectTextError("invalid sentinels: the tokenizer has none") {
            _ = try SpanCorruption(sentinels: [], endToken: 1)
        }
        expectTextError("invalid noise density: 1.0 is out of range") {
            _ = try SpanCorruption(sentinels: [5], endToken: 1, noiseDensity: 1)
        }
        let few = try SpanCorruption(sentinels: [99], endToken: 1)
        expectTextError("invalid sentinels: a window of 4 tokens needs more than 1") {
            _ = try few.corrupt([1, 2, 3, 4], mask: [true, false, true, false])
        }
        expectTextError("invalid input length: 2 is out of range") {
            _ = try few.windowLength(inputLength: 2)
        }
    }

    @Test func `The sentinel tokenizer gives every text back and is loaded from its folder`() throws {
        let tokenizer = SentinelByteTokenizer()
        let text = "Ein Gruß, 日本 🙂"
        let tokens = tokenizer.encode(text)
        #expect(tokens.allSatisfy { $0 >= 3 && $0 < 259 })
        #expect(tokenizer.decode(tokens + [1, 0, 383]) == text)
        #expect(Set(tokenizer.sentinels).count == 125)
        #expect(tokenizer.sentinels.allSatisfy { tokenizer.bytes(of: $0).isEmpty && $0 >= 259 && $0 < 384 })
        try withTemporaryFolder { folder in
            try tokenizer.save(to: folder)
            #expect(try TokenizerLoader.load(folder: folder).identity == tokenizer.identity)
        }
    }
}
