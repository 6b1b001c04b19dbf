import Foundation
import RetNetTestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct LaunchTests {
    /// The arguments of a run without dropout, whose losses do not depend on the number of ranks.
    private func arguments(
        in folder: TemporaryFolder, steps: Int, checkpointInterval: Int = 0, run: String = "run"
    ) throws -> [String] {
        try TinyModel.arguments(in: folder, steps: steps, checkpointInterval: checkpointInterval, run: run)
            + [
                "--set", "model.dropout.residual=0", "--set", "schedule.kind=constant", "--rank-timeout",
                "60",
            ]
    }

    private func values(ofRun path: String) throws -> [Int: Double] {
        try losses(ofRun: path).compactMapValues { UInt64($0, radix: 16).map { Double(bitPattern: $0) } }
    }

    private func expectSameLosses(_ found: String, _ expected: String, count: Int) throws {
        let (found, expected) = (try values(ofRun: found), try values(ofRun: expected))
        #expect(found.count == count && expected.count == count)
        // Rounding grows from step to step; later only means of many are equal.
        for (step, loss) in expected where step <= 30 {
            #expect(abs((found[step] ?? 0) - loss) < 1e-4 * loss, "step \(step)")
        }
        for end in stride(from: 50, through: count, by: 50) {
            let window = (end - 49...end)
            let mean = window.reduce(0) { $0 + (found[$1] ?? 0) } / 50
            let loss = window.reduce(0) { $0 + (expected[$1] ?? 0) } / 50
            #expect(abs(mean - loss) < 0.1 * loss, "steps \(window)")
        }
    }

    /// Waits until the run of two ranks has a checkpoint, and returns the process of rank 1.
    private func processOfRankOne(_ folder: TemporaryFolder, _ command: RunningCommand) throws -> Int32 {
        for _ in 0..<1500 where command.isRunning && !folder.exists("run/checkpoints/latest") {
            Thread.sleep(forTimeInterval: 0.02)
        }
        // The last start; a restarted rank appends.
        let lines = try folder.text("run/ranks/rank-1.jsonl").split(separator: "\n")
        let starts = try lines.compactMap {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }.compactMap { $0["process"] as? Int }
        return Int32(try #require(starts.last))
    }

    @Test("Two launched ranks have the losses of one process, and rank 0 alone prints")
    func launchedTraining() throws {
        let folder = try TemporaryFolder()
        try succeed(arguments(in: folder, steps: 10, run: "alone"))
        let launched = ["launch", "-n", "2", "--logs", folder.path("logs"), "--"]
        let outcome = try succeed(launched + arguments(in: folder, steps: 10) + ["--json"])
        #expect(try outcome.json()["step"] as? Int == 10)
        #expect(outcome.errors.contains("2 ranks of 1 threads"))
        #expect(try folder.names("logs") == ["rank-1.log"])
        #expect(try folder.text("logs/rank-1.log") == "")
        try expectSameLosses(folder.path("run"), folder.path("alone"), count: 10)
    }

    @Test(
        "A killed rank ends all with one message, nothing saved is lost, and the run goes on by --auto-resume"
    )
    func killedRank() throws {
        let folder = try TemporaryFolder()
        let training = try arguments(in: folder, steps: 4000, checkpointInterval: 20) + ["--auto-resume"]
        let launched = ["launch", "-n", "2", "--logs", folder.path("logs"), "--"] + training
        let command = try RunningCommand(launched)
        let process = try processOfRankOne(folder, command)
        kill(process, SIGKILL)
        let outcome = try command.wait()
        #expect(outcome.status == 1)
        let messages = outcome.errors.split(separator: "\n").filter { $0.contains("error:") }
        #expect(messages.count == 1, "\(outcome.errors)")
        #expect(
            messages.first?.contains("rank 1 was ended by signal 9 (SIGKILL)") ?? false, "\(outcome.errors)")
        let saved = try #require(Int(folder.text("run/checkpoints/latest").filter(\.isNumber)))
        #expect(saved > 0 && saved < 4000)
        let more = ["--set", "steps=\(saved + 5)"]
        let resumed = try succeed(launched + more)
        #expect(resumed.errors.contains("resuming"))
        try succeed(arguments(in: folder, steps: saved + 5, run: "alone"))
        try expectSameLosses(folder.path("run"), folder.path("alone"), count: saved + 5)
    }

    @Test("A signal to the launcher ends all ranks after the same step, with everything saved")
    func signalledLauncher() throws {
        let folder = try TemporaryFolder()
        let training = try arguments(in: folder, steps: 20_000, checkpointInterval: 20)
        let command = try RunningCommand(["launch", "-n", "2", "--"] + training + ["--json"])
        _ = try processOfRankOne(folder, command)
        command.signal(SIGTERM)
        let outcome = try command.wait()
        #expect(outcome.status == 1)
        #expect(try outcome.json()["reason"] as? String == "interrupted")
        #expect(!outcome.errors.contains("error:"), "\(outcome.errors)")
    }

    @Test("Layers on two ranks have the losses of one process, and a mesh that does not fit is refused")
    func launchedMesh() throws {
        let folder = try TemporaryFolder()
        try succeed(arguments(in: folder, steps: 6, run: "alone"))
        let launched = ["launch", "-n", "2", "--logs", folder.path("logs"), "--"]
        let mesh = ["--mesh", "data=1,sequence=1,tensor=2"]
        let outcome = try succeed(launched + arguments(in: folder, steps: 6) + mesh + ["--json"])
        let parameters = try outcome.json()["parameters"] as? Int
        let whole = try succeed(["info", "--model", folder.path("alone"), "--json"]).json()
        #expect(parameters != nil && parameters == whole["parameters"] as? Int)
        try expectSameLosses(folder.path("run"), folder.path("alone"), count: 6)
        for (mesh, words) in [
            ("tensor=4", "needs a multiple of 4 ranks, but the run has 2"),
            ("data=2,tensor=2", "needs 4 ranks, but the run has 2"),
            ("tensor=0", "'0' is no number of ranks"),
            ("pipeline=2", "no axis 'pipeline'"),
        ] {
            let refused = try RunningCommand(
                launched + arguments(in: folder, steps: 6, run: "refused") + ["--mesh", mesh]
            ).wait()
            #expect(refused.status != 0 && refused.errors.contains(words), "\(refused.errors)")
            #expect(!folder.exists("refused"))
        }
        let alone = try RunningCommand(
            arguments(in: folder, steps: 6, run: "refused") + ["--mesh", "tensor=2"]
        ).wait()
        #expect(alone.status == 1 && alone.errors.contains("but the run has 1"), "\(alone.errors)")
    }

    @Test("Two ranks measure and generate what one process does")
    func launchedEvaluation() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        try folder.write(
            (0..<40).map { "Line \($0): the fox has \($0 * 7 % 100) hens.\n\n" }.joined(), to: "documents.txt"
        )
        let launched = ["launch", "-n", "2", "--"]
        func both(_ arguments: [String]) throws -> [[String: Any]] {
            try [[], launched].map { try succeed($0 + arguments + ["--json"]).json() }
        }
        let perplexity = [
            "eval", "perplexity", "--model", run, "--data", folder.path("documents.txt"),
            "--document-separator", "blank_lines:1",
        ]
        for options in [["--reset-at-documents"], ["--context", "48", "--batch", "2"]] {
            let trees = try both(perplexity + options)
            for key in ["tokens", "bytes"] { #expect(trees[0][key] as? Int == trees[1][key] as? Int) }
            let nats = trees.map { $0["total_nats"] as? Double ?? .nan }
            #expect(abs(nats[0] - nats[1]) < 1e-9 * nats[0], "\(nats)")
        }
        let carried = try RunningCommand(launched + perplexity).wait()
        #expect(carried.status == 1 && carried.errors.contains("--reset-at-documents"), "\(carried.errors)")

        let lines = (0..<9).map {
            "{\"goal\": \"Line \($0)\", \"sol1\": \"the fox\", \"sol2\": \"and hens\", \"label\": \($0 % 2)}"
        }
        try folder.write(lines.joined(separator: "\n"), to: "piqa.jsonl")
        let tasks = [
            "eval", "tasks", "--model", run, "--data", "piqa=" + folder.path("piqa.jsonl"), "--data",
            "piqa:train=" + folder.path("piqa.jsonl"),
        ]
        for shots in ["0", "2"] {
            let results = try both(tasks + ["--shots", shots]).map {
                ($0["results"] as? [String: Any])?["piqa"] as? [String: Any] ?? [:]
            }
            for key in ["acc,none", "acc_norm,none", "acc_stderr,none"] {
                #expect(results[0][key] as? Double != nil)
                #expect(results[0][key] as? Double == results[1][key] as? Double, "\(key)")
            }
        }

        let prompts = ["Line", "the fox", "and"].flatMap { ["--prompt", $0] }
        let texts = try both(["generate", "--model", run, "-n", "8", "--seed", "4"] + prompts).map { tree in
            (tree["results"] as? [[String: Any]] ?? []).map {
                "\($0["text"] ?? "") \($0["seed"] ?? "") \($0["tokens"] ?? "")"
            }
        }
        #expect(texts[0].count == 3 && texts[0] == texts[1])
    }

    @Test(
        "Mistakes are refused with a message: what to launch, what only one rank has, a folder that is taken")
    func refusals() throws {
        let folder = try TemporaryFolder()
        for arguments in [
            ["launch", "-n", "2"], ["launch", "-n", "0", "--", "train"], ["launch", "--", "train"],
        ] {
            #expect(try RunningCommand(arguments).wait().status == 64)
        }
        let usage = try retnet("launch", "-n", "2", "--", "train", "--nonsense")
        #expect(usage.status == 64)
        let run = try TinyModel.train(in: folder, steps: 2)
        let taken = try RunningCommand(["launch", "-n", "2", "--"] + arguments(in: folder, steps: 3)).wait()
        #expect(taken.status == 1)
        #expect(
            taken.errors.split(separator: "\n").filter { $0.contains("error:") }.count == 1, "\(taken.errors)"
        )
        #expect(taken.errors.contains("--auto-resume"))
        #expect(try losses(ofRun: run).count == 2)
        let environment = ["RANK": "1", "WORLD_SIZE": "", "MASTER_ADDR": ""]
        let lonely = try RunningCommand(arguments(in: folder, steps: 3, run: "b"), environment: environment)
            .wait()
        #expect(lonely.status == 1)
        #expect(lonely.errors.contains("WORLD_SIZE"))
    }

    @Test(
        "torchrun trains, and after a kill starts the ranks again, which resume by themselves",
        .enabled(if: LaunchTests.torchrun != nil, "torchrun is not in PATH"))
    func torchrunRestarts() throws {
        let folder = try TemporaryFolder()
        let training = try arguments(in: folder, steps: 400, checkpointInterval: 20)
        let command = try RunningCommand(
            ["--standalone", "--nproc-per-node", "2", "--max-restarts", "2", "--no-python", "retnet"]
                + training,
            program: #require(Self.torchrun))
        let process = try processOfRankOne(folder, command)
        kill(process, SIGKILL)
        let outcome = try command.wait()
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("resuming"), "\(outcome.errors)")
        try succeed(arguments(in: folder, steps: 400, run: "alone"))
        try expectSameLosses(folder.path("run"), folder.path("alone"), count: 400)
    }

    static var torchrun: String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").map { $0 + "/torchrun" }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }
}
