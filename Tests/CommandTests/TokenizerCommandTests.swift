import Foundation
import RetNetTestSupport
import Testing

/// `retnet tokenizer`, and runs that train a tokenizer of their own.
@Suite struct TokenizerCommandTests {
    private func writeText(in folder: TemporaryFolder) throws -> String {
        let lines = (0..<200).map { "Line \($0 % 7): the fox doesn't see \($0) hens, naïve 日本語 ones.\n" }
        try folder.write(lines.joined(), to: "text.txt")
        return folder.path("text.txt")
    }

    private func train(_ kind: String, _ size: Int, in folder: TemporaryFolder, _ more: [String] = []) throws
        -> String
    {
        let out = folder.path("\(kind)-\(size)")
        try succeed(
            [
                "tokenizer", "train", "--kind", kind, "--vocabulary", "\(size)", "--data",
                writeText(in: folder),
                "--out", out,
            ] + more)
        return out
    }

    @Test("A tokenizer is trained, described, and encodes and decodes a text", arguments: ["bpe", "unigram"])
    func train(kind: String) throws {
        let folder = try TemporaryFolder()
        let text = try writeText(in: folder)
        let out = folder.path("out")
        let report = try succeed([
            "tokenizer", "train", "--kind", kind, "--vocabulary", "300", "--data", text, "--out", out,
            "--json",
        ]).json()
        #expect(report["vocabulary_size"] as? Int == 300)
        #expect(try #require(report["bytes_per_token"] as? Double) > 1.5)
        let info = try succeed(["tokenizer", "info", out, "--json"]).json()
        #expect(info["vocabulary_size"] as? Int == 300)
        #expect(info["model"] as? String == (kind == "bpe" ? "BPE" : "Unigram"))
        let special = try #require(info["special_tokens"] as? [[String: Any]])
        #expect(special.map { $0["text"] as? String } == ["<|endoftext|>", "<|endoftext|>", "<|padding|>"])
        #expect(special.map { $0["role"] as? String } == ["begin", "end", "padding"])
        #expect(info["pre_tokenizer"] as? [String] == ["ByteLevel"])
        #expect(try succeed(["tokenizer", "info", out]).output.contains("<|padding|>"))
        let source = "  The fox isn't naïve:\n日本語 \u{1F642}"
        for path in [out, out + "/tokenizer.json"] {
            let ids = try succeed(["tokenizer", "encode", "--tokenizer", path], input: source).output
            let back = try succeed(["tokenizer", "decode", "--tokenizer", path], input: ids).output
            #expect(back == source)
        }
        let existing = try RunningCommand(
            ["tokenizer", "train", "--vocabulary", "300", "--data", text, "--out", out]
        ).wait()
        #expect(existing.status == 1 && existing.errors.contains("exists already"))
    }

