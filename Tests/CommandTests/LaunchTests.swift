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
        // Rounding grows from step to step.
        for (step, loss) in expected where step <= 30 {
            #expect(abs((found[step] ?? 0) - loss) < 1e-4 * loss, "step \(step)")
        }
        for (step, loss) in expected { #expect(abs((found[step] ?? 0) - loss) < 0.1 * loss, "step \(step)") }
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
