import Foundation
import Testing

@testable import RetNetText

/// Damaged and unknown files of Hugging Face's tokenizers.
struct HuggingFaceFaultTests {
    private static let model = #"{"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}"#

    private func expectFault(
        _ json: String, _ pieces: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            _ = try HuggingFaceTokenizer(json: Array(json.utf8), sourceName: "x/tokenizer.json")
            Issue.record("nothing was thrown", sourceLocation: sourceLocation)
        } catch let error as TextError {
            for piece in pieces + ["x/tokenizer.json"] {
                #expect(error.description.contains(piece), "\(error)", sourceLocation: sourceLocation)
            }
        } catch {
            Issue.record("another error was thrown: \(error)", sourceLocation: sourceLocation)
        }
    }

    @Test func `A sound file loads`() throws {
        let tokenizer = try HuggingFaceTokenizer(json: Array(#"{"model": \#(Self.model)}"#.utf8))
        #expect(tokenizer.encode("abba") == [2, 1, 0])
        #expect(tokenizer.decode([2, 1, 0]) == "ab b a")
    }

    @Test(arguments: [
        (#"[]"#, "not a JSON object"), (#"{"model": "#, "ends inside"),
        (#"{"model": {"type": "BPE}}"#, "no closing"),
        (#"{}"#, "'model' is missing"), (#"{"model": {"type": "Markov"}}"#, "model has the type 'Markov'"),
        (#"{"model": {"type": "BPE", "merges": []}}"#, "model lacks 'vocab'"),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}, "merges": []}}"#,
            "'a', which is there twice"
        ),
        (#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}"#, "the number 0 of 'a'"),
        (#"{"model": {"type": "BPE", "vocab": {"a": 4000000000}, "merges": []}}"#, "the number 4000000000"),
        (#"{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}"#, "the number -1"),
        (#"{"model": {"type": "BPE", "vocab": {"a": "0"}, "merges": []}}"#, "no integer"),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}"#,
            "the token 'b', which is not in"
        ),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}"#,
            "'ab', which is not in"
        ),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}}"#,
            "element 0 that is not two tokens"
        ),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}"#,
            "element 0 that is not a pair"
        ),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}}"#,
            "model.dropout is 0.1"
        ),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "?"}}"#,
            "'?', which is not in"
        ),
        (
            #"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "turbo": 1}}"#,
            "unknown option 'turbo'"
        ),
        (#"{"model": {"type": "Unigram", "vocab": [["a"]]}}"#, "element 0 that is not a text with its score"),
        (#"{"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 3}}"#, "'unk_id' 3 outside"),
    ]) func `Damaged models are refused with the place`(json: String, reason: String) {
        expectFault(json, reason)
    }

    @Test(arguments: [
        (
            #""normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Magic"}]}"#,
            "normalizer.normalizers[1] has the type 'Magic'"
        ),
        (#""normalizer": {"type": "NFC", "form": 2}"#, "normalizer has the unknown option 'form'"),
        (
            #""normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}"#,
            "precompiled_charsmap is damaged"
        ),
        (#""pre_tokenizer": {"type": "UnicodeScripts"}"#, "pre_tokenizer has the type 'UnicodeScripts'"),
        (
            #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a)\\1"}, "behavior": "Isolated", "invert": false}"#,
            "pre_tokenizer.pattern has the regular expression '(a)\\1'"
        ),
        (
            #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": false}"#,
            "repetition in it without limit"
        ),
        (
            #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a*"}, "behavior": "Isolated", "invert": false}"#,
            "matches the empty text"
        ),
        (
            #""pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Sideways", "invert": false}"#,
            "pre_tokenizer.behavior is 'Sideways'"
        ),
        (#""decoder": {"type": "CTC"}"#, "decoder has the type 'CTC'"),
        (
            #""post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}]}"#,
            "'x', which is not in 'special_tokens'"
        ),
        (#""version": "2.0""#, "version is '2.0'"), (#""extra": 1"#, "unknown option 'extra'"),
        (
            #""added_tokens": [{"id": 7, "content": "a"}]"#,
            "added_tokens[0] gives 'a' the id 7, but in the vocabulary it is 0"
        ),
        (#""added_tokens": [{"id": 1, "content": "x"}]"#, "the id 1 of 'b'"),
        (#""added_tokens": [{"id": 99999999, "content": "x"}]"#, "the id 99999999"),
        (#""added_tokens": [{"id": 5, "content": "x", "magic": true}]"#, "unknown option 'magic'"),
    ]) func `Unknown parts are refused by name`(section: String, reason: String) {
        expectFault(#"{"model": \#(Self.model), \#(section)}"#, reason)
    }

    @Test func `Deep nesting and files that end early are refused`() throws {
        expectFault(String(repeating: "[", count: 100_000), "nested more than 64 deep")
        let fixture = try HuggingFaceTokenizerTests.Fixture(named: "words").tokenizer
        let bytes = Array(fixture.utf8)
        for end in stride(from: 0, to: bytes.count - 1, by: 97) {
            #expect(throws: TextError.self) { try HuggingFaceTokenizer(json: Array(bytes[..<end])) }
        }
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<300 {
            var damaged = bytes
            for _ in 0..<3 {
                damaged[Int.random(in: 0..<damaged.count, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            // Some changes leave a sound file; none may trap.
            if let tokenizer = try? HuggingFaceTokenizer(json: damaged) {
                _ = tokenizer.encode("The quick, 12")
            }
        }
    }

    @Test func `GPT-2's files are checked`() throws {
        let vocabulary = Array(#"{"a": 0, "b": 1, "ab": 2}"#.utf8)
        let tokenizer = try HuggingFaceTokenizer(
            vocabulary: vocabulary, merges: Array("#version: 0.2\na b\n".utf8))
        #expect(tokenizer.encode("ab") == [2])
        expectTextError("the merges have a line 2 without two tokens") {
            _ = try HuggingFaceTokenizer(vocabulary: vocabulary, merges: Array("#version: 0.2\na b c\n".utf8))
        }
        try withTemporaryFolder { folder in
            try put(Data(vocabulary), at: folder + "/vocab.json")
            expectTextError("merges.txt or vocab.bpe, is not beside it") {
                _ = try TokenizerLoader.load(named: folder + "/vocab.json")
            }
            try put("a b\n", at: folder + "/merges.txt")
            #expect(try TokenizerLoader.load(folder: folder).encode("ab") == [2])
        }
    }

    @Test(arguments: Array(WordScanner.known.keys)) func `Scanners by hand find what the expressions find`(
        source: String
    ) throws {
        let scanner = try #require(WordScanner.known[source])
        let expression = try TextExpression(source)
        let alphabet = Array(
            "aB' \n\r\t1２½.,/!séſÉ\u{301}\u{345}日ªǅّع\u{A0}\u{2028}'llRE'veT😀_".unicodeScalars)
        var generator = SeededGenerator(seed: 3)
        var workspace = TextExpression.Workspace()
        for _ in 0..<600 {
            var text = ""
            for _ in 0..<Int.random(in: 0...24, using: &generator) {
                text.unicodeScalars.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
            }
            let bytes = Array(text.utf8)
            var (found, expected): ([Range<Int>], [Range<Int>]) = ([], [])
            bytes.withUnsafeBufferPointer { bytes in
                scanner.forEachWord(bytes, 0..<bytes.count) { found.append($0..<$1) }
                expression.forEachMatch(bytes, 0..<bytes.count, isBytes: false, &workspace) {
                    expected.append($0..<$1)
                }
            }
            #expect(found == expected, "\(text.debugDescription)")
        }
    }
}
