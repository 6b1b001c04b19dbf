import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

/// Runs, models and states written by version 0.1.0 (see Fixtures/make-fixtures) load with equal numbers.
///
/// Numbers are float32 results of another processor, so they agree to rounding.
@Suite struct EarlierVersionsTests {
    private let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures").path
    private let compute = ["--dtype", "float32", "--device", "cpu", "--threads", "2"]

    private func expectLogits(of path: String, equalTo expected: String) throws {
        let (found, wanted) = (
            try logits(path), try logits("\(fixtures)/expected/\(expected).safetensors")
        )
        #expect(found.count == wanted.count && !found.isEmpty)
        let largest = zip(found, wanted).map { abs($0 - $1) }.max() ?? 1
        #expect(largest < 2e-5 * (wanted.map(abs).max() ?? 0))
    }

    private func logits(_ path: String) throws -> [Float] {
        let file = try SafetensorsFile(path: path)
        return try file.withUnsafeBytes(of: try #require(file.entry(named: "logits")).name) { floats($0) }
    }

    private let tokens = """
        [[84,104,101,32,55,116,104,32,99,114,97,116,101,32,104,111,108,100,115,32,49,48],
         [112,101,97,114,115,32,97,110,100,32,51,32,97,112,112,108,101,115,46,10,84,104]]
        """

    @Test(arguments: ["parallel", "chunkwise:8", "recurrent"])
    func `A checkpoint of RetNet gives its logits in every form`(form: String) throws {
        let folder = try TemporaryFolder()
        try succeed(
            [
                "logits", "--model", "\(fixtures)/retnet-run/checkpoints/step-00000004", "--tokens", "-",
                "--form", form, "--output", folder.path("logits"),
            ] + compute, input: tokens)
        try expectLogits(of: folder.path("logits"), equalTo: "retnet")
    }

    @Test func `A saved state continues with equal logits`() throws {
        let folder = try TemporaryFolder()
        try succeed(
            [
                "logits", "--model", "\(fixtures)/retnet-run/checkpoints/step-00000004", "--tokens", "-",
                "--form", "recurrent", "--state-in", "\(fixtures)/retnet-state.safetensors", "--output",
                folder.path("logits"),
            ] + compute, input: "[[32,97,112,112,108,101,115],[101,32,57,116,104,32,99]]")
        try expectLogits(of: folder.path("logits"), equalTo: "retnet-later")
    }

    @Test func `A saved generation continues with the same tokens`() throws {
        let found = try succeed(
            [
                "generate", "--model", "\(fixtures)/retnet-run/checkpoints/step-00000004", "--state-in",
                "\(fixtures)/generation.state", "--max-tokens", "24", "--temperature", "0", "--json",
            ] + compute
        ).json()
        let expected =
            try JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/expected/generation.json")))
            as? [String: Any]
        func tokens(_ object: [String: Any]?) -> [Int]? {
            ((object?["results"] as? [Any])?.first as? [String: Any])?["tokens"] as? [Int]
        }
        #expect(try #require(tokens(found)) == #require(tokens(expected)))
        #expect(found["state_bytes"] as? Int == expected?["state_bytes"] as? Int)
    }

    @Test func `A Transformer with AltUp gives its logits`() throws {
        let folder = try TemporaryFolder()
        try succeed(
            [
                "logits", "--model", "\(fixtures)/altup", "--tokens", "-", "--form", "parallel", "--output",
                folder.path("logits"),
            ] + compute, input: tokens)
        try expectLogits(of: folder.path("logits"), equalTo: "altup")
    }

    @Test func `A T5 gives its logits`() throws {
        let folder = try TemporaryFolder()
        try folder.write("[[87,107,104,35,58,119,107,1],[102,117,100,119,104,1]]", to: "sources.json")
        try folder.write("[[258,58,119,1],[258,104,1]]", to: "targets.json")
        try succeed(
            [
                "t5", "logits", "--model", "\(fixtures)/t5-run/checkpoints/step-00000004", "--sources",
                folder.path("sources.json"), "--targets", folder.path("targets.json"), "--output",
                folder.path("logits"),
            ] + compute)
        try expectLogits(of: folder.path("logits"), equalTo: "t5")
    }

    @Test(arguments: [(["train"], "retnet-run"), (["t5", "train"], "t5-run")])
    func `A training run resumes with equal losses`(command: [String], name: String) throws {
        let folder = try TemporaryFolder()
        let run = folder.path("run")
        try FileManager.default.copyItem(atPath: "\(fixtures)/\(name)", toPath: run)
        try succeed(
            command + ["--out", run, "--resume", "--steps", "8", "--data", "\(fixtures)/text.txt"] + compute)
        let found = try values(run + "/metrics.jsonl")
        let expected = try values("\(fixtures)/expected/\(name)-metrics.jsonl")
        #expect(found.count == expected.count)
        for (step, figures) in expected {
            for (key, value) in figures {
                // Steps used to divide by a mean of bytes per token; now by the bytes of their own targets.
                if key == "bits_per_byte" {
                    let (old, new) = (value, try #require(found[step]?[key]))
                    #expect(abs(new - old) <= 0.1 * old, "\(key) of step \(step)")
                    continue
                }
                let other = try #require(found[step]?[key])
                #expect(abs(other - value) <= 1e-4 * abs(value), "\(key) of step \(step)")
            }
        }
    }

    @Test func `A token file without byte counts is read, and figures per byte are left out`() throws {
        let folder = try TemporaryFolder()
        let (file, run) = ("\(fixtures)/pieces.rtok", folder.path("run"))
        let options = compute + ["--tokenizer", "\(fixtures)/pieces.model"]
        let settings = [
            "hidden_size=16", "layer_count=1", "vocabulary_size=32", "mixer.head_count=2", "mixer.key_size=8",
            "mixer.value_size=16", "feed_forward.inner_size=16",
        ].flatMap { ["--set", "model.\($0)"] }
        let training =
            ["train", "--preset", "retnet-1m", "--out", run, "--steps", "2", "--set", "log.every=1"]
            + settings
            + ["--set", "data.length=16", "--set", "data.batch_size=2"] + options + ["--data"]
        let messages = try RunningCommand(training + [file]).wait()
        #expect(
            messages.status == 0 && messages.errors.contains("'\(file)' was written by an earlier version"))
        for line in try folder.text("run/metrics.jsonl").split(separator: "\n") {
            #expect(!line.contains("bits_per_byte"))
        }
        let old = try RunningCommand(
            ["eval", "perplexity", "--model", run, "--data", file, "--json"] + compute
        ).wait()
        #expect(old.errors.contains("tokenize the text again"))
        let report = try old.json()
        #expect(report["bytes"] is NSNull && report["bits_per_byte"] is NSNull)
        let new = try succeed(
            ["eval", "perplexity", "--model", run, "--data", "\(fixtures)/text.txt", "--json"] + compute
        ).json()
        #expect(new["total_nats"] as? Double == report["total_nats"] as? Double)
        #expect(new["bytes"] as? Int == 2590)
        // The run goes on with the text itself: its tokens are the same.
        let resumed = try RunningCommand(
            training + ["\(fixtures)/text.txt", "--resume", "--steps", "3"]
        ).wait()
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try folder.text("run/metrics.jsonl").contains("\"bits_per_byte\""))
    }

    /// Figures of a training run by step and name, without those of time and memory.
    private func values(_ path: String) throws -> [String: [String: Double]] {
        var result: [String: [String: Double]] = [:]
        let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
        for line in text.split(separator: "\n") {
            let object = try #require(
                JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            let kind = object["loss"] == nil ? "validation" : "step"
            let step = try #require(object["step"] as? Int)
            for key in [
                "loss", "learning_rate", "grad_norm", "bits_per_byte", "accuracy", "tokens",
                "validation_loss",
            ] {
                if let value = object[key] as? Double { result["\(kind) \(step)", default: [:]][key] = value }
            }
        }
        return result
    }
}
