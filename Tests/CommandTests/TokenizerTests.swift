import Foundation
import RetNetTestSupport
import Testing

/// Commands that are given a SentencePiece model file.
@Suite struct TokenizerTests {
    /// A unigram model of 97 pieces as T5 orders them: `<pad>`, `</s>`, `<unk>`, then letters and a few words.
    private func writeModel(in folder: TemporaryFolder) throws -> String {
        let file = SentencePieceFile(
            special: [("<pad>", .control), ("</s>", .control), ("<unk>", .unknown)],
            words: ["▁", "▁the", "▁Line", "▁has", "▁hens", "▁fox", "▁as", "▁and"],
            letters: (33..<119).map { Character(UnicodeScalar(UInt8($0))) })
        let bytes = file.bytes
        try Data(bytes).write(to: folder.url("spiece.model"))
        return folder.path("spiece.model")
    }

    @Test("A token file is made of the pieces of a model file")
    func tokenize() throws {
        let folder = try TemporaryFolder()
        let model = try writeModel(in: folder)
        try folder.write("Line 7 the fox  and hens\n", to: "text.txt")
        let common = ["tokenize", "--data", folder.path("text.txt"), "--output"]
        let report = try succeed(common + [folder.path("a.rtok"), "--tokenizer", model, "--json"]).json()
        // Seven pieces, and the line feed, which is unknown.
        #expect(report["tokens"] as? Int == 8 && report["vocabulary_size"] as? Int == 97)
        // The bytes of the text, of which the pieces have lost a space and the line feed.
        #expect(report["source_bytes"] as? Int == 25)
        #expect((report["tokenizer"] as? String)?.hasPrefix("sentencepiece-") == true)
        let unknown = try RunningCommand(common + [folder.path("b.rtok"), "--tokenizer", "letters"]).wait()
        #expect(unknown.status == 1 && unknown.errors.contains("'letters'"))
        let both = try RunningCommand(
            common + [folder.path("b.rtok"), "--tokenizer", model, "--model", folder.path("none")]
        ).wait()
        #expect(both.status == 64)
        // A damaged file is named with the place of the damage.
        try Data([0x0A, 0x7F, 0x00]).write(to: folder.url("bad.model"))
        let bad = try RunningCommand(
            common + [folder.path("b.rtok"), "--tokenizer", folder.path("bad.model")]
        ).wait()
        #expect(bad.status == 1 && bad.errors.contains("bad.model") && bad.errors.contains("at byte 0"))
    }

    @Test("A run keeps its tokenizer: resuming and generating need the model file no more")
    func train() throws {
        let folder = try TemporaryFolder()
        let model = try writeModel(in: folder)
        let arguments = try TinyModel.arguments(in: folder, steps: 6, checkpointInterval: 3)
        try succeed(arguments + ["--tokenizer", model])
        #expect(folder.exists("run/model/tokenizer.model"))
        try FileManager.default.removeItem(atPath: model)
        try succeed([
            "train", "--out", folder.path("run"), "--resume", "--steps", "8", "--threads", "1", "--device",
            "cpu",
        ])
        let text = try succeed([
            "generate", "--model", folder.path("run"), "--prompt", "the fox", "--max-tokens", "4",
            "--ignore-end", "--json",
        ]).json()
        let results = try #require(text["results"] as? [[String: Any]])
        #expect(results.count == 1)
        let other = try RunningCommand(
            arguments + ["--resume", "--steps", "9", "--tokenizer", "byte"]
        ).wait()
        #expect(other.status == 1 && other.errors.contains("byte-256-v1"), "\(other.errors)")
    }

