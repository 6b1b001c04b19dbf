import Foundation
import RetNetTestSupport
import Testing

@Suite struct T5CommandTests {
    /// A T5 over bytes of a few thousand numbers.
    func makeModel(in folder: TemporaryFolder) throws -> String {
        let settings = """
            vocabulary_size: 260
            hidden_size: 16
            head_count: 2
            key_size: 8
            inner_size: 24
            encoder_layer_count: 2
            feed_forward: gated-gelu
            tied_output: false
            end_token: 254
            padding_token: 253
            """
        try folder.write(settings, to: "t5.yaml")
        let path = folder.path("model")
        try succeed(["t5", "create", "--config", folder.path("t5.yaml"), "--bytes", "--output", path])
        return path
    }

    @Test("A T5 turns prompts into outputs, one beam or several, as text and as JSON")
    func generate() throws {
        let folder = try TemporaryFolder()
        let model = try makeModel(in: folder)
        let common = ["generate", "--model", model, "--max-tokens", "6", "--dtype", "float32"]
        let result = try succeed(
            common + ["--prompt", "one", "--prompt", "another", "--beams", "3", "--outputs", "2", "--json"]
        ).json()
        let rows = try #require(result["results"] as? [[String: Any]])
        #expect(rows.map { $0["prompt"] as? String } == ["one", "another"])
        for row in rows {
            let outputs = try #require(row["outputs"] as? [[String: Any]])
            let scores = outputs.compactMap { $0["score"] as? Double }
            #expect(outputs.count == 2 && scores.count == 2 && scores[0] >= scores[1])
            #expect(outputs.allSatisfy { ($0["tokens"] as? [Int])?.isEmpty == false })
        }
        // Alone, a prompt gives what it gives in a batch.
        let alone = try succeed(
            common + ["--prompt", "another", "--beams", "3", "--outputs", "2", "--json"]
        ).json()
        let first = try #require(
            (alone["results"] as? [[String: Any]])?.first?["outputs"] as? [[String: Any]])
        let batched = try #require(rows[1]["outputs"] as? [[String: Any]])
        #expect(first.map { $0["tokens"] as? [Int] } == batched.map { $0["tokens"] as? [Int] })
        let plain = try succeed(common + ["--prompt", "one"])
        #expect(
            plain.errors.contains("1 beam in") && plain.errors.contains("engine runtime (float32 weights"))
    }

    @Test("Both engines and retnet-lite give the same output, drawn ones too where they draw")
    func engines() throws {
        let folder = try TemporaryFolder()
        let model = try makeModel(in: folder)
        let common = ["generate", "--model", model, "--max-tokens", "9", "--json"]
        func outputs(_ arguments: [String]) throws -> [[String: Any]] {
            let json = try succeed(common + ["--prompt", "one", "--prompt", "and two"] + arguments).json()
            let rows = try #require(json["results"] as? [[String: Any]])
            return try rows.map { try #require(($0["outputs"] as? [[String: Any]])?.first) }
        }
        let (own, torch) = (
            try outputs([]), try outputs(["--engine", "libtorch", "--dtype", "float32"])
        )
        #expect(own.map { $0["tokens"] as? [Int] } == torch.map { $0["tokens"] as? [Int] })
        for (own, torch) in zip(own, torch) {
            let scores = (own["score"] as? Double ?? .nan, torch["score"] as? Double ?? .nan)
            #expect(abs(scores.0 - scores.1) < 1e-4)
        }
        let drawn = ["--temperature", "0.8", "--seed", "3", "--ignore-end"]
        let lite = try RunningCommand(
            common + ["--prompt", "one", "--prompt", "and two"] + drawn, program: "retnet-lite"
        ).wait()
        #expect(lite.status == 0, "\(lite.errors)")
        let results = try #require(try lite.json()["results"] as? [[String: Any]])
        #expect(results.map { $0["tokens"] as? [Int] } == (try outputs(drawn)).map { $0["tokens"] as? [Int] })
        let text = try succeed([
            "generate", "--model", model, "--max-tokens", "9", "--prompt", "one", "--echo",
        ])
        #expect(text.output.hasPrefix("one\n" + (own[0]["text"] as? String ?? "-")))
        let info = try RunningCommand(["info", "--model", model, "--verify"], program: "retnet-lite").wait()
        #expect(info.output.contains("2 of the encoder and 2 of the decoder"), "\(info.output)\(info.errors)")
        let rounded = folder.path("rounded")
        try succeed(["quantize", "--model", model, "--to", "int8", "--out", rounded])
        #expect(
            try succeed(["generate", "--model", rounded, "--prompt", "x"]).errors.contains("engine runtime"))
    }

    @Test("Logits by steps equal those of one pass, and a folder can be written again")
    func logits() throws {
        let folder = try TemporaryFolder()
        let model = try makeModel(in: folder)
        try folder.write("[[5, 6, 7, 8, 254], [9, 254]]", to: "sources.json")
        try folder.write("[[30, 31, 254], [40]]", to: "targets.json")
        let rows = ["--sources", folder.path("sources.json")]
        func run(_ model: String, _ name: String, _ more: [String] = []) throws -> Data {
            let path = folder.path(name)
            try succeed(
                [
                    "t5", "logits", "--model", model, "--targets", folder.path("targets.json"), "--output",
                    path,
                ]
                    + rows + more)
            return try Data(contentsOf: URL(fileURLWithPath: path))
        }
        let whole = try run(model, "whole.safetensors")
        #expect(try run(model, "steps.safetensors", ["--steps"]).count == whole.count)
        let copy = folder.path("copy")
        try succeed(["t5", "convert", "--model", model, "--output", copy])
        #expect(try run(copy, "again.safetensors") == whole)
        let outputs = try succeed(["t5", "generate", "--model", copy, "--max-tokens", "4"] + rows).json()
        #expect((outputs["outputs"] as? [Any])?.count == 2)
    }

    @Test("What makes no sense is refused with the reason")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let model = try makeModel(in: folder)
        func refused(_ arguments: [String], _ text: String) throws {
            let outcome = try RunningCommand(arguments).wait()
            #expect(outcome.status != 0)
            #expect(outcome.errors.contains(text), "\(outcome.errors)")
        }
        let generate = ["generate", "--model", model, "--prompt", "x"]
        try refused(generate + ["--temperature", "0.5", "--engine", "libtorch"], "--temperature")
        try refused(generate + ["--seed", "1", "--beams", "2"], "it has no search with 2 beams")
        try refused(generate + ["--engine", "runtime", "--beams", "2"], "it has no search with 2 beams")
        try refused(generate + ["--state-out", folder.path("s")], "--state-out")
        try refused(generate + ["--add-bos", "yes"], "--add-bos")
        try refused(generate + ["--beams", "2", "--outputs", "3"], "number of outputs")
        try refused(generate + ["--length-penalty", "nan"], "length penalty")
        try folder.write("[[1, 999]]", to: "rows.json")
        try refused(
            ["t5", "generate", "--model", model, "--sources", folder.path("rows.json")], "vocabulary of 260")
        try folder.write("[1, 2]", to: "flat.json")
        try refused(
            ["t5", "generate", "--model", model, "--sources", folder.path("flat.json")], "row 0")
        try refused(["t5", "create", "--preset", "t5-smal", "--output", folder.path("x")], "t5-small")
        try folder.write("vocabulary_size: 260\nhidden_siz: 4\n", to: "bad.yaml")
        try refused(
            ["t5", "create", "--config", folder.path("bad.yaml"), "--output", folder.path("x")], "hidden_siz")
        try refused(["bench", "t5", "--preset", "t5-small", "--dropout", "1"], "--dropout")
    }

    @Test("A benchmark of a small T5 gives its figures")
    func bench() throws {
        let folder = try TemporaryFolder()
        let model = try makeModel(in: folder)
        let common = [
            "bench", "t5", "--model", model, "--batch", "2", "--input-length", "8", "--target-length", "4",
            "--repetitions", "1", "--json",
        ]
        for more in [[], ["--decode", "--beams", "2"]] {
            #expect(try succeed(common + more).json()["tokens_per_second"] as? Double ?? 0 > 0)
        }
    }
}
