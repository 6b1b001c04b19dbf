import Foundation
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// `/v1/states` in a server with a folder, over restarts and ends of all kinds.
@Suite struct StateEndpointTests {
    /// A folder that goes with the value.
    private final class Folder: Sendable {
        let path = NSTemporaryDirectory() + "/retnet-server-\(UInt64.random(in: .min ... .max))"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private static func continued(_ client: TestClient, _ state: String) async throws -> String {
        let answer = try await client.complete(["state": .string(state), "max_tokens": 20, "temperature": 0])
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json.firstChoice?["text"]?.string ?? ""
    }

    @Test func `states are listed, saved, forked and deleted, in memory and in the folder`() async throws {
        let folder = Folder()
        let configuration = ServerConfiguration.testing { $0.stateFolder = folder.path }
        let names = ["memory", "saved", "talk"]
        let texts = try await withServerResult(configuration) { client in
            let first = try await client.complete([
                "prompt": "The cat", "max_tokens": 12, "temperature": 0, "save_state": "talk",
                "persist_state": true,
            ])
            #expect(first.json["state"]?["saved"] == true)
            #expect(first.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 0)
            let made = try await client.post("/v1/states", ["id": "saved", "prompt": "The owl"])
            #expect(made.json["saved"] == false && made.json["parent"] == .null)
            let saved = try await client.send("POST", "/v1/states/saved/save")
            #expect(saved.status == 200 && saved.json["saved"] == true)
            #expect(
                try await client.post("/v1/states", ["id": "memory", "from": "saved"]).json["parent"]
                    == "saved")
            #expect(try await client.send("POST", "/v1/states/none/save").status == 404)
            #expect(try await client.send("DELETE", "/v1/states/none").status == 404)
            #expect(try await client.send("PUT", "/v1/states/talk").status == 405)
            #expect(try await client.get("/v1/states/..%2F..%2Fetc").status == 404)
            let list = try await client.get("/v1/states").json
            #expect(list["data"]?.array.map { $0["id"]?.string } == names)
            #expect(list["data"]?.array.map { $0["saved"] } == [false, true, true])
            var texts: [String: String] = [:]
            for name in names { texts[name] = try await Self.continued(client, name) }
            return texts
        }
        #expect(texts["memory"] == texts["saved"])
        try await withServer(.story, configuration) { client, _ in
            let list = try await client.get("/v1/states").json["data"]?.array ?? []
            #expect(list.map { $0["id"]?.string } == ["saved", "talk"])
            #expect(list.map { $0["loaded"] } == [false, false])
            #expect(list.allSatisfy { ($0["bytes"]?.int ?? 0) > 0 })
            for name in ["saved", "talk"] {
                #expect(try await Self.continued(client, name) == texts[name])
            }
            #expect(try await client.get("/v1/states/memory").status == 404)
            #expect(try await client.get("/v1/states/talk").json["loaded"] == true)
            #expect(try await client.send("DELETE", "/v1/states/talk").status == 200)
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/talk.state"))
            // A request begins from one and leaves one.
            let next = try await client.complete([
                "state": "saved", "prompt": " sees", "max_tokens": 4, "temperature": 0, "save_state": "next",
            ])
            #expect(next.json["state"]?["tokens"] == 17)
            #expect(next.json["usage"]?["prompt_tokens"] == 13)
            #expect(next.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 8)
        }
    }

    private func withServerResult<R: Sendable>(
        _ configuration: ServerConfiguration, _ body: @Sendable @escaping (TestClient) async throws -> R
    ) async throws -> R {
        let (results, result) = AsyncStream<R>.makeStream()
        try await withServer(.story, configuration) { client, _ in result.yield(try await body(client)) }
        result.finish()
        for await value in results { return value }
        throw CancellationError()
    }

