import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

/// Both engines, and both commands that have the one without LibTorch, as a user runs them.
@Suite struct EngineCommandTests {
    private static let dialects = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appendingPathComponent("RetNetCheckpointsTests/Fixtures/dialects").path

    private static func lite(_ arguments: [String], status: Int32 = 0) throws -> CommandOutcome {
        let outcome = try RunningCommand(arguments, program: "retnet-lite").wait()
        #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
        return outcome
    }

    @Test func `Text and states are the same whichever engine and command runs`() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let common = ["generate", "--model", run, "--seed", "5", "--ignore-end", "--threads", "1"]
        let prompt = ["--prompt", "Line 7: the", "-n", "30", "--top-k", "20"]
        let whole = try succeed(common + prompt + ["--engine", "libtorch", "--dtype", "float32"])
        #expect(whole.errors.contains("engine libtorch (float32 on cpu, 1 thread)"))
        let found = try succeed(common + prompt)
        #expect(found.output == whole.output)
        #expect(found.errors.contains("engine runtime (float32 weights"))
        #expect(try Self.lite(common + prompt).output == whole.output)

        // A text begun by one engine, continued by the other and ended by the small command.
        let part = Array(prompt.dropLast(4)) + ["--top-k", "20", "-n", "10"]
        let (first, second) = (folder.path("first"), folder.path("second"))
        var text = try succeed(
            common + part + ["--engine", "libtorch", "--dtype", "float32", "--state-out", first]
        ).output.dropLast()
        let more = ["--top-k", "20", "-n", "10"]
        text +=
            try succeed(
                common + more + ["--engine", "runtime", "--state-in", first, "--state-out", second]
            )
            .output.dropLast()
        text += try Self.lite(common + more + ["--state-in", second]).output
        #expect(text == whole.output)
    }

    @Test func `What ran stands in the JSON, with the reason`() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let text = folder.path("text.txt")
        let perplexity = ["eval", "perplexity", "--model", run, "--data", text, "--json", "--threads", "1"]
        let own = try succeed(perplexity).json()
        #expect(own["engine"] as? String == "runtime" && own["form"] is NSNull)
        let (words, nats) = (own["words"] as? Int, own["total_nats"] as? Double)
        #expect(words == TinyModel.text.split(omittingEmptySubsequences: false) { $0.isWhitespace }.count)
        let perWord = exp((nats ?? 0) / Double(words ?? 1))
        #expect(abs((own["word_perplexity"] as? Double ?? 0) / perWord - 1) < 1e-9)
        let form = try succeed(perplexity + ["--form", "parallel", "--context", "64"]).json()
        #expect(form["engine"] as? String == "libtorch" && form["form"] as? String == "parallel")
        #expect(form["engine_reason"] as? String == "it has no --form")
        let other = try succeed(perplexity + ["--engine", "libtorch"]).json()
        let (a, b) = (own["nats_per_token"] as? Double, other["nats_per_token"] as? Double)
        #expect(abs((a ?? 0) - (b ?? 1)) < 1e-5)
        for bench in [["decode", "--positions", "4", "--max-tokens", "2"], ["prefill", "--length", "9"]] {
            for engine in ["runtime", "libtorch"] {
                let tree = try succeed(
                    ["bench"] + bench
                        + ["--model", run, "--engine", engine, "--repetitions", "1", "--json"]
                ).json()
                #expect(tree["engine"] as? String == engine)
            }
        }
        let foreign = try succeed([
            "bench", "prefill", "--model", "\(Self.dialects)/fla-retnet", "--length", "4",
            "--repetitions", "1", "--json",
        ]).json()
        #expect(foreign["engine"] as? String == "libtorch")
        #expect(foreign["engine_reason"] as? String == "the model is in the form of another project")
    }

    @Test func `Scoring with shared contexts is measured beside scoring from scratch`() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let line =
            #"{"goal": "Dry a shoe", "sol1": "Fill it with paper.", "sol2": "Sing to it.", "label": 0}"#
        try folder.write("\(line)\n\(line)\n", to: "piqa.jsonl")
        let common = ["bench", "tasks", "--model", run, "--data", "piqa=\(folder.path("piqa.jsonl"))"]
        for engine in ["runtime", "libtorch"] {
            let tree = try succeed(
                common + ["--engine", engine, "--rounds", "1", "--threads", "1", "--json"]
            ).json()
            #expect(tree["benchmark"] as? String == "tasks" && tree["model"] as? String == run)
            #expect(tree["engine"] as? String == engine && tree["threads"] as? Int == 1)
            let task = try #require((tree["tasks"] as? [[String: Any]])?.first)
            func number(_ name: String) -> Double { task[name] as? Double ?? -1 }
            #expect(number("tokens_from_scratch") / number("tokens") == number("token_ratio"))
            #expect(number("token_ratio") > 1 && number("work_ratio") > 1)
            #expect(number("work_ratio") < number("token_ratio"))
            // The space of both choices and the letters behind it are scored at two places of each question, not at four.
            #expect(number("scored_places_from_scratch") == number("scored_places") + 4)
            for way in ["", "_in_batches", "_one_by_one"] {
                #expect(number("seconds" + way) > 0 && number("processor_seconds" + way) >= 0)
            }
            #expect(number("speedup_in_batches") > 0 && number("largest_relative_difference") < 1e-4)
        }
        #expect(try succeed(common + ["--rounds", "1"]).output.contains("less work"))
        // What changes nothing that is measured is no option.
        #expect(try RunningCommand(common + ["--bootstrap", "5"]).wait().status == 64)
        #expect(try RunningCommand(common + ["--acc-bytes"]).wait().status == 64)
    }

    @Test func `Rounded models run on the runtime, and others are told so`() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let (text, out) = (folder.path("text.txt"), folder.path("int8"))
        let arguments = [
            "quantize", "--model", run, "--to", "int8", "--threads", "1", "--json", "--data", text,
        ]
        let report = try succeed(arguments + ["--out", out]).json()
        let perplexity = try #require(report["perplexity"] as? [String: Any])
        let (before, after) = (perplexity["before"] as? Double ?? 0, perplexity["after"] as? Double ?? 0)
        #expect(before > 1 && abs(after / before - 1) < 0.02)
        let kinds = try #require(report["kinds"] as? [[String: Any]])
        #expect(kinds.compactMap { $0["name"] as? String }.contains("feed-forwards"))
        let bytes = kinds.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) }
        #expect(bytes == report["bytes"] as? Int && bytes > 0)
        let again = try Self.lite(arguments + ["--out", folder.path("lite")])
        #expect(try again.json()["bytes"] as? Int == bytes)
        #expect(
            try Data(contentsOf: folder.url("lite/model.safetensors"))
                == Data(contentsOf: folder.url("int8/model.safetensors")))

        for command in [["info", "--model", out], ["generate", "--model", out, "--prompt", "x", "-n", "2"]] {
            #expect(try succeed(command).output != "")
            #expect(try Self.lite(command).output != "")
        }
        #expect(try succeed(["info", "--model", out]).output.contains("rounded: matrices int8"))
        #expect(try Self.lite(["info", "--model", out]).output.contains("matrices int8"))
        try folder.write("[[1]]", to: "tokens.json")
        let logits = [
            "logits", "--model", out, "--tokens", folder.path("tokens.json"), "-o", folder.path("x"),
        ]
        #expect(try succeed(logits + ["--json"]).json()["engine"] as? String == "runtime")
        for command in [
            logits + ["--engine", "libtorch"], ["convert", out, "--check"],
            ["eval", "recall", "--model", out, "--stories", "1", "--engine", "libtorch"],
            ["generate", "--model", out, "--prompt", "x", "--engine", "libtorch"],
        ] {
            let outcome = try RunningCommand(command).wait()
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("rounded to int8"), "\(command): \(outcome.errors)")
            #expect(outcome.errors.contains("`retnet generate`"), "\(outcome.errors)")
        }
        let refused = try RunningCommand(
            ["generate", "--model", out, "--prompt", "x", "--dtype", "bfloat16"]
        ).wait()
        #expect(refused.status == 1 && refused.errors.contains("not in bfloat16"))
    }

    @Test func `Recall, logits and tasks are the same on both engines, and say which one ran`() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        func both(_ arguments: [String], more: (String) -> [String] = { _ in [] }) throws -> [[String: Any]] {
            try ["runtime", "libtorch"].map { engine in
                let engines = ["--model", run, "--engine", engine, "--threads", "1"]
                return try succeed(arguments + engines + more(engine)).json()
            }
        }
        let recall = try both(["eval", "recall", "--stories", "3", "--json"])
        #expect(recall.map { $0["engine"] as? String } == ["runtime", "libtorch"])
        for key in ["total", "correct"] { #expect(recall[0][key] as? Int == recall[1][key] as? Int) }

        try folder.write("[[76, 105, 110, 101, 32], [1, 2, 3, 4, 5]]", to: "tokens.json")
        let logits = ["logits", "--tokens", folder.path("tokens.json"), "--json"]
        let first = try both(logits) {
            ["-o", folder.path($0), "--state-out", folder.path($0 + ".state")]
        }
        #expect(first.map { $0["form"] as? String } == [nil, "parallel"])
        // Each engine goes on from the state of the other.
        _ = try both(logits) { engine in
            let other = engine == "runtime" ? "libtorch" : "runtime"
            return ["-o", folder.path(engine + "2"), "--state-in", folder.path(other + ".state")]
        }
        for suffix in ["", "2"] {
            let files = try ["runtime", "libtorch"].map {
                try SafetensorsFile(path: folder.path($0 + suffix))
            }
            let found = try files.map { try $0.withUnsafeBytes(of: "logits") { floats($0) } }
            #expect(
                try files.map { try #require($0.entry(named: "logits")).shape } == [
                    [2, 5, 256], [2, 5, 256],
                ])
            #expect(zip(found[0], found[1]).allSatisfy { abs($0 - $1) < 1e-4 })
        }
        let refused = try RunningCommand(
            logits + [
                "--model", run, "-o", folder.path("x"), "--state-in", folder.path("runtime.state"),
                "--tokens",
                "-",
            ], input: "[[1]]"
        ).wait()
        #expect(refused.status == 1 && refused.errors.contains("has 2 rows, but there are 1 of tokens"))

        let lines = (0..<6).map {
            "{\"goal\": \"Line \($0)\", \"sol1\": \"the fox\", \"sol2\": \"and hens\", \"label\": \($0 % 2)}"
        }
        try folder.write(lines.joined(separator: "\n"), to: "piqa.jsonl")
        let data = ["--data", "piqa=" + folder.path("piqa.jsonl"), "--json"]
        let tasks = try both(["eval", "tasks"] + data)
        let names = tasks.map { ($0["retnet"] as? [String: Any])?["engine"] as? String ?? "" }
        #expect(names[0].hasPrefix("runtime (float32 weights") && names[1].hasPrefix("libtorch (float32"))
        let scores = tasks.map {
            (($0["results"] as? [String: Any])?["piqa"] as? [String: Any])?["acc,none"] as? Double
        }
        #expect(scores[0] != nil && scores[0] == scores[1])
    }

    @Test func `States in 16 bits belong to the runtime`() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let generate = [
            "generate", "--model", run, "--prompt", "Line", "-n", "3", "--temp", "0", "--json", "--threads",
            "1",
        ]
        let sizes = try ["float32", "float16"].map { type in
            let tree = try succeed(generate + ["--state-dtype", type]).json()
            #expect(tree["state_dtype"] as? String == type)
            let lite = try Self.lite(generate + ["--state-dtype", type]).json()
            #expect(lite["state_bytes"] as? Int == tree["state_bytes"] as? Int)
            return tree["state_bytes"] as? Int ?? 0
        }
        // Inputs that wait for their block stay float32.
        #expect(sizes[1] >= sizes[0] / 2 && sizes[1] < sizes[0])
        for (options, words) in [
            (["--engine", "libtorch"], "LibTorch keeps states in float32, not in float16"),
            (
                ["--prefill-form", "parallel"],
                "the engine 'runtime' does not take this: it has no --prefill-form"
            ),
        ] {
            let outcome = try RunningCommand(generate + ["--state-dtype", "float16"] + options).wait()
            #expect(outcome.status == 1 && outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(try Self.lite(generate + ["--state-dtype", "int8"], status: 64).errors.contains("float16"))
    }

    @Test(arguments: [
        "{kind: retention, head_count: 2, key_size: 16, value_size: 32}",
        "{kind: attention, head_count: 2, head_size: 16}",
    ]) func `Greedy text of trained models is identical, and 16 bits of state cost little`(mixer: String)
        throws
    {
        let folder = try TemporaryFolder()
        var arguments = try TinyModel.arguments(in: folder, steps: 120)
        let configuration = try folder.text("config.yaml").replacing(
            "{head_count: 2, key_size: 16, value_size: 32}", with: mixer)
        #expect(configuration.contains(mixer))
        try folder.write(configuration, to: "config.yaml")
        arguments += ["--set", "optimizer.learning_rate=5e-3"]
        try succeed(arguments)
        let model = ["--model", folder.path("run"), "--threads", "1"]
        let generate =
            ["generate", "--prompt", "Line 123: the", "-n", "150", "--temp", "0", "--ignore-end"] + model
        let text = try succeed(generate + ["--engine", "libtorch", "--dtype", "float32"]).output
        #expect(try succeed(generate + ["--engine", "runtime"]).output == text)
        let lite = try Self.lite(generate + ["--json"]).json()
        let results = try #require(lite["results"] as? [[String: Any]])
        #expect(results[0]["text"] as? String == String(text.dropLast()))
        // The limit of memory: weights, the state and 64 MiB.
        let info = try Self.lite(["info", "--json"] + model).json()
        let bytes = [info["weight_bytes"], lite["state_bytes"]].compactMap { $0 as? Int }
        #expect(bytes.count == 2)
        #expect(lite["peak_bytes"] as? Int ?? .max < bytes.reduce(1 << 26, +))

        let losses = try ["float32", "float16", "bfloat16"].map { type in
            try #require(
                Self.lite(
                    [
                        "eval", "perplexity", "--data", folder.path("text.txt"), "--state-dtype", type,
                        "--json",
                    ]
                        + model
                ).json()["nats_per_token"] as? Double)
        }
        // 5.5 before training.
        #expect(losses[0] < 2.5)
        #expect(abs(losses[1] - losses[0]) < 1e-3)
        #expect(abs(losses[2] - losses[0]) < 1e-2)
    }

    @Test func `The small command says what it cannot open`() throws {
        let folder = try TemporaryFolder()
        try folder.write("x", to: "file")
        for (path, words) in [
            (folder.path("none"), "there is no model at"), (folder.path("file"), "give the folder"),
            ("\(Self.dialects)/fla-retnet", "`retnet convert`"), (folder.path("."), "config.json"),
        ] {
            let outcome = try Self.lite(["generate", "--model", path, "--prompt", "x"], status: 1)
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(
            try Self.lite(["info", "--model", "x", "--threads", "0"], status: 64).errors.contains("1024"))
    }
}
