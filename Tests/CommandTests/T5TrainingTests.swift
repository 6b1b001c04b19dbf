import Foundation
import RetNetTestSupport
import Testing

@Suite struct T5TrainingTests {
    private func settings(altUp: String = "") -> String {
        """
        model:
          vocabulary_size: 384
          hidden_size: 16
          head_count: 2
          key_size: 8
          inner_size: 24
          encoder_layer_count: 3
          feed_forward: gated-gelu
          tied_output: false
          dropout: 0
          \(altUp)
        data: {input_length: 48, batch_size: 4}
        precision: float32
        log: {every: 1}
        evaluation: {batches: 2}
        checkpoint: {every: 4}
        """
    }

    private func pretrain(
        _ folder: TemporaryFolder, altUp: String = "", run: String = "run", steps: Int = 6
    ) throws -> [String] {
        try folder.write(settings(altUp: altUp), to: "t5.yaml")
        try folder.write(TinyModel.text, to: "text.txt")
        return [
            "t5", "train", "--config", folder.path("t5.yaml"), "--data", folder.path("text.txt"), "--out",
            folder.path(run), "--steps", "\(steps)", "--threads", "1",
        ]
    }

    private func writeTasks(_ folder: TemporaryFolder) throws -> (sst2: String, boolq: String) {
        let sentences = (0..<24).map {
            "{\"sentence\": \"\($0 % 2 == 0 ? "bad" : "good") film \($0)\", \"label\": \($0 % 2)}"
        }
        let questions = (0..<12).map {
            "{\"passage\": \"p \($0)\", \"question\": \"is it \($0)\", \"label\": \($0 % 3 == 0)}"
        }
        return (
            try folder.write(sentences.joined(separator: "\n"), to: "sst2.jsonl"),
            try folder.write(questions.joined(separator: "\n"), to: "boolq.jsonl")
        )
    }

