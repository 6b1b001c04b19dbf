import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

@Suite struct ModelCommandTests {
    @Test("Perplexity is the same in all three forms, with any chunk length and window")
    func perplexity() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let text = folder.path("text.txt")
        var values: [Double] = []
        for options in [
            ["--form", "parallel"], ["--form", "chunkwise:7"], ["--form", "recurrent"], ["--window", "100"],
            ["--form", "chunkwise:64", "--window", "1000"],
        ] {
            let report = try succeed(
                ["eval", "perplexity", "--model", run, "--data", text, "--json"] + options
            ).json()
            values.append(try #require(report["nats_per_token"] as? Double))
            #expect(report["tokens"] as? Int ?? 0 >= TinyModel.text.utf8.count)
        }
        for value in values { #expect(abs(value - values[0]) < 1e-5 * values[0]) }
        let windows = try succeed([
            "eval", "perplexity", "--model", run, "--data", text, "--context", "16", "--json",
        ]).json()
        #expect(try #require(windows["nats_per_token"] as? Double) != values[0])
    }

    @Test("Generation saved and continued gives the text of one run, for any form of reading the prompt")
    func continuation() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let common = ["generate", "--model", run, "--seed", "5", "--dtype", "float32", "--ignore-end"]
        let whole = try succeed(common + ["--prompt", "Line 7", "-n", "60"]).output
        let first = try succeed(
            common + ["--prompt", "Line 7", "-n", "25", "--state-out", folder.path("state")]
        ).output
        let second = try succeed(
            common.filter { $0 != "--seed" && $0 != "5" } + ["--state-in", folder.path("state"), "-n", "35"]
        ).output
        #expect(first.dropLast() + second.dropLast() == whole.dropLast())
        for form in ["parallel", "recurrent", "chunkwise:2"] {
            let text = try succeed(common + ["--prompt", "Line 7", "-n", "60", "--prefill-form", form]).output
            #expect(text == whole)
        }
    }