    @Test("Bits per byte divide by the bytes of the text, also of a token file and when resumed")
    func bitsPerByte() throws {
        let folder = try TemporaryFolder()
        let file = SentencePieceFile(pieces: [
            "▁the", "▁fox", "▁has", "▁and", "a", "e", "n", "s", "▁Line", "o",
        ])
        try Data(file.bytes).write(to: folder.url("tokenizer.model"))
        let arguments = try TinyModel.arguments(in: folder, steps: 6, checkpointInterval: 3)
        try succeed(
            arguments + ["--tokenizer", folder.path("tokenizer.model"), "--set", "schedule.kind=constant"])
        let text = "日本語日本語日本語 the cat"
        try folder.write(text, to: "cat.txt")
        let compute = ["--device", "cpu", "--threads", "1", "--json"]
        func measure(_ path: String, _ options: [String] = []) throws -> [String: Any] {
            try succeed(
                ["eval", "perplexity", "--model", folder.path("run"), "--data", path] + compute + options
            ).json()
        }
        try succeed([
            "tokenize", "--model", folder.path("run"), "--data", folder.path("cat.txt"), "--output",
            folder.path("cat.rtok"),
        ])
        for (path, options) in [
            ("cat.txt", []), ("cat.rtok", []), ("cat.txt", ["--context", "3"]),
            ("cat.txt", ["--window", "2"]),
        ] {
            let result = try measure(folder.path(path), options)
            #expect(result["bytes"] as? Int == 35)
            let nats = try #require(result["total_nats"] as? Double)
            #expect(abs(try #require(result["bits_per_byte"] as? Double) - nats / log(2) / 35) < 1e-12)
        }
        // Steps divide by the bytes of their own targets, whether the run was interrupted or not.
        try succeed(
            try TinyModel.arguments(in: folder, steps: 3, checkpointInterval: 3, run: "parts")
                + ["--tokenizer", folder.path("tokenizer.model"), "--set", "schedule.kind=constant"])
        try succeed([
            "train", "--out", folder.path("parts"), "--resume", "--steps", "6", "--threads", "1", "--device",
            "cpu",
        ])
        func bits(_ run: String) throws -> [Double] {
            try folder.text("\(run)/metrics.jsonl").split(separator: "\n").compactMap {
                try (JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])?["bits_per_byte"]
                    as? Double
            }
        }
        #expect(try bits("run").count == 6)
        #expect(try bits("run") == bits("parts"))
    }

    @Test("A T5 is created, trained by span corruption and asked with sentinels of a model file")
    func encoderDecoder() throws {
        let folder = try TemporaryFolder()
        let model = try writeModel(in: folder)
        let settings = """
            vocabulary_size: 200
            hidden_size: 16
            head_count: 2
            key_size: 8
            inner_size: 24
            encoder_layer_count: 2
            """
        try folder.write(settings, to: "t5.yaml")
        try folder.write(TinyModel.text, to: "text.txt")
        let created = folder.path("t5")
        try succeed([
            "t5", "create", "--config", folder.path("t5.yaml"), "--tokenizer", model, "--output", created,
        ])
        #expect(folder.exists("t5/spiece.model"))
        try succeed([
            "t5", "train", "--initial-model", created, "--data", folder.path("text.txt"), "--out",
            folder.path("run"), "--steps", "3", "--set", "data.input_length=32", "--threads", "1", "--device",
            "cpu",
        ])
        #expect(folder.exists("run/model/spiece.model"))
        let found = try succeed([
            "generate", "--model", folder.path("run"), "--prompt", "the <extra_id_0> fox", "--max-tokens",
            "5", "--json",
        ]).json()
        #expect((found["results"] as? [[String: Any]])?.count == 1)
        // A preset made for bytes takes the larger vocabulary of a model file.
        let dry = try succeed([
            "t5", "train", "--preset", "t5-2m", "--tokenizer", model, "--data", folder.path("text.txt"),
            "--out", folder.path("other"), "--dry-run",
        ])
        #expect(dry.output.contains("tokenizer:") && dry.output.contains("spiece.model"))
    }

    @Test("A text that is saved and continued has the tokens of the whole text")
    func continuation() throws {
        let folder = try TemporaryFolder()
        let model = try writeModel(in: folder)
        try succeed(
            try TinyModel.arguments(in: folder, steps: 1, checkpointInterval: 1) + ["--tokenizer", model])
        func read(_ more: [String]) throws -> Int {
            let report = try succeed(
                ["generate", "--model", folder.path("run"), "--max-tokens", "0", "--json"] + more
            ).json()
            let results = try #require(report["results"] as? [[String: Any]])
            return try #require(results.first?["prompt_tokens"] as? Int)
        }
        let state = folder.path("s.state")
        for (first, second) in [("the fox", ", and"), ("the fox ", "and"), ("the fox", " and")] {
            let whole = try read(["--prompt", first + second])
            let parts =
                try read(["--prompt", first, "--state-out", state])
                + read(["--prompt", second, "--state-in", state])
            #expect(parts == whole, "\(first)|\(second)")
        }
    }

    @Test(
        "A T5 takes size and special tokens of a tokenizer with its preset, and refuses what does not fit its file"
    )
    func specialTokens() throws {
        let folder = try TemporaryFolder()
        func write(
            _ special: [(String, SentencePieceFile.Kind)], _ name: String, words: [String] = ["▁", "▁the"]
        ) throws -> String {
            let letters = (0..<400).compactMap { UnicodeScalar(0x4E00 + $0).map { Character($0) } }
            let file = SentencePieceFile(special: special, words: words, letters: letters)
            try Data(file.bytes).write(to: folder.url(name))
            return folder.path(name)
        }
        let llama = try write([("<unk>", .unknown), ("<s>", .control), ("</s>", .control)], "llama.model")
        let other = try write(
            [("<unk>", .unknown), ("<s>", .control), ("</s>", .control)], "other.model", words: ["▁", "▁a"])
        let endless = try write([("<pad>", .control), ("<unk>", .unknown)], "endless.model")
        let create = ["t5", "create", "--preset", "t5-2m", "--output"]
        try succeed(create + [folder.path("made"), "--tokenizer", llama])
        let made = try folder.text("made/config.json")
        for piece in [
            "\"vocab_size\": 505", "\"eos_token_id\": 2", "\"pad_token_id\": 1",
            "\"decoder_start_token_id\": 1",
        ] {
            #expect(made.contains(piece), "\(made)")
        }
        let refused = try RunningCommand(create + [folder.path("none"), "--tokenizer", endless]).wait()
        #expect(refused.status == 1 && refused.errors.contains("no end token") && !folder.exists("none"))
        try folder.write(TinyModel.text, to: "text.txt")
        let train = [
            "t5", "train", "--data", folder.path("text.txt"), "--out", folder.path("run"), "--dry-run",
        ]
        let dry = try succeed(train + ["--preset", "t5-2m", "--tokenizer", llama])
        #expect(dry.output.contains("end_token: 2") && dry.output.contains("padding_token: 1"))
        let run = [
            "t5", "train", "--data", folder.path("text.txt"), "--out", folder.path("run"), "--steps", "1",
        ]
        for (more, reason) in [
            (["--preset", "t5-2m", "--tokenizer", endless], "no end token"),
            (["--preset", "t5-2m", "--tokenizer", llama, "--set", "model.end_token=1"], "set end_token"),
            (
                ["--initial-model", folder.path("made"), "--tokenizer", other], "made with 'sentencepiece"
            ),
        ] {
            let outcome = try RunningCommand(run + more).wait()
            #expect(outcome.status == 1 && outcome.errors.contains(reason), "\(outcome.errors)")
        }
        #expect(!folder.exists("run"))
    }

    @Test("A T5 folder with a tokenizer of another form computes, and says what text needs")
    func otherForms() throws {
        let folder = try TemporaryFolder()
        let model = folder.path("t5")
        try succeed(["t5", "create", "--preset", "t5-2m", "--output", model])
        try FileManager.default.removeItem(atPath: model + "/checksums.json")
        try folder.write("[UNK]\n", to: "t5/vocab.txt")
        try folder.write("[[5, 6, 1]]", to: "rows.json")
        for hasConfiguration in [false, true] {
            if hasConfiguration {
                try folder.write("{\"tokenizer_class\": \"T5TokenizerFast\"}", to: "t5/tokenizer_config.json")
            }
            let text = try RunningCommand(["generate", "--model", model, "--prompt", "the"]).wait()
            #expect(text.status == 1 && text.errors.contains("vocab.txt"), "\(text.errors)")
            #expect(text.errors.contains("spiece.model") && !text.errors.contains("'kind'"), "\(text.errors)")
            try succeed([
                "t5", "generate", "--model", model, "--sources", folder.path("rows.json"), "--max-tokens",
                "2",
            ])
            let copy = try succeed([
                "t5", "convert", "--model", model, "--output", folder.path("copy\(hasConfiguration)"),
            ])
            #expect(copy.errors.contains("the tokenizer is not copied"))
        }
    }
}
