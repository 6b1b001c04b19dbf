import Foundation
import RetNetTestSupport
import Testing

/// Commands that are given a SentencePiece model file.
@Suite struct TokenizerTests {
    /// A unigram model of 97 pieces as T5 orders them: `<pad>`, `</s>`, `<unk>`, then letters and a few words.
    private func writeModel(in folder: TemporaryFolder) throws -> String {
        func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
            [UInt8(number << 3 | 2), UInt8(bytes.count)] + bytes
        }
        func piece(_ text: String, _ score: Float, kind: UInt8) -> [UInt8] {
            let bits = (0..<4).map { UInt8(truncatingIfNeeded: score.bitPattern >> (8 * UInt32($0))) }
            return field(1, field(1, Array(text.utf8)) + [0x15] + bits + [0x18, kind])
        }
        var bytes = piece("<pad>", 0, kind: 3) + piece("</s>", 0, kind: 3) + piece("<unk>", 0, kind: 2)
        for (index, text) in ["▁", "▁the", "▁Line", "▁has", "▁hens", "▁fox", "▁as", "▁and"].enumerated() {
            bytes += piece(text, -3 - Float(index) / 8, kind: 1)
        }
        for code in 33..<119 {
            bytes += piece(String(UnicodeScalar(UInt8(code))), -6 - Float(code) / 64, kind: 1)
        }
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
}
