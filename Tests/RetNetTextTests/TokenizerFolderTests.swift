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

    private static let names = ["gpt2", "gpt2-bos", "gpt2-json", "neox-json", "framed-json"]

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
            try put(#"{"sep_token": "x"}"#, at: path + "/special_tokens_map.json")
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
            for loaded in [
                try TokenizerLoader.load(folder: path + "/trained"),
                try TokenizerLoader.load(
                    named: path + "/trained/"
                        + (folder.files.keys.contains("tokenizer.json") ? "tokenizer.json" : "vocab.json")),
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
}
