import RetNetStories
import Testing

@testable import RetNetText

@Suite struct DocumentSplitterTests {
    private final class Collector: DocumentConsumer {
        var documents: [String] = []
        var current: [UInt8] = []
        func consume(_ bytes: UnsafeRawBufferPointer) { current.append(contentsOf: bytes) }
        func endDocument() {
            if !current.isEmpty { documents.append(String(decoding: current, as: UTF8.self)) }
            current = []
        }
    }

    private func split(_ text: String, _ separator: DocumentSeparator, pieceByteCount: Int) throws -> [String]
    {
        let collector = Collector()
        let splitter = DocumentSplitter(separator: separator, consumer: collector)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            let piece = Array(bytes[start..<min(start + pieceByteCount, bytes.count)])
            try piece.withUnsafeBytes { try splitter.feed($0) }
        }
        try splitter.finish()
        return collector.documents
    }

    @Test(
        arguments: [
            ("a\nb", .wholeFile, ["a\nb"]), ("\n a \n", .wholeFile, ["\n a \n"]), ("", .wholeFile, []),
            ("a<|end|>b", .text("<|end|>"), ["a", "b"]),
            ("\na\n<|end|>\n\nb c\n<|end|>\n", .text("<|end|>"), ["a", "b c"]),
            ("<|end|><|end|>", .text("<|end|>"), []), ("a<|en", .text("<|end|>"), ["a<|en"]),
            ("a\r\n--\r\nb", .text("--"), ["a", "b"]), ("xaaab", .text("aa"), ["x", "ab"]),
            ("a,b,\n\nc", .text(","), ["a", "b", "c"]), (" a \n\n b ", .text("\n\n"), [" a ", " b "]),
            ("a b\nc\n\nd", .blankLines(1), ["a b\nc", "d"]),
            ("\n\n  a\n\n\n\n  b \n", .blankLines(1), ["  a", "  b"]),
            ("a\n\nb\n\n\nc", .blankLines(2), ["a\n\nb", "c"]),
            ("a\r\n \t\r\nb", .blankLines(1), ["a", "b"]),
            (" \n \n", .blankLines(1), []), ("a \n b", .blankLines(1), ["a \n b"]),
        ] as [(String, DocumentSeparator, [String])])
    func `text is cut in the same way however it comes`(
        text: String, separator: DocumentSeparator, expected: [String]
    ) throws {
        for pieceByteCount in [1, 2, 3, 5, 1_000] {
            #expect(try split(text, separator, pieceByteCount: pieceByteCount) == expected)
        }
    }

    @Test(arguments: ["file", "blank_lines:2", "text:<|end|>", "text:a:b", "text:\u{301}"])
    func `the text form of a separator is read back`(text: String) throws {
        #expect(try #require(DocumentSeparator(text)).description == text)
    }

    @Test(arguments: ["", "files", "text:", "blank_lines:0", "blank_lines:x", "blank_lines:"])
    func `a malformed separator is not read`(text: String) {
        #expect(DocumentSeparator(text) == nil)
    }

    @Test func `random text is cut in the same way however it comes`() throws {
        var generator = SeededGenerator(seed: 21)
        for _ in 0..<300 {
            let alphabet = ["a", "b", " ", "\n", "\n", "--", "\r"]
            let text = (0..<30).map { _ in alphabet[generator.integer(below: alphabet.count)] }.joined()
            for separator in [DocumentSeparator.text("--"), .text("-\n"), .blankLines(1), .blankLines(2)] {
                let whole = try split(text, separator, pieceByteCount: 1_000)
                #expect(try split(text, separator, pieceByteCount: 1) == whole)
                #expect(try split(text, separator, pieceByteCount: 4) == whole)
                #expect(whole.allSatisfy { !$0.isEmpty })
            }
        }
    }

    @Test func `stories are found again in the text of a story corpus`() throws {
        var generator = StoryGenerator(seed: 2)
        let corpus = generator.corpus(byteCount: 20_000)
        let bytes = Array(corpus.text.utf8)
        let stories = corpus.documentRanges.map { String(decoding: bytes[$0], as: UTF8.self) }
        #expect(try split(corpus.text, .blankLines(1), pieceByteCount: 700) == stories)
    }
}
