import Foundation
import RetNetStorage
import Testing

@testable import RetNetText

/// Folders of other projects' tokenizers against what Hugging Face's `transformers` makes of them.
///
/// `Benchmarks/tokenizers/make_folder_fixtures.py` made the fixture.
struct TokenizerFolderTests {
    struct Fixture: Decodable {
        struct Vector: Decodable {
            let text: String
            /// `tokenizer(text).input_ids`.
            let inputs: [Int32]
            /// The same without special tokens.
            let ids: [Int32]
        }
        struct Folder: Decodable {
            let files: [String: String]
            let begin: Int32?
            let end: Int32?
            let size: Int
            let vectors: [Vector]

            func write(to path: String) throws {
                for (name, text) in files { try put(text, at: path + "/" + name) }
            }
        }
        let folders: [String: Folder]
    }

    private static let fixture: Fixture? = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let data = try? Data(contentsOf: folder.appendingPathComponent("Fixtures/tokenizer-folders.json"))
        return data.flatMap { try? JSONDecoder().decode(Fixture.self, from: $0) }
    }()

    private static let names = [
        "gpt2", "gpt2-class", "gpt2-bos", "gpt2-json", "neox-json", "framed-json", "gpt2-added", "json-added",
        "backend-json", "llama-json", "bert", "bert-cased", "bert-accents", "bert-names", "bert-lines",
        "bert-added",
    ]

    private func folder(_ name: String) throws -> Fixture.Folder {
        try #require(Self.fixture?.folders[name])
    }

    private func save(_ tokenizer: any Tokenizer, to path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try tokenizer.save(to: path)
    }

    @Test(arguments: names) func `Prompts have the ids that Transformers gives them`(name: String) throws {
        let folder = try folder(name)
        try withTemporaryFolder { path in
            try folder.write(to: path)
            let tokenizer = try TokenizerLoader.load(folder: path)
            for vector in folder.vectors {
                let ids = tokenizer.encode(vector.text)
                #expect(ids == vector.ids, "\(vector.text.debugDescription)")
                #expect(
                    tokenizer.textStart + ids + tokenizer.tokensAround.after == vector.inputs,
                    "\(vector.text.debugDescription)")
            }
            if let begin = folder.begin { #expect(tokenizer.beginToken == begin) }
            if let end = folder.end { #expect(tokenizer.endToken == end) }
        }
    }

    @Test(arguments: names) func `Copies keep every file byte for byte`(name: String) throws {
        let folder = try folder(name)
        try withTemporaryFolder { path in
            try folder.write(to: path)
            try put("{{ bos_token }}", at: path + "/chat_template.jinja")
            try put(#"{"additional_special_tokens": ["x"]}"#, at: path + "/special_tokens_map.json")
            try save(TokenizerLoader.load(folder: path), to: path + "/copy")
            for name in try FileManager.default.contentsOfDirectory(atPath: path) where name != "copy" {
                let copy = FileManager.default.contents(atPath: path + "/copy/" + name)
                #expect(copy == FileManager.default.contents(atPath: path + "/" + name), "\(name)")
            }
            let (old, new) = (
                try TokenizerLoader.load(folder: path), try TokenizerLoader.load(folder: path + "/copy")
            )
            #expect(new.identity == old.identity && new.textStart == old.textStart)
        }
    }

    @Test(arguments: names) func `A tokenizer of a model trained here begins texts and keeps foreign fields`(
        name: String
    ) throws {
        let folder = try folder(name)
        try withTemporaryFolder { path in
            try folder.write(to: path)
            let tokenizer = try TokenizerLoader.load(folder: path).beginningTexts()
            let begin = try #require(tokenizer.beginToken)
            #expect(tokenizer.textStart == [begin])
            #expect(tokenizer.with(.text).textStart == [begin])
            try save(tokenizer, to: path + "/trained")
            let file = try #require(
                ["tokenizer.json", "vocab.json", "vocab.txt"].first { folder.files.keys.contains($0) })
            for loaded in [
                try TokenizerLoader.load(folder: path + "/trained"),
                try TokenizerLoader.load(named: path + "/trained/" + file),
            ] {
                #expect(loaded.textStart == [begin] && loaded.identity == tokenizer.identity)
                try save(loaded, to: path + "/again")
            }
            let (first, again) = (
                try Data(contentsOf: URL(fileURLWithPath: path + "/trained/tokenizer_config.json")),
                try Data(contentsOf: URL(fileURLWithPath: path + "/again/tokenizer_config.json"))
            )
            #expect(first == again)
            let fields = try #require(try JSONSerialization.jsonObject(with: first) as? [String: Any])
            #expect(fields["kind"] as? String == "huggingface" && fields["add_bos_token"] as? Bool == true)
            let original = try #require(
                try JSONSerialization.jsonObject(
                    with: Data((folder.files["tokenizer_config.json"] ?? "").utf8))
                    as? [String: Any])
            for (key, value) in original where key != "add_bos_token" {
                #expect(fields[key] as? NSObject == value as? NSObject, "\(key)")
            }
        }
    }

    @Test func `Numbers, objects and escapes of foreign fields stay as they are written`() throws {
        let folder = try folder("gpt2-json")
        try withTemporaryFolder { path in
            try folder.write(to: path)
            try put(
                #"""
                {"model_max_length": 1000000000000000019884624838656, "x": 1.50, "t": "\u00e9\/",
                 "eos_token": {"content": "<|endoftext|>", "lstrip": false}, "pad_token": null, "vocab_size": 7}
                """#, at: path + "/tokenizer_config.json")
            try save(TokenizerLoader.load(folder: path).beginningTexts(), to: path + "/new")
            let text = try String(contentsOfFile: path + "/new/tokenizer_config.json", encoding: .utf8)
            #expect(text.contains(#""model_max_length" : 1000000000000000019884624838656,"#))
            #expect(text.contains(#""x" : 1.50,"#) && text.contains(#""t" : "\u00e9\/","#))
            #expect(text.contains(#""eos_token" : {"content": "<|endoftext|>", "lstrip": false},"#))
            #expect(text.contains(#""vocab_size" : 300"#))
            _ = try TokenizerLoader.load(folder: path + "/new")
        }
    }

    @Test func `Folders of early versions, whose models all begin texts, do so still`() throws {
        let folder = try folder("gpt2-json")
        try withTemporaryFolder { path in
            try folder.write(to: path)
            try put(
                #"{"kind": "huggingface", "eos_token": "<|endoftext|>"}"#, at: path + "/tokenizer_config.json"
            )
            #expect(try TokenizerLoader.load(folder: path).textStart == [0])
        }
        #expect(ByteTokenizer().textStart == [255] && SentinelByteTokenizer().textStart == [])
    }

    @Test func `The choice of a begin token is the tokenizer's, a begin token, or none`() throws {
        let folder = try folder("gpt2")
        try withTemporaryFolder { path in
            try folder.write(to: path)
            let tokenizer = try TokenizerLoader.load(folder: path)
            #expect(BeginTokenChoice.auto.tokens(tokenizer) == [])
            #expect(BeginTokenChoice.yes.tokens(tokenizer) == [0])
            #expect(BeginTokenChoice.no.tokens(tokenizer.beginningTexts()) == [])
            #expect(BeginTokenChoice.yes.tokens(SentinelByteTokenizer()) == [])
        }
    }

    @Test func `Lists of word pieces of other classes, and damaged ones, are refused by name`() throws {
        try withTemporaryFolder { path in
            try put("[UNK]\n[CLS]\n[SEP]\na\n", at: path + "/vocab.txt")
            #expect(try TokenizerLoader.load(folder: path).encode("A b") == [3, 0])
            #expect(try TokenizerLoader.load(named: path + "/vocab.txt").vocabularySize == 4)
            try put(#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, at: path + "/tokenizer_config.json")
            expectTextError("class BertJapaneseTokenizer, vocab.txt") {
                _ = try TokenizerLoader.load(folder: path)
            }
            try put(
                #"{"tokenizer_class": "BertTokenizer", "do_basic_tokenize": false}"#,
                at: path + "/tokenizer_config.json")
            expectTextError("do_basic_tokenize") { _ = try TokenizerLoader.load(folder: path) }
            try put(#"{"do_lower_case": "yes"}"#, at: path + "/tokenizer_config.json")
            expectTextError("do_lower_case", "neither true nor false") {
                _ = try TokenizerLoader.load(folder: path)
            }
            try FileManager.default.removeItem(atPath: path + "/tokenizer_config.json")
            try put("[UNK]\n[CLS]\na\n", at: path + "/vocab.txt")
            expectTextError("vocab.txt", "'[SEP]'") { _ = try TokenizerLoader.load(folder: path) }
            try put(Data([0x61, 0x0A, 0xFF]), at: path + "/vocab.txt")
            expectTextError("vocab.txt", "not UTF-8 text (at byte 2)") {
                _ = try TokenizerLoader.load(folder: path)
            }
        }
    }

    @Test func `Numbers of added tokens that contradict the vocabulary or each other are refused`() throws {
        let folder = try folder("gpt2")
        try withTemporaryFolder { path in
            try folder.write(to: path)
            for (json, reason) in [
                (#"{"new": 5}"#, "contradicts the file beside it, which gives 'new' the id 5"),
                (#"{"new": 300, "other": 300}"#, "is the id 300 of 'new' too"),
                (#"{"new": -1}"#, "new is -1, but ids are 0 to"),
                (#"{"new": "300"}"#, "new is not an integer"),
                (#"["new"]"#, "is not an object"),
                (#"{"new": 99999999999}"#, "new is 99999999999, but ids are"),
            ] {
                try put(json, at: path + "/added_tokens.json")
                expectTextError(reason) { _ = try TokenizerLoader.load(folder: path) }
            }
            // Where the configuration lists the tokens, the older file says nothing.
            try put(
                #"{"added_tokens_decoder": {"300": {"content": "[NEW]"}}}"#,
                at: path + "/tokenizer_config.json")
            #expect(try TokenizerLoader.load(folder: path).encode("[NEW]") == [300])
        }
    }

    @Test func `Rules for BERT and punctuation have the characters of Unicode 8`() {
        let (marks, punctuation) = (ScalarTable.mask("Mn"), ScalarSet.punctuation)
        // A mark of Unicode 8, of 10, two that were none or are none any more, and letters.
        let found = [0x0301, 0x0AFD, 0x1885, 0x1734, 0x61, 0xE9].map { ScalarTable.wasIn(marks, $0) }
        #expect(found == [true, false, false, true, false, false])
        // ASCII, an old mark, one of Unicode 14, and one that is a symbol now.
        #expect(
            [0x24, 0x2014, 0x2E53, 0x166D, 0x20AC].map(punctuation.contains) == [
                true, true, false, true, false,
            ])
        #expect(
            ScalarTable.wasIn(ScalarTable.mask("Cn"), 0x2E53)
                && !ScalarTable.wasIn(ScalarTable.mask("Cn"), 0x61))
    }
}