    @Test("A dense model becomes a recycled one with the same perplexity and is trained further")
    func altUp() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let output = folder.path("recycled")
        let report = try succeed(
            ["altup", "--model", run, "--blocks", "2", "--output", output, "--json"]
        ).json()
        #expect(report["added_parameters"] as? Int == 2 * 6)
        func loss(_ model: String) throws -> Double {
            let report = try succeed([
                "eval", "perplexity", "--model", model, "--data", folder.path("text.txt"), "--json",
            ]).json()
            return try #require(report["nats_per_token"] as? Double)
        }
        #expect(abs(try loss(run) - loss(output)) < 1e-5)
        let refused = try RunningCommand(
            ["altup", "--model", output, "--output", folder.path("again")], input: nil
        ).wait()
        #expect(refused.status == 1 && refused.errors.contains("altup"))
    }

    @Test("A batch of prompts gives what each prompt gives alone, and JSON tells all about it")
    func batch() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let common = [
            "generate", "--model", run, "--temperature", "0", "-n", "20", "--dtype", "float32", "--json",
        ]
        let both = try succeed(common + ["--prompt", "Line 1: the", "--prompt", "hens"]).json()
        let results = try #require(both["results"] as? [[String: Any]])
        #expect(results.count == 2)
        for (result, prompt) in zip(results, ["Line 1: the", "hens"]) {
            let alone = try succeed(common + ["--prompt", prompt]).json()["results"] as? [[String: Any]]
            #expect(result["text"] as? String == alone?.first?["text"] as? String)
            #expect(result["prompt_tokens"] as? Int == prompt.utf8.count + 1)
            #expect(result["seed"] is String)
        }
        let piped = try RunningCommand(common + ["-"], input: "hens").wait()
        let text = (try piped.json()["results"] as? [[String: Any]])?.first?["text"] as? String
        #expect(text == results[1]["text"] as? String)
    }

    @Test("The speed of generation stands beside the bound by the memory's speed")
    func bench() throws {
        let arguments = [
            "bench", "decode", "--preset", "retnet-1m", "--positions", "16,64", "--max-tokens", "2",
            "--repetitions", "1", "--device", "cpu", "--dtype", "float32", "--threads", "1",
        ]
        let object = try succeed(arguments + ["--json"]).json()
        let weights = try #require(object["weight_bytes_per_step"] as? Int)
        let rate = try #require(object["memory_bytes_per_second"] as? Double)
        let parameters = try #require(object["parameters"] as? Int)
        #expect(weights > 0 && weights <= 4 * parameters && rate > 0)
        for result in try #require(object["results"] as? [[String: Any]]) {
            let bound = try #require(result["bound_seconds"] as? Double)
            let state = try #require(result["state_bytes"] as? Int)
            #expect(abs(bound * rate - Double(weights + state)) < 1)
        }
        let text = try succeed(arguments).output
        #expect(text.contains("bound in ms") && text.contains("GB/s as read here by 1 thread"))
    }

    @Test("Logits have the promised shape, and agree between forms and across a saved state")
    func logits() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        func logits(_ tokens: String, _ options: [String] = []) throws -> (shape: [Int], values: [Float]) {
            let path = folder.path("logits-\(UUID().uuidString)")
            try succeed(
                ["logits", "--model", run, "--tokens", "-", "--output", path] + options, input: tokens)
            let file = try SafetensorsFile(path: path)
            let entry = try #require(file.entry(named: "logits"))
            #expect(entry.elementType == .float32)
            let values = try file.withUnsafeBytes(of: entry.name) { floats($0) }
            return (entry.shape, values)
        }
        let whole = try logits("[[1,2,3,4,5],[250,7,7,7,0]]")
        #expect(whole.shape == [2, 5, 256])
        for form in ["recurrent", "chunkwise:2"] {
            let other = try logits("[[1,2,3,4,5],[250,7,7,7,0]]", ["--form", form])
            #expect(zip(whole.values, other.values).allSatisfy { abs($0 - $1) < 1e-4 })
        }
        _ = try logits("[[1,2,3],[250,7,7]]", ["--state-out", folder.path("state")])
        let rest = try logits("[[4,5],[7,0]]", ["--state-in", folder.path("state")])
        for row in 0..<2 {
            let expected = whole.values[(row * 5 + 3) * 256..<(row + 1) * 5 * 256]
            let found = rest.values[row * 2 * 256..<(row + 1) * 2 * 256]
            #expect(zip(expected, found).allSatisfy { abs($0 - $1) < 1e-4 })
        }
    }

    @Test("A token file stands for the text that it was made from")
    func tokenFile() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let text = folder.path("text.txt")
        let report = try succeed(["tokenize", "--data", text, "-o", folder.path("text.rtok"), "--json"])
            .json()
        #expect(report["tokens"] as? Int == TinyModel.text.utf8.count)
        let command = ["eval", "perplexity", "--model", run, "--json", "--data"]
        let fromText = try succeed(command + [text]).json()["total_nats"] as? Double
        let fromTokens = try succeed(command + [folder.path("text.rtok")]).json()["total_nats"] as? Double
        #expect(fromText == fromTokens)
    }

    @Test(
        "Every benchmark reports speed and memory",
        arguments: [
            ["train", "--batch", "2", "--length", "32"], ["prefill", "--length", "64"],
            ["decode", "--positions", "10,1000", "--max-tokens", "3"],
        ])
    func bench(arguments: [String]) throws {
        let report = try succeed(
            ["bench"] + arguments + [
                "--preset", "retnet-1m", "--repetitions", "2", "--threads", "1", "--json",
            ]
        ).json()
        #expect(report["peak_bytes"] as? Int ?? 0 > 0)
        let results = report["results"] as? [[String: Any]] ?? [report]
        for result in results {
            #expect(result["tokens_per_second"] as? Double ?? 0 > 0)
            #expect(result["flops_per_second"] as? Double ?? 0 > 0)
        }
        if arguments[0] == "decode" {
            #expect(results.map { $0["position"] as? Int } == [10, 1000])
            #expect(Set(results.map { $0["state_bytes"] as? Int }).count == 1)
        }
    }

    @Test("Comparisons in turns measure all of their models")
    func comparisons() throws {
        let small = ["--batch", "1", "--length", "16", "--rounds", "1", "--threads", "1", "--json"]
        let altUp = try succeed(["bench", "altup", "--preset", "retnet-1m", "--blocks", "2"] + small).json()
        let models = try #require(altUp["results"] as? [[String: Any]])
        #expect(models.map { $0["name"] as? String } == ["dense", "Recycled-AltUp, K = 2", "AltUp, K = 2"])
        #expect(models.first?["training_ratio"] as? Double == 1)
        #expect(Set(models.map { $0["state_bytes"] as? Int }).count == 1)
        let shape = ["--only", "retnet,transformer", "--width", "32", "--layers", "1", "--positions", "8,32"]
        let all = try succeed(["bench", "architectures"] + shape + small).json()
        let architectures = try #require(all["results"] as? [[String: Any]])
        #expect(architectures.map { $0["architecture"] as? String } == ["retnet", "transformer"])
        for result in architectures { #expect((result["decoding"] as? [Any])?.count == 2) }
    }

    @Test("The demo runs through on its own stories and again on the user's text")
    func demo() throws {
        let folder = try TemporaryFolder()
        let arguments = [
            "demo", "--preset", "retnet-1m", "--steps", "4", "--out", folder.path("demo"), "--threads", "1",
        ]
        let stories = try succeed(arguments)
        for part in ["answers are right", "bits per byte", "100,000"] {
            #expect(stories.output.contains(part))
        }
        for name in ["loss.svg", "loss.png", "decode.svg", "decode.png", "stories.txt"] {
            #expect(folder.exists("demo/\(name)"))
        }
        let text = try folder.write(TinyModel.text, to: "text.txt")
        let own = try succeed(arguments + ["--data", text])
        #expect(!own.output.contains("answers are right"))
        #expect(!folder.exists("demo/stories.txt"))
    }
}
