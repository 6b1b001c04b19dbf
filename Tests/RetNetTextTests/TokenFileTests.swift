import Foundation
import RetNetStorage
import Testing

@testable import RetNetText

@Suite struct TokenFileTests {
    @Test(arguments: [(200, 1), (1_000, 2), (100_000, 4)])
    func `tokens survive being written and read at every width`(vocabularySize: Int, width: Int) throws {
        try withTemporaryFolder { folder in
            let offset = Int32(vocabularySize - 128)
            let tokenizer = OffsetTokenizer(offset: offset, vocabularySize: vocabularySize)
            try put("first", at: folder + "/a.txt")
            try put("second one", at: folder + "/b.txt")
            let path = folder + "/c.rtok"
            try Corpus(path: folder).writeTokenFile(tokenizer: tokenizer, to: path)
            let file = try TokenFile(path: path)
            try file.verify()
            try file.check(madeWith: tokenizer)
            #expect(file.bytesPerToken == width)
            #expect(file.tokenCount == 15)
            #expect(file.documentCount == 2)
            #expect(file.vocabularySize == vocabularySize)
            #expect(file.tokenizerIdentity == tokenizer.identity)
            let stream = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
            #expect(try stream.allTokens == "firstsecond one".utf8.map { Int32($0) + offset })
            #expect(stream.starts == [0, 5, 15])
        }
    }

    @Test func `a token file of another tokenizer is refused`() throws {
        try withTemporaryFolder { folder in
            let text = try put("text", at: folder + "/a.txt")
            let path = folder + "/a.rtok"
            try Corpus(path: text).writeTokenFile(tokenizer: OffsetTokenizer(), to: path)
            expectTextError(path, "offset-300", "byte-256-v1") {
                _ = try Corpus(path: path).tokenStream(tokenizer: ByteTokenizer())
            }
            expectTextError(path, "offset-300", "byte-256-v1") {
                try Corpus(path: path).writeTokenFile(tokenizer: ByteTokenizer(), to: folder + "/b.rtok")
            }
        }
    }

    @Test func `tokens outside the vocabulary are refused when written`() throws {
        try withTemporaryFolder { folder in
            let text = try put("text", at: folder + "/a.txt")
            let tokenizer = OffsetTokenizer(offset: 990)
            expectTextError("token 1106", "vocabulary of 1000") {
                try Corpus(path: text).writeTokenFile(tokenizer: tokenizer, to: folder + "/a.rtok")
            }
            expectTextError("token 1106") { _ = try Corpus(path: text).tokenStream(tokenizer: tokenizer) }
            let negative = OffsetTokenizer(offset: -1_000)
            expectTextError("token -884") { _ = try Corpus(path: text).tokenStream(tokenizer: negative) }
        }
    }

    private func isRefused(_ path: String) -> Bool {
        do {
            try TokenFile(path: path).verify()
            return false
        } catch {
            return error is StorageError
        }
    }

    private func damage(_ path: String, at index: Int) throws {
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        bytes[index] = 0xFF
        try put(Data(bytes), at: path)
    }

    @Test func `damage to the tokens is found when they are read or verified`() throws {
        try withTemporaryFolder { folder in
            let text = try put("text", at: folder + "/a.txt")
            let path = folder + "/a.rtok"
            let tokenizer = OffsetTokenizer()
            try Corpus(path: text).writeTokenFile(tokenizer: tokenizer, to: path)
            try damage(path, at: 16 + 5)
            #expect(isRefused(path))
            let stream = try Corpus(path: path).tokenStream(tokenizer: tokenizer)
            let start = try stream.tokens(in: 0..<2)
            #expect(start == [416, 401])
            expectTextError(path, "index 2", "vocabulary of 1000") { _ = try stream.tokens(in: 0..<4) }
        }
    }

    @Test func `no change of a byte or of the length is taken for a good file or stops the process`() throws {
        try withTemporaryFolder { folder in
            for name in ["a", "b", "c"] { try put("Document \(name)", at: folder + "/\(name).txt") }
            let path = folder + "/x.rtok"
            try Corpus(path: folder).writeTokenFile(tokenizer: OffsetTokenizer(), to: path)
            let good = try Data(contentsOf: URL(fileURLWithPath: path))
            var generator = SeededGenerator(seed: 31)
            var acceptedCount = 0
            for round in 0..<3_500 {
                var data = good
                switch round % 5 {
                case 0: data = data.prefix(generator.integer(below: data.count))
                case 1:
                    let index = generator.integer(below: data.count)
                    data.insert(UInt8(generator.integer(below: 256)), at: index)
                default:
                    for _ in 0...generator.integer(below: 3) {
                        let index = generator.integer(below: data.count)
                        data[index] ^= UInt8(1 << generator.integer(below: 8))
                    }
                }
                if data == good { continue }
                // Most damage shows before the tokens are looked at; files are slow.
                let isReadable = (try? data.withUnsafeBytes { try TokenFileLayout($0, path: path) }) != nil
                guard isReadable || round % 50 == 0 else { continue }
                try put(data, at: path)
                if isAccepted(path) { acceptedCount += 1 }
            }
            // Only the zeros between tokens and table may change unnoticed.
            #expect(acceptedCount < 60)
        }
    }

    @Test func `counts that contradict the size are refused even with a right checksum`() throws {
        try withTemporaryFolder { folder in
            let text = try put("text", at: folder + "/a.txt")
            let path = folder + "/a.rtok"
            try Corpus(path: text).writeTokenFile(tokenizer: OffsetTokenizer(), to: path)
            let good = try Data(contentsOf: URL(fileURLWithPath: path))
            let trailer = good.count - 64
            var generator = SeededGenerator(seed: 32)
            let values: [UInt64] = [0, 1, 2, 5, .max, .max - 7, 1 << 63, 1 << 61, 1 << 60, 1 << 32]
            for _ in 0..<1_000 {
                var data = good
                for offset in [0, 8, 16] where generator.chance(0.5) {
                    let value = values[generator.integer(below: values.count)]
                    withUnsafeBytes(of: value.littleEndian) {
                        data.replaceSubrange((trailer + offset)..<(trailer + offset + 8), with: $0)
                    }
                }
                if generator.chance(0.3) { data[trailer + 24 + generator.integer(below: 4)] = 0xFF }
                if generator.chance(0.3) {
                    data[8 + generator.integer(below: 4)] = UInt8(generator.integer(below: 5))
                }
                let checksum = Checksum.crc32(
                    data[trailer..<(trailer + 56)], continuing: Checksum.crc32(data[..<16]))
                withUnsafeBytes(of: checksum.littleEndian) {
                    data.replaceSubrange((trailer + 56)..<(trailer + 60), with: $0)
                }
                let isReadable = (try? data.withUnsafeBytes { try TokenFileLayout($0, path: path) }) != nil
                guard isReadable else { continue }
                try put(data, at: path)
                _ = isAccepted(path)
            }
        }
    }

    /// Whether a file opens and verifies; reads all its tokens in any case.
    private func isAccepted(_ path: String) -> Bool {
        _ = try? Corpus(path: path).tokenStream(tokenizer: OffsetTokenizer()).allTokens
        do {
            try TokenFile(path: path).verify()
            return true
        } catch {
            #expect(error is TextError || error is StorageError)
            return false
        }
    }
}
