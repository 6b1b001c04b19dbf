import Foundation
import Testing

@testable import RetNetText

/// Texts that are encoded and decoded part by part.
@Suite struct TextPlaceTests {
    private static let pieces: [(String, Float)] = [
        ("▁", -3), ("a", -2), ("b", -2), ("c", -2), (",", -3), ("▁a", -2.2), ("▁ab", -3), ("▁and", -3),
        ("n", -4),
        ("d", -4), ("t", -4), ("h", -4), ("e", -4), ("▁the", -3), ("▁cat", -3), ("cat", -3.5),
    ]

    private func tokenizer(
        type: Int = 1, sentinelCount: Int = 0, _ change: (inout SentencePieceWriter) -> Void = { _ in }
    ) throws -> SentencePieceTokenizer {
        var writer = SentencePieceWriter.pieces(Self.pieces)
        writer.type = type
        change(&writer)
        return try SentencePieceTokenizer(bytes: writer.bytes, sentinelCount: sentinelCount)
    }

    private func encode(_ parts: [String], _ tokenizer: any Tokenizer) -> [Int32] {
        var place = TextPlace.beginning
        return parts.flatMap { tokenizer.encode($0, at: &place) }
    }

    @Test(arguments: [1, 2]) func `A continuation has the tokens that it has in the whole text`(type: Int)
        throws
    {
        let tokenizer = try tokenizer(type: type)
        for parts in [
            ["the cat", ", and"], ["the cat", " and"], ["the cat ", "and"], ["the cat ", " and"],
            ["the", "", " cat"],
            ["", "the cat"], ["  ", "the cat"], ["the cat", "  ", "  ", "and"], [" the", " cat "],
        ] {
            #expect(encode(parts, tokenizer) == tokenizer.encode(parts.joined()), "\(parts)")
        }
        guard type == 1 else { return }
        #expect(encode(["the cat", ", and"], tokenizer).count == 4)
        // A piece over the joint cannot be known.
        #expect(encode(["the c", "at"], tokenizer) != tokenizer.encode("the cat"))
    }

    @Test(arguments: [true, false], [true, false])
    func `Where every character is a token, all divisions of a text have its tokens`(
        addsPrefix: Bool, removesSpaces: Bool
    ) throws {
        let tokenizer = try tokenizer(type: 4) {
            $0.addsDummyPrefix = addsPrefix
            $0.removesExtraSpaces = removesSpaces
            $0.characterMap = [("\t", " "), ("\u{AD}", ""), ("ß", " a ")]
        }
        var generator = SeededGenerator(seed: 3)
        let letters = ["a", "b", " ", " ", " ", "\t", "\u{AD}", "ß"]
        for _ in 0..<1_500 {
            let parts = (0..<3).map { _ in
                (0..<generator.integer(below: 4)).map { _ in letters[generator.integer(below: letters.count)]
                }.joined()
            }
            #expect(encode(parts, tokenizer) == tokenizer.encode(parts.joined()), "\(parts)")
        }
    }

    @Test(arguments: [true, false])
    func `A space that was added at the end is the first of the next part`(removesSpaces: Bool) throws {
        let tokenizer = try tokenizer(type: 4) {
            $0.removesExtraSpaces = removesSpaces
            $0.putsSpacesLast = true
        }
        for parts in [["a", " b"], ["a b", "  b "], ["a", " "], ["a", " ", " b"], ["", "a", " b", ""]] {
            #expect(encode(parts, tokenizer) == tokenizer.encode(parts.joined()), "\(parts)")
        }
    }

    @Test func `Streamed bytes are those of the decoded text, also after a space that has no token`() throws {
        for removesSpaces in [true, false] {
            let tokenizer = try tokenizer { $0.removesExtraSpaces = removesSpaces }
            var generator = SeededGenerator(seed: 4)
            for _ in 0..<500 {
                let tokens = (0..<5).map { _ in Int32(generator.integer(below: 12)) }
                // The tokens around texts begin a new one.
                let inner = tokens.filter { $0 != 1 && $0 != 2 }
                var place = TextPlace.beginning
                let bytes = inner.flatMap { tokenizer.bytes(of: $0, at: &place) }
                #expect(String(decoding: bytes, as: UTF8.self) == tokenizer.decode(inner), "\(inner)")
            }
        }
        let tokenizer = try tokenizer()
        var place = TextPlace.beginning
        #expect(tokenizer.encode("the cat ", at: &place) == tokenizer.encode("the cat"))
        #expect(place == .afterOmittedSpace)
        let and = try #require(tokenizer.encode("and").first)
        #expect(tokenizer.bytes(of: and, at: &place) == Array("and".utf8) && place == .inside)
    }

    @Test func `Places follow the tokens`() throws {
        let tokenizer = try tokenizer()
        func place(_ tokens: [Int32]) -> TextPlace { tokenizer.place(after: tokens) }
        #expect(place([]) == .beginning && place([1]) == .beginning && place([4, 2]) == .beginning)
        #expect(place([3]) == .leadingSpace && place([3, 4]) == .inside && place([4, 3]) == .afterSpace)
        // What stands for unknown text is no space.
        #expect(place([4, 0]) == .inside)
        let bytes = ByteTokenizer()
        #expect(
            bytes.place(after: bytes.encode("a ")) == .afterSpace
                && bytes.place(after: [97, 255]) == .beginning)
        #expect(encode(["the", " cat"], bytes) == bytes.encode("the cat"))
    }

    @Test func `Text after a sentinel continues the text before it`() throws {
        let tokenizer = try tokenizer(sentinelCount: 4)
        let (first, second) = (tokenizer.sentinels[0], tokenizer.sentinels[1])
        func encode(_ text: String) -> [Int32] { tokenizer.encodeWithSentinels(text) }
        #expect(
            encode("the cat<extra_id_0>, and") == tokenizer.encode("the cat") + [first]
                + encode("x, and").suffix(2))
        #expect(encode("ab<extra_id_0>b<extra_id_1> and") == tokenizer.encode("ab") + [first, 5, second, 10])
        #expect(encode("the <extra_id_0> cat") == tokenizer.encode("the") + [first] + tokenizer.encode("cat"))
        #expect(encode("<extra_id_0> the") == [first] + tokenizer.encode("the"))
        #expect(
            tokenizer.decodeWithSentinels(encode("ab<extra_id_0>b<extra_id_1> and"))
                == "ab<extra_id_0>b<extra_id_1> and")
    }
}
