import Foundation
import RetNetServing
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// The built program as a user runs it.
@Suite struct ProgramTests {
    /// A running server that is ended with the value.
    final class Program: @unchecked Sendable {
        // Sendable: the process may be used from any thread.
        let process = Process()
        let port: Int
        private let lines: AsyncStream<String>

        init(_ arguments: [String]) async throws {
            let errors = Pipe()
            process.executableURL = Self.url
            process.arguments = arguments
            process.standardError = errors
            process.standardOutput = FileHandle.nullDevice
            let (lines, continuation) = AsyncStream<String>.makeStream()
            self.lines = lines
            let handle = errors.fileHandleForReading
            Thread.detachNewThread {
                var text: [UInt8] = []
                while true {
                    let data = handle.availableData
                    guard !data.isEmpty else { break }
                    text += data
                    while let end = text.firstIndex(of: 0x0A) {
                        continuation.yield(String(decoding: text[..<end], as: UTF8.self))
                        text.removeFirst(end + 1)
                    }
                }
                continuation.finish()
            }
            try process.run()
            var found: Int?
            var isReady = false
            for await line in lines {
                if let port = line.split(separator: ":").last.flatMap({ Int($0) }),
                    line.hasPrefix("listening")
                {
                    found = port
                }
                // The two come in either order.
                if line.hasPrefix("ready") { isReady = true }
                if isReady, found != nil { break }
            }
            port = try #require(found)
        }

        deinit { if process.isRunning { process.terminate() } }

        /// The program beside the tests.
        static let url = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("retnet-server")

        /// Waits for the end; returns the exit code, nil after ten seconds.
        func end() async -> Int32? {
            for _ in 0..<1000 {
                if !process.isRunning { return process.terminationStatus }
                try? await Task.sleep(for: .milliseconds(10))
            }
            return nil
        }
    }

    @Test func `SIGTERM waits for running requests, refuses others, and ends the program with 0`()
        async throws
    {
        let program = try await Program([
            "--model", Fixture.story.path, "--port", "0", "--threads", "1", "--log-level", "error",
            "--drain-timeout", "600",
        ])
        let client = TestClient(port: program.port)
        #expect(try await client.get("/health").status == 200)
        let endless = Task {
            try await client.complete([
                "prompt": "The fox", "max_tokens": 100_000_000, "ignore_eos": true, "stream": true,
            ])
        }
        while try await client.get("/health").json["generating"] != 1 {}
        program.process.terminate()
        var status = 200
        while status == 200 { status = try await client.get("/health").status }
        #expect(status == 503)
        #expect(try await client.complete(["prompt": "a"]).status == 503)
        #expect(program.process.isRunning)
        // The client goes, and with it the last request.
        endless.cancel()
        _ = try? await endless.value
        #expect(await program.end() == 0)
    }

    @Test(arguments: [["--model", "/nowhere"], ["--model", "x", "--parallel", "0"], []])
    func `what cannot work ends with a message and an exit code`(_ arguments: [String]) async throws {
        let process = Process()
        process.executableURL = Program.url
        process.arguments = arguments + (arguments.isEmpty ? [] : ["--port", "0"])
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == (arguments.count == 2 ? 1 : 64), "\(text)")
        #expect(text.lowercased().contains("error:"))
    }
}
