import Foundation
import Testing

@testable import RetNetText

/// Files that are cut off, damaged or contradict themselves.
@Suite struct SentencePieceFaultTests {
    private func model(_ change: (inout SentencePieceWriter) -> Void = { _ in }) -> [UInt8] {
        var writer = SentencePieceWriter.pieces([("▁", -3), ("a", -2), ("b", -2), ("ab", -4)])
        writer.characterMap = [("A", "a")]
        change(&writer)
        return writer.bytes
    }

    private func load(_ bytes: [UInt8]) throws -> SentencePieceTokenizer {
        try SentencePieceTokenizer(bytes: bytes, sourceName: "spiece.model")
    }

    @Test func `A file that contradicts itself is refused with the reason`() {
        func expect(_ piece: String, _ change: @escaping (inout SentencePieceWriter) -> Void) {
            expectTextError("spiece.model", piece, "at byte") { _ = try load(model(change)) }
        }
        expect("no unknown piece") { $0.pieces.remove(at: 0) }
        expect("occurs twice") { $0.pieces.append(("a", -1, .userDefined)) }
        expect("occurs twice") { $0.pieces.append(("<s>", -1, .control)) }
        expect("a second unknown piece") { $0.pieces.append(("<unk2>", -1, .unknown)) }
        expect("a piece is empty") { $0.pieces.append(("", -1, .normal)) }
        expect("the score nan") { $0.pieces.append(("x", .nan, .normal)) }
        expect("is not one of the byte pieces") { $0.pieces.append(("<0x00>", 0, .byte)) }
        expect("no piece for the byte 0") { $0.fallsBackToBytes = true }
        expect("unknown type 9") { $0.type = 9 }
        expect("no pieces") { $0.pieces = [] }
        expect("is not one of the byte pieces") {
            $0.addBytes()
            $0.pieces.append(("<0xgg>", 0, .byte))
        }
        expectTextError("sentinel count") {
            _ = try SentencePieceTokenizer(bytes: model(), sentinelCount: -1)
        }
    }

    @Test(
        arguments: [
            ([0x0A], "a number is truncated"), ([0x0A, 0x05, 0x61], "5 bytes long, but 1 are left"),
            ([0x0B], "unknown wire type 3"), ([0x02], "the number 0"), ([0x08, 0x01], "wrong wire type"),
            ([0x0D, 0x01], "a number is truncated"), ([0x09, 1, 2, 3], "a number is truncated"),
            ([0x0A, 0x02, 0x08, 0x01], "field 1 of a piece has the wrong wire type"),
            ([UInt8](repeating: 0xFF, count: 12), "longer than 64 bits"),
            ([0x12] + [UInt8](repeating: 0xFF, count: 8) + [0x7F], "bytes long, but 0 are left"),
            ([0x12, 0x02, 0x1A, 0x00], "the training settings has the wrong wire type"),
            ([0x1A, 0x02, 0x10, 0x00], "a normalizer has the wrong wire type"), ([], "no pieces"),
        ] as [([UInt8], String)])
    func `Bytes that are no message are refused`(bytes: [UInt8], piece: String) {
        expectTextError(piece) { _ = try load(bytes) }
    }

    @Test func `Unknown fields are passed over`() throws {
        let more =
            SentencePieceWriter.number(77, 5) + SentencePieceWriter.bytes(4, [1, 2]) + [0xF9, 0x05]
            + [UInt8](repeating: 1, count: 8) + [0xFD, 0x05, 1, 2, 3, 4]
        #expect(try load(more + model()).encode("ab") == [3, 6])
    }

    @Test func `A character map that leads astray is refused or does no harm`() throws {
        func withMap(_ map: [UInt8]) -> [UInt8] {
            var writer = SentencePieceWriter.pieces([("▁", -3), ("a", -2)])
            writer.characterMap = []
            return writer.bytes + SentencePieceWriter.bytes(3, SentencePieceWriter.bytes(2, map))
        }
        for map: [UInt8] in [
            [1, 2, 3], [0, 0, 0, 0, 0], [4, 0, 0, 0, 1, 2, 3, 4], [3, 0, 0, 0, 1, 2, 3, 0],
            [255, 255, 255, 255, 1, 2, 3, 0], [4, 0, 0, 0, 1, 2, 3, 4, 65],
        ] {
            expectTextError("the character map") { _ = try load(withMap(map)) }
        }
        // Every unit leads far outside.
        let wild = try load(withMap([8, 0, 0, 0] + [UInt8](repeating: 0xFE, count: 8) + [65, 0]))
        #expect(wild.decode(wild.encode("a")) == "a")
        var endless: [UInt8] = [4, 0, 0, 0, 0, 0, 0, 0]
        endless += [UInt8](repeating: 65, count: 5_000) + [0]
        expectTextError("a text without end") { _ = try load(withMap(endless)) }
    }

    @Test func `No truncated file traps`() throws {
        let whole = model()
        for count in 0..<min(whole.count, 400) { _ = try? load(Array(whole[..<count])).encode("ab A b") }
        for count in stride(from: 400, to: whole.count, by: 97) {
            #expect(throws: TextError.self) { try load(Array(whole[..<count])) }
        }
    }

    @Test func `No damaged file traps`() throws {
        let whole = model { $0.addBytes() }
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<400 {
            var bytes = whole
            for _ in 0..<(1 + generator.integer(below: 4)) {
                // Most damage where the structure is, not in the empty units of the map.
                let bound = generator.integer(below: 4) == 0 ? bytes.count : min(bytes.count, 300)
                bytes[generator.integer(below: bound)] = UInt8(generator.integer(below: 256))
            }
            do {
                let tokenizer = try load(bytes)
                let tokens = tokenizer.encode("ab A bé 日本 <0x41>")
                _ = tokenizer.decode(tokens + [-1, 1_000])
                for token in tokens { #expect(token >= 0 && Int(token) < tokenizer.vocabularySize) }
            } catch is TextError {}
        }
    }

    @Test func `A file that is too large is not read`() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/large.model"
            try put("", at: path)
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.truncate(atOffset: UInt64(SentencePieceTokenizer.maximumByteCount) + 1)
            try file.close()
            expectTextError("larger than") { _ = try SentencePieceTokenizer(path: path) }
        }
    }

    @Test func `Long texts are cut in time that grows with their length`() throws {
        var writer = SentencePieceWriter.pieces([("▁", -3), ("a", -2), ("aa", -3), ("aaaa", -5)])
        for type in [1, 2] {
            writer.type = type
            let tokenizer = try SentencePieceTokenizer(bytes: writer.bytes)
            let text = String(repeating: "a", count: 40_000)
            let tokens = tokenizer.encode(text)
            #expect(tokens.count == 10_001 && tokenizer.decode(tokens) == text)
        }
    }
}
