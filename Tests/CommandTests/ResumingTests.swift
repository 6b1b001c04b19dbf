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

@Suite struct ResumingTests {
    @Test("A run killed at random moments and resumed equals one that was never interrupted, bit for bit")
    func killedRun() throws {
        let folder = try TemporaryFolder()
        let steps = 120
        try succeed(TinyModel.arguments(in: folder, steps: steps, checkpointInterval: 7, run: "whole"))
        let arguments = try TinyModel.arguments(
            in: folder, steps: steps, checkpointInterval: 7, run: "killed")
        var delays: [Double] = []
        for attempt in 0..<5 {
            let command = try RunningCommand(arguments + (attempt == 0 ? [] : ["--resume"]))
            let delay = Double.random(in: 0.05...1.2)
            delays.append(delay)
            Thread.sleep(forTimeInterval: delay)
            command.signal(SIGKILL)
            let outcome = try command.wait()
            // Killed, or finished before the signal came; before the folder was made there is nothing to resume.
            #expect(
                [-SIGKILL, 0].contains(outcome.status) || outcome.errors.contains("there is no run to resume")
            )
        }
        let resumes = folder.exists("killed") ? ["--resume"] : []
        let last = try RunningCommand(arguments + resumes).wait()
        #expect(last.status == 0, "\(last.errors) after \(delays)")
        #expect(try losses(ofRun: folder.path("killed")) == losses(ofRun: folder.path("whole")), "\(delays)")
        #expect(try losses(ofRun: folder.path("killed")).count == steps)
        #expect(
            try weights(ofRun: folder.path("killed")) == weights(ofRun: folder.path("whole")), "\(delays)")
    }

    @Test(
        "A signal ends a run cleanly with everything saved, and the run resumes exactly",
        arguments: [SIGINT, SIGTERM])
    func signalledRun(number: Int32) throws {
        let folder = try TemporaryFolder()
        let steps = 20_000
        let arguments = try TinyModel.arguments(in: folder, steps: steps) + ["--json"]
        let command = try RunningCommand(arguments)
        // Until the run is under way, a signal would have nothing to save. The last line may be half written.
        for _ in 0..<600 where (try? folder.text("run/metrics.jsonl").contains("\n")) != true {
            Thread.sleep(forTimeInterval: 0.02)
        }
        command.signal(number)
        let outcome = try command.wait()
        #expect(outcome.status == 1, "\(outcome.errors)")
        let report = try outcome.json()
        #expect(report["reason"] as? String == "interrupted")
        let step = try #require(report["step"] as? Int)
        #expect(step > 0 && step < steps)
        let more = ["--resume", "--steps", "\(step + 5)"]
        #expect(try succeed(arguments + more).json()["step"] as? Int == step + 5)
        #expect(try losses(ofRun: folder.path("run")).count == step + 5)
    }

    @Test("A run is not resumed with settings that would change its course, nor begun twice")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder, steps: 3)
        let changed = try retnet("train", "--out", run, "--resume", "--set", "optimizer.learning_rate=0.5")
        #expect(changed.status == 1)
        #expect(changed.errors.contains("optimizer.learning_rate"))
        let again = try RunningCommand(TinyModel.arguments(in: folder, steps: 3)).wait()
        #expect(again.status == 1)
        #expect(again.errors.contains("--resume"))
        #expect(try losses(ofRun: run).count == 3)
    }

    @Test("A truncated newest checkpoint is passed over for the one before")
    func brokenCheckpoint() throws {
        let folder = try TemporaryFolder()
        let arguments = try TinyModel.arguments(in: folder, steps: 20, checkpointInterval: 8)
        try succeed(arguments)
        let weights = folder.url("run/checkpoints/step-00000020/model.safetensors")
        let handle = try FileHandle(forWritingTo: weights)
        try handle.truncate(atOffset: 1000)
        try handle.close()
        let outcome = try succeed(arguments + ["--resume"])
        #expect(outcome.errors.contains("warning:"))
        #expect(outcome.errors.contains("after step 16"))
    }
}
