import Foundation
import RetNetExperiments
import RetNetTestSupport
import RetNetText
import Testing

/// The documented properties of the examples of synthetic tasks.
@Suite struct RecallTaskTests {
    private func examples(_ task: any SyntheticTask, _ split: TaskSplit? = nil, count: Int = 200)
        -> [TaskExample]
    {
        var generator = SeededGenerator(seed: 7)
        let split = split ?? task.training
        return (0..<count).map { _ in
            task.example(split, length: generator.integer(in: split.lengths), &generator)
        }
    }

    private static func all() throws -> [any SyntheticTask] {
        [
            try MultiQueryRecall(vocabularySize: 40, length: 32, pairCount: 4),
            try MultiQueryRecall(vocabularySize: 64, length: 40, pairCount: 10, randomFillers: true),
            try InductionHead(vocabularySize: 16, length: 32),
            try RunningParity(lengths: 16...16, evaluationLength: 64),
            try RunningParity(lengths: 3...40, evaluationLength: 128),
            try AssociativeRecall(),
        ]
    }

    @Test func `Every split of every task gives examples of its length within the vocabulary`() throws {
        for task in try Self.all() {
            for split in [task.training] + task.evaluations {
                for example in examples(task, split, count: 50) {
                    #expect(split.lengths.contains(example.tokens.count))
                    #expect(example.targets.count == example.tokens.count)
                    #expect(example.tokens.allSatisfy { (0..<task.vocabularySize).contains(Int($0)) })
                    let asked = example.targets.filter { $0 != Batch.ignoredTarget }
                    #expect(!asked.isEmpty)
                    #expect(asked.allSatisfy { (0..<task.vocabularySize).contains(Int($0)) })
                    #expect(
                        example.targets.prefix(split.firstScored).allSatisfy { $0 == Batch.ignoredTarget })
                }
            }
        }
    }

    @Test func `Batches depend on seed and index only`() throws {
        for task in try Self.all() {
            func batch(_ seed: UInt64, _ index: Int) -> Batch {
                task.batch(task.training, rowCount: 5, seed: seed, index: index)
            }
            #expect(batch(1, 3) == batch(1, 3))
            #expect(batch(1, 3) != batch(1, 4))
            #expect(batch(1, 3) != batch(2, 3))
            let one = batch(1, 0)
            #expect(one.tokens.count == one.rowCount * one.length)
        }
    }

    @Test func `A source resumes exactly from a saved position and refuses that of another task`() throws {
        let task = try InductionHead(vocabularySize: 16, length: 32)
        var source = SyntheticBatches(task, rowCount: 4, seed: 3)
        for _ in 0..<3 { _ = try source.next() }
        let place = source.state
        let expected = [try source.next(), try source.next()]
        var other = SyntheticBatches(task, rowCount: 4, seed: 3)
        try other.restore(place)
        #expect([try other.next(), try other.next()] == expected)
        var stranger = SyntheticBatches(
            try InductionHead(vocabularySize: 17, length: 32), rowCount: 4, seed: 3)
        #expect(
            errorText(TextError.self) { try stranger.restore(place) }.contains(
                "cannot resume at the saved position in the data"))
    }

    // MARK: MQAR

    @Test func `MQAR queries every key once, and the answer is the value after it`() throws {
        for fillers in [false, true] {
            let task = try MultiQueryRecall(
                vocabularySize: 64, length: 40, pairCount: 10, randomFillers: fillers)
            for example in examples(task) {
                let keys = (0..<10).map { example.tokens[2 * $0] }
                let values = (0..<10).map { example.tokens[2 * $0 + 1] }
                #expect(Set(keys).count == 10 && keys.allSatisfy { (1...31).contains($0) })
                #expect(Set(values).count == 10 && values.allSatisfy { (32...63).contains($0) })
                let asked = example.targets.indices.filter { example.targets[$0] != Batch.ignoredTarget }
                #expect(asked.count == 10 && asked.allSatisfy { $0 >= 20 && $0 % 2 == 0 })
                #expect(Set(asked.map { example.tokens[$0] }) == Set(keys))
                for place in asked {
                    let pair = try #require(keys.firstIndex(of: example.tokens[place]))
                    #expect(example.targets[place] == values[pair])
                }
                if !fillers {
                    let rest = example.tokens.indices.filter { $0 >= 20 && !asked.contains($0) }
                    #expect(rest.allSatisfy { example.tokens[$0] == 0 })
                }
            }
        }
    }

    @Test func `The weight of a key's slot is a power of its number`() throws {
        // The first key's slot is the first draw, so its probabilities are the weights themselves.
        for exponent in [0.01, 1.0] {
            let task = try MultiQueryRecall(
                vocabularySize: 40, length: 24, pairCount: 2, exponent: exponent)
            let count = 20_000
            var found = [Double](repeating: 0, count: 10)
            for example in examples(task, count: count) {
                let place = try #require(
                    example.tokens[4...].firstIndex(of: example.tokens[0]).map { ($0 - 4) / 2 })
                found[place] += 1 / Double(count)
            }
            let weights = (0..<10).map { pow(Double($0 + 1), exponent - 1) }
            let sum = weights.reduce(0, +)
            for (share, weight) in zip(found, weights) {
                let expected = weight / sum
                // Five standard deviations.
                #expect(abs(share - expected) < 5 * (expected * (1 - expected) / Double(count)).squareRoot())
            }
        }
    }

    @Test func `MQAR refuses unusable sizes`() {
        #expect(
            errorText(ExperimentError.self) {
                try MultiQueryRecall(vocabularySize: 40, length: 31, pairCount: 4)
            }.contains("4 pairs in 31 tokens"))
        #expect(
            errorText(ExperimentError.self) {
                try MultiQueryRecall(vocabularySize: 40, length: 32, pairCount: 9)
            }.contains("9 pairs in 32 tokens"))
        #expect(
            errorText(ExperimentError.self) {
                try MultiQueryRecall(vocabularySize: 32, length: 32, pairCount: 4)
            }.contains("with a vocabulary of 32"))
        #expect(
            errorText(ExperimentError.self) {
                try MultiQueryRecall(vocabularySize: 40, length: 32, pairCount: 0)
            }.contains("0 pairs in 32 tokens"))
    }

    // MARK: Others

    @Test func `An induction head's answer follows the first special token, at any position`() throws {
        let task = try InductionHead(vocabularySize: 16, length: 12)
        var places: Set<Int> = []
        for split in task.evaluations {
            for example in examples(task, split, count: 400) {
                let last = example.tokens.count - 1
                let special = example.tokens.indices.filter { example.tokens[$0] == task.specialToken }
                #expect(special.count == 2 && special[1] == last && special[0] < last - 2)
                #expect(example.targets[last] == example.tokens[special[0] + 1])
                #expect(example.targets.dropLast().allSatisfy { $0 == Batch.ignoredTarget })
                if split == task.training { places.insert(special[0]) }
            }
        }
        #expect(places == Set(0..<9))
        #expect(task.evaluations.map(\.lengths.upperBound) == [12, 24, 48])
        #expect(task.chance == 1.0 / 15)
    }

    @Test func `Parity counts ones, and only positions beyond training are scored`() throws {
        let task = try RunningParity(lengths: 3...16, evaluationLength: 64)
        for split in [task.training] + task.evaluations {
            for example in examples(task, split) {
                var ones = 0
                for (position, bit) in example.tokens.enumerated() {
                    ones += Int(bit)
                    let expected = position < split.firstScored ? Batch.ignoredTarget : Int32(ones % 2)
                    #expect(example.targets[position] == expected)
                }
            }
        }
        #expect(task.evaluations[0].firstScored == 16 && task.evaluations[0].lengths == 64...64)
        let lengths = Set((0..<200).map { task.batch(task.training, rowCount: 1, seed: 1, index: $0).length })
        #expect(lengths == Set(3...16))
        #expect(
            errorText(ExperimentError.self) { try RunningParity(lengths: 3...40, evaluationLength: 40) }
                .contains("the evaluation length 40 must exceed 40"))
    }

    @Test func `Associative recall has one map per example and queries a key that occurred`() throws {
        let task = try AssociativeRecall(vocabularySize: 12, pairLength: 20)
        for example in examples(task) {
            var map: [Int32: Int32] = [:]
            for pair in 0..<10 {
                let (key, value) = (example.tokens[2 * pair], example.tokens[2 * pair + 1])
                #expect((0..<5).contains(key) && (5..<10).contains(value))
                #expect(map[key] == nil || map[key] == value)
                map[key] = value
            }
            #expect(example.tokens.count == 22 && example.tokens[20] == task.separator)
            #expect(example.targets[21] == map[example.tokens[21]])
            #expect(Array(example.targets.dropLast()) == Array(example.tokens.dropFirst()))
        }
        for example in examples(task, task.evaluations[0]) {
            #expect(example.targets.dropLast().allSatisfy { $0 == Batch.ignoredTarget })
        }
        #expect(
            errorText(ExperimentError.self) { try AssociativeRecall(vocabularySize: 7) }.contains(
                "an even vocabulary size of at least 6"))
    }
}