    @Test(
        "A T5 is pretrained, fine-tuned on two tasks, measured and asked, plain and with AltUp",
        arguments: [
            "", "altup: {}", "altup: {kind: recycled}", "altup: {kind: none, sequence: {stride: 4}}",
            "altup: {kind: none, sequence: {mode: pool, stride: 2}}",
        ])
    func wholeWay(altUp: String) throws {
        let folder = try TemporaryFolder()
        let report = try succeed(pretrain(folder, altUp: altUp) + ["--json"]).json()
        #expect(report["step"] as? Int == 6)
        let validation = try #require(report["validation"] as? [String: Any])
        #expect(validation["accuracy"] as? Double != nil && validation["loss"] as? Double ?? 0 > 0)
        let (sst2, boolq) = try writeTasks(folder)
        let tuned = folder.path("tuned")
        let outcome = try succeed([
            "t5", "finetune", "--model", folder.path("run"), "--task", "sst2=\(sst2)", "--task",
            "boolq=\(boolq)", "--validation-data", "sst2=\(sst2)", "--validation", "boolq=\(boolq)", "--out",
            tuned,
            "--steps", "4", "--set", "data.input_length=64", "--set", "data.target_length=24", "--set",
            "model.dropout=0.1", "--evaluation-limit", "6", "--dtype", "float32",
        ])
        for text in ["sst2", "boolq", "accuracy", "finished after step 4", "token accuracy"] {
            #expect(outcome.output.contains(text), "\(outcome.output)")
        }
        #expect(outcome.errors.contains("warning: --validation is now called --validation-data"))
        let file = try JSONSerialization.jsonObject(with: Data(folder.text("tuned/evaluation.json").utf8))
        let figures = try #require((file as? [String: Any])?["tasks"] as? [[String: Any]])
        #expect(figures.map { $0["task"] as? String } == ["sst2", "boolq"])
        #expect(figures.allSatisfy { $0["examples"] as? Int == 6 })
        let pipe = try Pipe("pipe", in: folder, giving: folder.text("sst2.jsonl"))
        let measured = try succeed([
            "t5", "eval", "--model", tuned, "--task", "sst2=\(pipe.path)", "--limit", "6", "--input-length",
            "64",
            "--target-length", "24", "--json", "--output", folder.path("report.json"),
        ]).json()
        let again = try #require((measured["tasks"] as? [[String: Any]])?.first)
        #expect(
            abs((again["loss"] as? Double ?? 0) - (figures[0]["loss"] as? Double ?? 1)) < 1e-4,
            "\(again) \(figures[0])")
        #expect(try folder.text("report.json").contains("outputs"))
        let generate = [
            "generate", "--model", tuned, "--prompt", "sst2 sentence: good", "--max-tokens", "4",
        ]
        #expect(try succeed(generate).errors.contains("generated"))
        let info = try succeed(["info", "--model", tuned, "--json"]).json()
        #expect(info["parameters"] as? Int == report["parameters"] as? Int)
    }

    @Test("Pretraining continues exactly, and other objectives run")
    func resuming() throws {
        let folder = try TemporaryFolder()
        try succeed(pretrain(folder, run: "whole", steps: 9))
        try succeed(pretrain(folder, steps: 5))
        try succeed([
            "t5", "train", "--out", folder.path("run"), "--resume", "--steps", "9", "--threads", "1",
        ])
        #expect(try losses(ofRun: folder.path("run")) == losses(ofRun: folder.path("whole")))
        #expect(try weights(ofRun: folder.path("run")) == weights(ofRun: folder.path("whole")))
        for objective in ["prefix_lm", "lm"] {
            let arguments = try pretrain(folder, run: objective, steps: 2)
            try succeed(arguments + ["--objective", objective])
        }
        let dry = try succeed(pretrain(folder, run: "dry") + ["--dry-run"]).output
        #expect(dry.contains("span_corruption") && dry.contains("adafactor") && !folder.exists("dry"))
    }

    @Test("A dense T5 folder becomes one with blocks")
    func conversion() throws {
        let folder = try TemporaryFolder()
        try succeed(["t5", "create", "--preset", "t5-2m", "--bytes", "--output", folder.path("dense")])
        let output = try succeed([
            "altup", "--model", folder.path("dense"), "--output", folder.path("wide"), "--json",
        ]).json()
        #expect(output["added_parameters"] as? Int == 8 * 6)
        let info = try succeed(["info", "--model", folder.path("wide")]).output
        #expect(info.contains("recycled") && info.contains("4+4"))
        #expect(try succeed(["info", "--preset", "t5-9m-altup2"]).output.contains("blocks"))
        #expect(
            try succeed(["info", "--preset", "t5-2m-switch4"]).output.contains("encoder and decoder, 1 in 2"))
    }

    @Test("What makes no sense is refused with the reason")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let (sst2, _) = try writeTasks(folder)
        func refused(_ arguments: [String], _ text: String) throws {
            let outcome = try RunningCommand(arguments).wait()
            #expect(outcome.status != 0)
            #expect(outcome.errors.contains(text), "\(outcome.errors)")
            #expect(!folder.exists("x"))
        }
        let out = ["--out", folder.path("x")]
        try refused(["t5", "train"] + out, "--preset")
        try refused(["t5", "train", "--preset", "t5-2n"] + out, "t5-2m")
        try refused(["t5", "train", "--preset", "t5-2m"] + out, "nothing to train on")
        try refused(["t5", "train", "--preset", "t5-2m", "--data", folder.path("none")] + out, "none")
        try refused(
            ["t5", "train", "--preset", "t5-2m", "--set", "data.inputlength=3"] + out, "input_length")
        try refused(["t5", "train", "--out", folder.path("x"), "--resume"], "no run to resume")
        try refused(
            ["t5", "finetune", "--model", folder.path("none"), "--task", "sst2=\(sst2)"] + out, "none")
        try refused(["t5", "finetune", "--model", "m", "--task", "sst3=\(sst2)"] + out, "sst3")
        try refused(
            ["t5", "finetune", "--model", "m", "--task", "sst2=\(sst2)", "--validation-data", "cola=y"] + out,
            "cola")
        try succeed(["t5", "create", "--preset", "t5-2m", "--bytes", "--output", folder.path("model")])
        try folder.write("{\"sentence\": 5}", to: "bad.jsonl")
        try refused(
            [
                "t5", "finetune", "--model", folder.path("model"), "--task",
                "sst2=\(folder.path("bad.jsonl"))",
            ] + out, "line 1")
        try refused(
            ["t5", "eval", "--model", folder.path("model"), "--task", "boolq=\(sst2)"], "'passage'")
        try refused(["bench", "train", "--preset", "t5-2m"], "encoder-decoder")
        try folder.write(TinyModel.text, to: "text.txt")
        try refused(
            [
                "train", "--preset", "retnet-3m", "--data", folder.path("text.txt"), "--set",
                "data.objective=prefix_lm",
            ] + out, "encoder-decoder")
    }
}
