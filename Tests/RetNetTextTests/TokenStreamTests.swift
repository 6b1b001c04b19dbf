import Testing

@testable import RetNetText

@Suite struct TokenStreamTests {
    @Test func `documents follow each other with a beginning before each`() throws {
        let stream = try TokenStream(texts: ["ab", "", "c", "def"], tokenizer: ByteTokenizer())
        #expect(stream.documentCount == 3)
        #expect(try stream.allTokens == [255, 97, 98, 255, 99, 255, 100, 101, 102])
        #expect(try stream.range(ofDocument: 1) == 3..<5)
        #expect(try stream.documentStarts(in: 0..<9) == [0, 3, 5])
        #expect(try stream.documentStarts(in: 1..<5) == [3])
        #expect(try stream.documentStarts(in: 6..<9) == [])
        #expect(try stream.documentStarts(in: 4..<4) == [])
    }

    @Test(arguments: [nil, 1_000_000] as [Int32?])
    func `any range is a part of the whole`(beginToken: Int32?) throws {
        let stream = try numberedStream([3, 1, 1, 7, 2, 1], beginToken: beginToken)
        let all = try stream.allTokens
        #expect(all.count == stream.tokenCount)
        #expect(all.filter { $0 != 1_000_000 } == Array(0..<15))
        for start in 0...all.count {
            for end in start...all.count {
                #expect(try stream.tokens(in: start..<end) == Array(all[start..<end]))
            }
        }
    }

    @Test func `ranges outside and buffers that are too small are refused`() throws {
        let stream = try numberedStream([4])
        expectTextError("0..<6", "0..<5") { _ = try stream.tokens(in: 0..<6) }
        expectTextError("-1..<2") { _ = try stream.tokens(in: -1..<2) }
        expectTextError("1..<2") { _ = try stream.range(ofDocument: 1) }
        expectTextError("capacity of 2 tokens") {
            try withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2) {
                try stream.copy(0..<3, into: $0)
            }
        }
        expectTextError("no text") { _ = try TokenStream(texts: ["", ""], tokenizer: ByteTokenizer()) }
    }

    @Test func `the fingerprint depends on tokens and documents`() throws {
        let texts = [["abc", "d"], ["abcd"], ["abc", "e"], ["abcd", ""], ["ab", "cd"]]
        let prints = try texts.map { try TokenStream(texts: $0, tokenizer: ByteTokenizer()).fingerprint }
        #expect(prints[1] == prints[3])
        #expect(Set(prints).count == 4)
    }

    @Test func `many documents are split by document`() throws {
        let stream = try numberedStream((0..<40).map { 5 + $0 % 7 })
        let (train, validation) = try stream.trainValidationSplit(validationFraction: 0.2, seed: 3)
        #expect(train.documentCount + validation.documentCount == 40)
        #expect(train.tokenCount + validation.tokenCount == stream.tokenCount)
        #expect((60...85).contains(validation.tokenCount))
        #expect(try Set(train.allTokens + validation.allTokens) == Set(stream.allTokens))
        #expect(try train.allTokens.filter { $0 < 1_000_000 }.isSorted)
        let again = try stream.trainValidationSplit(validationFraction: 0.2, seed: 3)
        #expect(again.validation.fingerprint == validation.fingerprint)
        let other = try stream.trainValidationSplit(validationFraction: 0.2, seed: 4)
        #expect(other.validation.fingerprint != validation.fingerprint)
        #expect(try stream.trainValidationSplit(validationFraction: 0.999).train.documentCount == 1)
    }

    @Test(arguments: [[100], [20, 30, 50], [1, 1, 1], [2]])
    func `few documents are split at the end`(counts: [Int]) throws {
        for fraction in [0.01, 0.1, 0.3, 0.5, 0.9, 0.99] {
            let stream = try numberedStream(counts)
            let (train, validation) = try stream.trainValidationSplit(validationFraction: fraction)
            let parts = try train.allTokens + validation.allTokens
            #expect(parts.filter { $0 < 1_000_000 } == Array(0..<Int32(counts.reduce(0, +))))
            #expect(try validation.tokens(in: 0..<1) == [1_000_000])
        }
    }

    @Test func `impossible splits are refused`() throws {
        let stream = try numberedStream([1])
        expectTextError("1.5") { _ = try stream.trainValidationSplit(validationFraction: 1.5) }
        expectTextError("nan") { _ = try stream.trainValidationSplit(validationFraction: .nan) }
        expectTextError("tokens") { _ = try stream.trainValidationSplit(validationFraction: 0.5) }
        expectTextError("0..<2") { _ = try stream.documents(0..<2) }
        #expect(try numberedStream([1, 2, 3]).documents(1..<3).tokenCount == 7)
    }
}

extension [Int32] {
    fileprivate var isSorted: Bool { zip(self, dropFirst()).allSatisfy { $0 <= $1 } }
}
