import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetDistributed

@Suite struct LocalLaunchTests {
    /// Runs a shell script on two ranks.
    private func launch(
        _ script: String, in folder: TemporaryFolder, interrupted: (LocalLaunch) -> Bool = { _ in false }
    ) throws -> (LocalLaunch, LocalLaunch.Outcome) {
        let launch = try LocalLaunch(
            2, of: "/bin/sh", arguments: ["-c", script], folder: folder.url.path,
            environment: ["PATH": "/usr/bin:/bin", "FOLDER": folder.url.path])
        launch.grace = 0.2
        return (launch, try launch.wait { interrupted(launch) })
    }

    @Test("Every rank has its variables, and rank 1 its file")
    func variables() throws {
        let folder = try TemporaryFolder()
        let script = """
            echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR $TORCHELASTIC_USE_AGENT_STORE" > $FOLDER/$RANK
            if [ $RANK = 1 ]; then echo out; echo err >&2; fi
            [ "$OMP_NUM_THREADS" -ge 1 ] && [ "$MASTER_PORT" -gt 0 ]
            """
        let (launch, outcome) = try launch(script, in: folder)
        #expect(outcome == .success)
        #expect(try folder.text("0") == "0/2 0/2 127.0.0.1 True\n")
        #expect(try folder.text("1") == "1/2 1/2 127.0.0.1 True\n")
        #expect(try String(contentsOfFile: launch.outputPath(rank: 1), encoding: .utf8) == "out\nerr\n")
    }

    @Test("The first rank that fails is named, and the others are ended")
    func failures() throws {
        let folder = try TemporaryFolder()
        let killed = try launch("if [ $RANK = 1 ]; then kill -9 $$; fi; sleep 60", in: folder)
        #expect(killed.1 == .killed(rank: 1, signal: "signal 9 (SIGKILL)"))
        let failed = try launch(
            "if [ $RANK = 1 ]; then echo 'error: no space'; exit 3; fi; sleep 60", in: folder)
        #expect(failed.1 == .failure(rank: 1, exitCode: 3))
        #expect(failed.0.lastError(rank: 1) == "no space")
        let first = try launch("if [ $RANK = 0 ]; then exit 64; fi; sleep 60", in: folder)
        #expect(first.1 == .failure(rank: 0, exitCode: 64))
    }

    @Test("A request to end reaches all ranks once")
    func interruption() throws {
        let folder = try TemporaryFolder()
        let script = """
            trap 'echo ended >> $FOLDER/$RANK; exit 0' TERM
            touch $FOLDER/ready$RANK
            while true; do sleep 0.02; done
            """
        let (_, outcome) = try launch(script, in: folder) { _ in
            folder.exists("ready0") && folder.exists("ready1")
        }
        #expect(outcome == .success)
        #expect(try folder.text("0") == "ended\n")
        #expect(try folder.text("1") == "ended\n")
    }
}
