import Foundation
import RetNetArchitecture
import RetNetRuntime
import Testing

/// Rows of a batch are computed as if each were alone.
@Suite struct BatchTests {
    private static func bits(_ logits: Logits?, row: Int) -> [UInt32] {
        logits.map { $0[row].map(\.bitPattern) } ?? []
    }

    static let variants =
        [
            ParityTests.retentions[0], ParityTests.retentions[4], ParityTests.blocks[14],
            ParityTests.blocks[16],
            ParityTests.blocks[19], ParityTests.blocks[24], ParityTests.blocks[25],
        ] + ParityTests.mixers

    @Test(arguments: variants)
    func `prompts of different lengths and steps give each row the bits that it has alone`(
        _ variant: ParityTests.Variant
    ) throws {
        let pair = try EnginePair(variant.configuration)
        let prompts = [1, 33, 7, 18, 2].enumerated().map { EnginePair.tokens($1, seed: $0) }
        var alone: [[[UInt32]]] = []
        for (row, prompt) in prompts.enumerated() {
            var state = [pair.runtime.initialState()]
            var found = [Self.bits(try pair.runner.read([prompt], &state), row: 0)]
            for token in EnginePair.tokens(4, seed: 9 + row) {
                found.append(Self.bits(try pair.runner.step([token], &state), row: 0))
            }
            alone.append(found)
        }
        let narrow = try ModelRunner(pair.runtime, threads: 1)
        for runner in [pair.runner, narrow] {
            var states = prompts.map { _ in pair.runtime.initialState() }
            let read = try runner.read(prompts, &states)
            for row in prompts.indices { #expect(Self.bits(read, row: row) == alone[row][0]) }
            for step in 0..<4 {
                let next = prompts.indices.map { EnginePair.tokens(4, seed: 9 + $0)[step] }
                let logits = try runner.step(next, &states)
                for row in prompts.indices {
                    #expect(Self.bits(logits, row: row) == alone[row][step + 1])
                }
            }
        }
    }

    /// The sums of RWKV, which are relative to the largest exponent of a call, are equal to rounding only.
    @Test(arguments: variants.filter { !$0.name.hasPrefix("rwkv") })
    func `a sequence has the same bits however it is cut`(_ variant: ParityTests.Variant) throws {
        let pair = try EnginePair(variant.configuration)
        let tokens = EnginePair.tokens(61)
        let whole = try pair.found(tokens, pieces: [61])
        #expect(try pair.found(tokens, pieces: [1, 16, 2, 29, 13]) == whole)
        #expect(try pair.steps(tokens) == whole)
    }

    @Test func `long prompts in a batch are cut as they are alone`() throws {
        let pair = try EnginePair(ParityTests.retention())
        let prompts = [700, 3, 513].enumerated().map { EnginePair.tokens($1, seed: $0) }
        var states = prompts.map { _ in pair.runtime.initialState() }
        let together = try pair.runner.read(prompts, &states)
        let found = prompts.indices.map { Self.bits(together, row: $0) }
        for (row, prompt) in prompts.enumerated() {
            var state = [pair.runtime.initialState()]
            let alone = try pair.runner.read([prompt], &state)
            #expect(Self.bits(alone, row: 0) == found[row])
            #expect(state[0].tokenCount == prompt.count)
        }
    }

    @Test func `scores are those of the logits, in any order and however many`() throws {
        let pair = try EnginePair(ParityTests.retention())
        let sequences = [300, 5, 1].enumerated().map { EnginePair.tokens($1, seed: $0) }
        // Behind some tokens, one several times and out of order; none of the second sequence.
        let targets: [[TokenTarget]] = [
            [299, 0, 255, 256, 7, 7].enumerated().map { TokenTarget(position: $1, token: Int32($0 * 3)) }, [],
            [TokenTarget(position: 0, token: 18)],
        ]
        var states = sequences.map { _ in pair.runtime.initialState() }
        let scores = try pair.runner.score(targets, reading: sequences, &states)
        #expect(states.map(\.tokenCount) == [300, 5, 1] && scores.map(\.count) == [6, 0, 1])
        for (index, sequence) in sequences.enumerated() {
            var alone = [pair.runtime.initialState()]
            let logits = try #require(try pair.runner.read([sequence], &alone, logits: .all))
            for (target, score) in zip(targets[index], scores[index]) {
                let row = logits[target.position].map { Double($0) }
                let expected = row[Int(target.token)] - log(row.reduce(0) { $0 + exp($1) })
                #expect(abs(score.logProbability - expected) < 1e-5)
                #expect(score.isLargest == (row.firstIndex(of: row.max() ?? 0) == Int(target.token)))
            }
            var kept = [states[index]]
            let next = Self.bits(try pair.runner.step([3], &kept), row: 0)
            #expect(Self.bits(try pair.runner.step([3], &alone), row: 0) == next)
        }
        #expect(throws: RuntimeError.self) {
            _ = try pair.runner.score([[TokenTarget(position: 1, token: 0)]], reading: [[1]], &states)
        }
        var one = [pair.runtime.initialState()]
        for target in [TokenTarget(position: 1, token: 0), TokenTarget(position: 0, token: 99)] {
            #expect(throws: RuntimeError.self) {
                _ = try pair.runner.score([[target]], reading: [[1]], &one)
            }
        }
    }

    @Test func `a copy of a state continues on its own`() throws {
        let pair = try EnginePair(ParityTests.blocks[14].configuration)
        var states = [pair.runtime.initialState()]
        try pair.runner.read([EnginePair.tokens(9)], &states)
        var copy = states
        let first = Self.bits(try pair.runner.step([3], &states), row: 0)
        #expect(Self.bits(try pair.runner.step([3], &copy), row: 0) == first)
        #expect(Self.bits(try pair.runner.step([3], &states), row: 0) != first)
        #expect(states[0].tokenCount == 11 && copy[0].tokenCount == 10)
    }

    @Test func `tokens and states that do not fit are refused`() throws {
        let pair = try EnginePair(ParityTests.retention())
        let other = try EnginePair(ParityTests.retention { $0.keySize = 4 })
        var states = [pair.runtime.initialState()]
        #expect(throws: RuntimeError.unknownToken(19, vocabularySize: 19)) {
            try pair.runner.step([19], &states)
        }
        #expect(throws: RuntimeError.unknownToken(-1, vocabularySize: 19)) {
            try pair.runner.read([[0, -1]], &states)
        }
        #expect(throws: RuntimeError.emptySequence) { try pair.runner.read([[]], &states) }
        #expect(throws: RuntimeError.self) { try pair.runner.step([1, 2], &states) }
        #expect(throws: RuntimeError.self) { try other.runner.step([1], &states) }
        #expect(states[0].tokenCount == 0)
    }
}
