import Foundation
import Testing

@testable import RetNetText

@Suite struct SeededGeneratorTests {
    @Test func `SplitMix64 and xoshiro256** give the published numbers`() throws {
        var state: UInt64 = 1_234_567
        #expect(SeededGenerator.splitMix(&state) == 6_457_827_717_110_365_317)
        #expect(SeededGenerator.splitMix(&state) == 3_203_168_211_198_807_973)
        var generator = try JSONDecoder().decode(SeededGenerator.self, from: Data("[1,2,3,4]".utf8))
        #expect(
            (0..<4).map { _ in generator.next() } == [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240])
    }

    @Test func `a restored generator continues the sequence`() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<10 { _ = generator.next() }
        var copy = try JSONDecoder().decode(
            SeededGenerator.self, from: JSONEncoder().encode(generator))
        #expect((0..<20).allSatisfy { _ in copy.next() == generator.next() })
    }

    @Test(arguments: ["[0,0,0,0]", "[1,2,3]", "[]", "{}"])
    func `an impossible state is refused`(text: String) {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(SeededGenerator.self, from: Data(text.utf8))
        }
    }

    @Test func `bounded numbers stay in bounds and reach all values evenly`() {
        var generator = SeededGenerator(seed: 3)
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<7_000 { counts[generator.integer(below: 7)] += 1 }
        #expect(counts.allSatisfy { (850...1_150).contains($0) })
        #expect(generator.integer(below: 0) == 0)
        #expect(generator.integer(below: -3) == 0)
        #expect((5...6).contains(generator.integer(in: 5...6)))
        #expect(generator.integer(in: Int.min...Int.max) == Int.min)
        #expect((0..<100).allSatisfy { _ in (0..<1).contains(generator.unitDouble()) })
    }

    @Test func `streams of one seed differ`() {
        var first = SeededGenerator(seed: 1, stream: 1)
        var second = SeededGenerator(seed: 1, stream: 2)
        #expect(first.next() != second.next())
    }

    @Test(arguments: [1, 2, 3, 4, 5, 16, 17, 64, 1_000, 4_097])
    func `a computed order holds every index once`(count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let permutation = IndexPermutation(count: count, generator: &generator)
        #expect(Set((0..<count).map { permutation($0) }) == Set(0..<count))
        if count >= 64 { #expect((0..<count).map { permutation($0) } != Array(0..<count)) }
    }
}