    @Test("Lines of texts become lines of ids with offsets in characters, and back")
    func lines() throws {
        let folder = try TemporaryFolder()
        let out = try train("bpe", 256, in: folder, ["--special", "none"])
        let texts = ["naïve 🙂\n", "", "a\u{2028}b"]
        let input = try texts.map { text in
            let object = try JSONSerialization.data(withJSONObject: ["id": 7, "text": text])
            return String(decoding: object, as: UTF8.self)
        }.joined(separator: "\n\n")
        try folder.write(input, to: "in.jsonl")
        let file = try succeed([
            "tokenizer", "encode", "--tokenizer", out, "--jsonl", folder.path("in.jsonl"),
        ]).output
        let pipe = try succeed(["tokenizer", "encode", "--tokenizer", out, "--jsonl", "-"], input: input)
            .output
        #expect(file == pipe)
        let lines = file.split(separator: "\n").map(String.init)
        #expect(lines.count == 3 && lines[1] == "{\"ids\":[],\"offsets\":[]}")
        let first = try #require(
            try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: [Any]])
        // Bytes of one character share its place.
        #expect(
            first["offsets"] as? [[Int]] == [
                [0, 1], [1, 2], [2, 3], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7], [6, 7], [6, 7], [6, 7],
                [7, 8],
            ])
        let back = try succeed(["tokenizer", "decode", "--tokenizer", out, "--jsonl", "-"], input: file)
            .output
        let decoded = try back.split(separator: "\n").map {
            try (JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: String])?["text"]
        }
        #expect(decoded == texts)
    }

    @Test("Special tokens are text unless asked for, and are added in front and behind where asked for")
    func specialTokens() throws {
        let folder = try TemporaryFolder()
        let out = try train("bpe", 400, in: folder, ["--special", "t5"])
        func ids(_ more: [String]) throws -> [Int] {
            try succeed(["tokenizer", "encode", "--tokenizer", out] + more, input: "<extra_id_1> fox").output
                .split(separator: "\n")[0].split(separator: " ").compactMap { Int($0) }
        }
        let plain = try ids([])
        #expect(plain.allSatisfy { $0 >= 102 })
        let parsed = try ids(["--parse-special"])
        #expect(parsed.first == 3 && parsed.count < plain.count)
        #expect(try ids(["--add-end"]) == plain + [1])
        #expect(try ids(["--add-special-tokens"]) == plain + [1])
        // Bytes have no special tokens in text but T5's sentinels.
        let sentinels = ["tokenizer", "encode", "--tokenizer", "byte-sentinel", "--parse-special"]
        #expect(try succeed(sentinels, input: "a<extra_id_0>").output == "100 383\n")
        #expect(
            try succeed(sentinels + ["--json"], input: "a<extra_id_0>b").output
                == "{\"ids\":[100,383,101],\"offsets\":[[0,1],[1,13],[13,14]]}\n")
        let refused = try RunningCommand(
            ["tokenizer", "encode", "--tokenizer", "byte", "--parse-special"], input: "fox"
        ).wait()
        #expect(refused.status == 1 && refused.output.isEmpty)
        #expect(
            refused.errors.contains(
                "--parse-special does nothing here: the tokenizer 'byte' takes no special"))
        let begin = try RunningCommand(
            ["tokenizer", "encode", "--tokenizer", out, "--add-begin"], input: "fox"
        ).wait()
        #expect(begin.status == 1 && begin.errors.contains("has no begin token"))
        let json = try succeed(
            ["tokenizer", "encode", "--tokenizer", "byte", "--json", "--add-begin"], input: "ab"
        ).output
        #expect(json == "{\"ids\":[255,97,98],\"offsets\":[[0,0],[0,1],[1,2]]}\n")
    }

    @Test("Bad lines and ids are refused with their place")
    func badInput() throws {
        let folder = try TemporaryFolder()
        for (command, line, reason) in [
            ("encode", "{\"text\": 5}", "line 2: 'text' is not a text"),
            ("encode", "[1]", "line 2: it is not a JSON object"),
            ("encode", "{\"txt\": \"\"}", "line 2: the object has no 'text'"),
            ("encode", "{\"text\": \"a", "line 2: at byte"),
            ("decode", "{\"ids\": [1, 2.5]}", "line 2: at byte"),
            ("decode", "{\"ids\": \"1\"}", "line 2: 'ids' is not an array of whole numbers"),
            ("decode", "{\"ids\": [256]}", "line 2: id 0 is 256, outside the vocabulary of 256 tokens"),
        ] {
            let good = command == "encode" ? "{\"text\": \"\"}" : "{\"ids\": []}"
            try folder.write(good + "\n" + line + "\n", to: "in.jsonl")
            let outcome = try RunningCommand(
                ["tokenizer", command, "--tokenizer", "byte", "--jsonl", folder.path("in.jsonl")]
            ).wait()
            #expect(outcome.status == 1 && outcome.errors.contains(reason), "\(line): \(outcome.errors)")
            #expect(outcome.errors.contains("in.jsonl"))
        }
        for (arguments, status, reason) in [
            (["decode", "--tokenizer", "byte", "97", "x"], 1, "id 1 is 'x'"),
            (["decode", "--tokenizer", "nowhere", "97"], 1, "'nowhere'"),
            (["info", "train:bpe:300"], 1, "is the recipe of a tokenizer"),
            (
                ["train", "--vocabulary", "9", "--data", folder.path("in.jsonl"), "--out", folder.path("o")],
                1, "use 258"
            ),
            (["encode"], 64, "--tokenizer"),
        ] {
            let outcome = try RunningCommand(["tokenizer"] + arguments).wait()
            #expect(outcome.status == status && outcome.errors.contains(reason), "\(outcome.errors)")
        }
        #expect(!folder.exists("o"))
    }

    @Test("A run trains its tokenizer once, sizes its model for it, and keeps it")
    func run() throws {
        let folder = try TemporaryFolder()
        let arguments = try TinyModel.arguments(in: folder, steps: 4, checkpointInterval: 2)
        func removeSize() throws {
            let sized = try folder.text("config.yaml")
            try folder.write(
                sized.replacingOccurrences(of: "  vocabulary_size: 256\n", with: ""), to: "config.yaml")
        }
        let small = try RunningCommand(arguments + ["--tokenizer", "train:bpe:280"]).wait()
        #expect(small.status == 1 && small.errors.contains("model.vocabulary_size") && !folder.exists("run"))
        try removeSize()
        let trained = try succeed(arguments + ["--tokenizer", "train:bpe:280"])
        #expect(trained.errors.contains("trained a tokenizer of 280 tokens"))
        #expect(try folder.text("run/config.yaml").contains("vocabulary_size: 280"))
        #expect(try folder.text("run/config.yaml").contains("train:bpe:280"))
        let own = try folder.text("run/tokenizer/tokenizer.json")
        #expect(try folder.text("run/model/tokenizer.json") == own)
        let resume = ["train", "--out", folder.path("run"), "--resume", "--threads", "1", "--device", "cpu"]
        let resumed = try succeed(resume + ["--steps", "6"])
        #expect(!resumed.errors.contains("trained a tokenizer"))
        #expect(try folder.text("run/model/tokenizer.json") == own)
        let other = try RunningCommand(resume + ["--steps", "8", "--set", "data.tokenizer=train:bpe:290"])
            .wait()
        #expect(other.status == 1 && other.errors.contains("data.tokenizer"), "\(other.errors)")
        try succeed([
            "generate", "--model", folder.path("run"), "--prompt", "Line 5", "--max-tokens", "3",
            "--ignore-end",
        ])
        // The same text and seed give the same tokenizer; a setting does as well as the option.
        let again = try TinyModel.arguments(in: folder, steps: 1, checkpointInterval: 1, run: "again")
        try removeSize()
        try succeed(again + ["--set", "data.tokenizer=train:bpe:280"])
        #expect(try folder.text("again/tokenizer/tokenizer.json") == own)
        let bad = try RunningCommand(again + ["--tokenizer", "train:bpe:x"]).wait()
        #expect(bad.status == 1 && bad.errors.contains("train:bpe:N"))
    }

    @Test("A T5 trains a tokenizer with its sentinels")
    func encoderDecoder() throws {
        let folder = try TemporaryFolder()
        let text = try writeText(in: folder)
        let settings = "hidden_size: 16, head_count: 2, key_size: 8, inner_size: 24, encoder_layer_count: 1"
        try folder.write(
            "model: {\(settings)}\ndata: {tokenizer: 'train:unigram:400', input_length: 32, paths: [\(text)]}\n",
            to: "t5.yaml")
        try succeed([
            "t5", "train", "--config", folder.path("t5.yaml"), "--out", folder.path("run"), "--steps", "2",
            "--threads", "1", "--device", "cpu",
        ])
        #expect(try folder.text("run/config.yaml").contains("vocabulary_size: 400"))
        let found = try succeed([
            "generate", "--model", folder.path("run"), "--prompt", "the <extra_id_0> fox", "--max-tokens",
            "3",
            "--json",
        ]).json()
        #expect((found["results"] as? [[String: Any]])?.count == 1)
    }
}
