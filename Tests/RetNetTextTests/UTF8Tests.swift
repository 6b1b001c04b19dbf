import Testing

@testable import RetNetText

@Suite struct UTF8Tests {
    private static let interesting: [UInt8] = [
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF,
        0xF0, 0xF1, 0xF4, 0xF5, 0xFF,
    ]

    private func randomBytes(_ generator: inout SeededGenerator, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            if generator.chance(0.5) {
                let scalar = Unicode.Scalar(UInt32(generator.integer(below: 0x11_0000))) ?? "x"
                bytes.append(contentsOf: String(Character(scalar)).utf8)
            } else {
                bytes.append(Self.interesting[generator.integer(below: Self.interesting.count)])
            }
        }
        return bytes
    }

    private func firstInvalid(_ bytes: [UInt8], pieceByteCount: Int) -> Int? {
        var validator = UTF8Validator()
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            let piece = Array(bytes[start..<min(start + pieceByteCount, bytes.count)])
            if let offset = piece.withUnsafeBytes({ validator.feed($0) }) { return offset }
        }
        return validator.finish()
    }

    @Test func `the checker agrees with the standard library on random bytes`() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<3_000 {
            let bytes = randomBytes(&generator, count: 1 + generator.integer(below: 12))
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            let whole = firstInvalid(bytes, pieceByteCount: bytes.count)
            #expect((whole == nil) == isValid)
            #expect(firstInvalid(bytes, pieceByteCount: 1) == whole)
            if let whole {
                #expect(String(validating: bytes[..<whole], as: UTF8.self) != nil)
            }
        }
    }

    @Test(arguments: [
        (Array("abcdefghij".utf8) + [0xFF], 10), ([0x41, 0xC3], 1), ([0xED, 0xA0, 0x80], 0),
        (Array("é".utf8) + [0xE2, 0x82, 0x41], 2), ([0xC0, 0x80], 0), ([0xF4, 0x90, 0x80, 0x80], 0),
    ])
    func `the first invalid sequence is found`(bytes: [UInt8], offset: Int) {
        #expect(firstInvalid(bytes, pieceByteCount: bytes.count) == offset)
    }

    @Test func `pieces of a stream decode to the same text as all of it`() {
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<2_000 {
            let bytes = randomBytes(&generator, count: 1 + generator.integer(below: 30))
            var decoder = UTF8StreamDecoder()
            var text = ""
            var start = 0
            while start < bytes.count {
                let end = min(start + 1 + generator.integer(below: 4), bytes.count)
                text += decoder.append(bytes[start..<end])
                #expect(decoder.pendingByteCount <= 3)
                start = end
            }
            text += decoder.finish()
            #expect(
                Array(text.unicodeScalars) == Array(String(decoding: bytes, as: UTF8.self).unicodeScalars))
        }
    }

    @Test func `a character comes out whole and only when it is complete`() {
        var decoder = UTF8StreamDecoder()
        #expect(decoder.append([0x61, 0xF0]) == "a")
        #expect(decoder.append([0x9F]) == "")
        #expect(decoder.append([0x98, 0x80, 0x62]) == "\u{1F600}b")
        #expect(decoder.append([0xE4, 0xB8]) == "")
        #expect(decoder.finish() == "\u{FFFD}")
        #expect(decoder.append([0x63]) == "c")
    }
}