    @Test func `what prompts may begin with outlives a server that ends in order`() async throws {
        let folder = Folder()
        let configuration = ServerConfiguration.testing { $0.stateFolder = folder.path }
        let prompt = storyText(300)
        let body: JSONValue = ["prompt": .string(prompt + "A"), "max_tokens": 8, "temperature": 0]
        let text = try await withServerResult(configuration) { client in
            try await client.complete(body).json.firstChoice?["text"]?.string ?? ""
        }
        try await withServer(.story, configuration) { client, core in
            // Nothing was kept: the server before did not end in order.
            let first = try await client.complete(body)
            #expect(first.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 0)
            await core.drain()
        }
        try await withServer(.story, configuration) { client, core in
            let again = try await client.complete(body)
            #expect(again.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 302)
            #expect(again.json.firstChoice?["text"]?.string == text)
            await core.drain()
        }
        // Files of another model or damaged ones go.
        let prefixes = folder.path + "/prefixes"
        let files = try FileManager.default.contentsOfDirectory(atPath: prefixes)
        #expect(!files.isEmpty)
        for file in files { try Data("x".utf8).write(to: URL(fileURLWithPath: prefixes + "/" + file)) }
        try await withServer(.story, configuration) { client, _ in
            let answer = try await client.complete(body)
            #expect(answer.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 0)
            #expect(answer.json.firstChoice?["text"]?.string == text)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefixes).isEmpty)
    }

    @Test func `a text that the end of the server cuts off leaves its state if that was asked for`()
        async throws
    {
        let folder = Folder()
        try await withServer(
            .story,
            .testing {
                $0.stateFolder = folder.path
                $0.drainTimeout = .milliseconds(50)
            }
        ) { client, core in
            async let answer = client.complete([
                "prompt": "The cat", "max_tokens": 100_000_000, "ignore_eos": true, "temperature": 0,
                "save_state": "cut", "persist_state": true,
            ])
            let engine = try #require(core.engine)
            while engine.metrics.current.generatedTokens < 10 { try await Task.sleep(for: .milliseconds(1)) }
            await core.drain()
            let found = try await answer
            #expect(found.status == 200 && found.json.firstChoice?["finish_reason"] == "cancelled")
            #expect(found.json["state"]?["saved"] == true)
            let tokens = found.json["usage"]?["completion_tokens"]?.int ?? 0
            #expect(found.json["state"]?["tokens"]?.int == 8 + tokens)
        }
        #expect(FileManager.default.fileExists(atPath: folder.path + "/cut.state"))
    }

    @Test func `a program that is asked to end saves the texts that want it`() async throws {
        let folder = Folder()
        let program = try await ProgramTests.Program([
            "--model", Fixture.story.path, "--port", "0", "--threads", "1", "--log-level", "error",
            "--state-dir",
            folder.path, "--drain-timeout", "0",
        ])
        let client = TestClient(port: program.port)
        async let answer = client.complete([
            "prompt": "The cat", "max_tokens": 100_000_000, "ignore_eos": true, "save_state": "cut",
            "persist_state": true, "stream": true,
        ])
        while try await client.get("/health").json["generating"] != 1 {}
        program.process.terminate()
        let found = try await answer
        #expect(found.events.last == "[DONE]" && found.chunks.last?["state"]?["saved"] == true)
        #expect(await program.end() == 0)
        #expect(FileManager.default.fileExists(atPath: folder.path + "/cut.state"))
    }

    @Test func `a server that is killed while it saves leaves whole states only`() async throws {
        let folder = Folder()
        let arguments = [
            "--model", Fixture.story.path, "--port", "0", "--threads", "1", "--log-level", "error",
            "--state-dir",
            folder.path,
        ]
        var expected: [String: String] = [:]
        for round in 0..<3 {
            let program = try await ProgramTests.Program(arguments)
            let client = TestClient(port: program.port)
            for (name, text) in expected {
                #expect(try await Self.continued(client, name) == text, "\(name), round \(round)")
            }
            if round == 0 {
                for name in ["a", "b"] {
                    let made = try await client.complete([
                        "prompt": .string("The \(name)"), "max_tokens": 9, "temperature": 0,
                        "save_state": .string(name), "persist_state": true,
                    ])
                    #expect(made.json["state"]?["saved"] == true)
                    expected[name] = try await Self.continued(client, name)
                }
            }
            // The same states again and again, so that at any time one is being written.
            let writers = (0..<4).map { index in
                Task {
                    while !Task.isCancelled {
                        let name = index % 2 == 0 ? "a" : "b"
                        _ = try? await client.complete([
                            "prompt": .string("The \(name)"), "max_tokens": 9, "temperature": 0,
                            "save_state": .string(name), "replace_state": true, "persist_state": true,
                        ])
                    }
                }
            }
            try await Task.sleep(for: .milliseconds(150 + 70 * round))
            kill(program.process.processIdentifier, SIGKILL)
            for writer in writers { writer.cancel() }
            for writer in writers { await writer.value }
            program.process.waitUntilExit()
        }
        // The next server removes what was half written.
        let program = try await ProgramTests.Program(arguments)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(names).isSubset(of: ["a.state", "b.state", "server.lock", "prefixes"]), "\(names)")
        program.process.terminate()
        #expect(await program.end() == 0)
    }
}
