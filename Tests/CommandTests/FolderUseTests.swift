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

/// Two processes that write one place.
@Suite struct FolderUseTests {
    /// Waits until a file is there.
    private func wait(for path: String) throws {
        for _ in 0..<1000 {
            if FileManager.default.fileExists(atPath: path) { return }
            Thread.sleep(forTimeInterval: 0.02)
        }
        throw CommandFailure("'\(path)' has not appeared")
    }

    @Test("A run that starts while another reads its text is refused, and the first is as if it were alone")
    func runs() throws {
        let folder = try TemporaryFolder()
        let pipe = try Pipe("pipe", in: folder)
        let arguments = try TinyModel.arguments(in: folder, steps: 12)
        let first = try RunningCommand(arguments.map { $0 == folder.path("text.txt") ? pipe.path : $0 })
        try wait(for: folder.path("run/run.lock"))
        for extra in [[], ["--resume"]] {
            let second = try RunningCommand(arguments + extra).wait()
            #expect(second.status == 1)
            #expect(second.errors.contains("another process is training in"), "\(second.errors)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("run")) == ["run.lock"])
        pipe.give(TinyModel.text)
        let outcome = try first.wait()
        #expect(outcome.status == 0, "\(outcome.errors)")
        try succeed(TinyModel.arguments(in: folder, steps: 12, run: "alone"))
        #expect(try losses(ofRun: folder.path("run")) == losses(ofRun: folder.path("alone")))
    }

    @Test("A token file that appears while another is made under its name is kept")
    func outputs() throws {
        let folder = try TemporaryFolder()
        let pipe = try Pipe("pipe", in: folder)
        let output = folder.path("o.rtok")
        // When the command reads its text it has found that there is no output yet.
        pipe.give("text", after: { try? Data("precious".utf8).write(to: URL(fileURLWithPath: output)) })
        let outcome = try retnet("tokenize", "--data", pipe.path, "-o", output)
        #expect(outcome.status == 1 && outcome.errors.contains("already exists"), "\(outcome.errors)")
        #expect(try folder.text("o.rtok") == "precious")
        let text = try folder.write("text", to: "text.txt")
        let stream = try retnet("tokenize", "--data", text, "-o", "/dev/null")
        #expect(stream.status == 1 && stream.errors.contains("must be a file"), "\(stream.errors)")
    }

    @Test("A demo leaves another demo's folder alone, and a run in it that is being trained")
    func demos() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path("demo/run"), withIntermediateDirectories: true)
        try folder.write("", to: "demo/demo.txt")
        try folder.write("precious", to: "demo/run/config.yaml")
        for name in ["demo/demo.lock", "demo/run/run.lock"] {
            let lock = open(folder.path(name), O_CREAT | O_RDWR, 0o600)
            #expect(flock(lock, LOCK_EX | LOCK_NB) == 0)
            defer { close(lock) }
            let outcome = try retnet("demo", "--out", folder.path("demo"), "--steps", "1")
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("wait for it to end"), "\(outcome.errors)")
            #expect(try folder.text("demo/run/config.yaml") == "precious")
        }
    }

    @Test("An experiment in a folder where another one runs is refused")
    func experiments() throws {
        let folder = try TemporaryFolder()
        let pipe = try Pipe("pipe", in: folder)
        try FileManager.default.createDirectory(
            atPath: folder.path("out"), withIntermediateDirectories: true)
        let lock = open(folder.path("out/experiment.lock"), O_CREAT | O_RDWR, 0o600)
        #expect(flock(lock, LOCK_EX | LOCK_NB) == 0)
        defer { close(lock) }
        pipe.give(TinyModel.text)
        let outcome = try retnet(
            "reproduce", "architectures", "--out", folder.path("out"), "--contenders", "retnet", "--data",
            pipe.path)
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("another experiment is running"), "\(outcome.errors)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path("out")) == ["experiment.lock"])
    }
}
