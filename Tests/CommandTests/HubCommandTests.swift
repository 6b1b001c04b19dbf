import Foundation
import RetNetTestSupport
import Testing

/// `retnet pull` and models of the hub in other commands.
@Suite struct HubCommandTests {
    private struct Place {
        let server: HubServer
        let folder = try? TemporaryFolder()
        var variables: [String: String] {
            [
                "HF_ENDPOINT": server.endpoint, "HF_HUB_CACHE": folder?.path("hub") ?? "",
                "HF_HUB_OFFLINE": "",
                "HF_TOKEN": "", "HF_TOKEN_PATH": "/none", "http_proxy": "",
            ]
        }

        init() throws { server = try HubServer() }

        func run(_ arguments: String..., offline: Bool = false) throws -> CommandOutcome {
            try RunningCommand(
                arguments, environment: variables.merging(offline ? ["HF_HUB_OFFLINE": "1"] : [:]) { $1 }
            ).wait()
        }
    }

    @Test("A model of the hub works where a folder does, and from then on without the hub")
    func models() throws {
        let place = try Place()
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        let checkpoints = try FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints").sorted()
        let checkpoint = run + "/checkpoints/" + (try #require(checkpoints.last { !$0.hasPrefix(".") }))
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: checkpoint) {
            var isFolder: ObjCBool = false
            let path = checkpoint + "/" + name
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
                !["checksums.json", "optimizer.safetensors", "trainer.json"].contains(name)
            else { continue }
            files[name] = try Data(contentsOf: URL(fileURLWithPath: path))
        }
        place.server.set("owner/tiny", HubServer.Model(files: files, large: ["model.safetensors"]))

        let info = try place.run("info", "--model", "owner/tiny")
        #expect(info.status == 0 && info.errors.contains("fetching it from \(place.server.endpoint)"))
        #expect(!place.server.requests.contains { $0.path.contains("model.safetensors") })
        let arguments = ["--prompt", "Line", "--max-tokens", "5", "--temperature", "0", "--device", "cpu"]
        let generated = try RunningCommand(
            ["generate", "--model", "owner/tiny"] + arguments, environment: place.variables
        ).wait()
        #expect(generated.status == 0, "\(generated.errors)")
        let expected = try succeed(["generate", "--model", checkpoint] + arguments)
        #expect(generated.output == expected.output)

        place.server.stop()
        let offline = try RunningCommand(
            ["generate", "--model", "owner/tiny@main"] + arguments,
            environment: place.variables.merging(["HF_HUB_OFFLINE": "1"]) { $1 }
        ).wait()
        #expect(offline.output == expected.output && offline.status == 0)
        let missing = try place.run("info", "--model", "owner/other", offline: true)
        #expect(missing.status == 1 && missing.errors.contains("'owner/other' is not complete in"))
        // A folder of that name here comes before the hub.
        let here = try TemporaryFolder()
        try FileManager.default.createDirectory(
            at: here.url("owner"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: checkpoint, toPath: here.path("owner/other"))
        let local = try RunningCommand(
            ["generate", "--model", "owner/other"] + arguments, environment: place.variables,
            limits: "cd '\(here.url.path)'"
        ).wait()
        #expect(local.output == expected.output && local.status == 0, "\(local.errors)")
        let path = try place.run("info", "--model", "no/such/folder")
        #expect(path.errors.contains("there is no model at 'no/such/folder'"))
    }

    @Test("The path of the model is the result; usage and failures are told apart")
    func pulling() throws {
        let place = try Place()
        place.server.set(
            "owner/name",
            HubServer.Model(files: ["config.json": Data("{}".utf8), "notes.gguf": Data("x".utf8)]))
        let pulled = try place.run("pull", "owner/name")
        #expect(
            pulled.status == 0
                && pulled.output.hasSuffix("/snapshots/\(HubServer.Model(files: [:]).commit)\n"))
        #expect(pulled.errors.contains("owner/name at 012345678901: 1 files, 2 B"))
        let json = try place.run(
            "pull", "owner/name@main", "--include", "*.gguf", "--include", "*.json", "--json"
        ).json()
        #expect((json["files"] as? [[String: Any]])?.count == 2 && json["fetched_bytes"] as? Int == 1)
        for arguments in [
            ["a/b/c"], ["a" + "/b@x", "--revision", "y"], ["a/b", "--connections", "0"], ["-x"],
        ] {
            #expect(
                try RunningCommand(["pull"] + arguments, environment: place.variables).wait().status == 64)
        }
        for arguments in [["owner/name", "--revision", "nope"], ["owner/name@nope"]] {
            let outcome = try RunningCommand(["pull"] + arguments, environment: place.variables).wait()
            #expect(outcome.status == 1 && outcome.output.isEmpty)
            #expect(outcome.errors.contains("the model 'owner/name' has no revision 'nope': give a branch"))
            #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        }
        let unknown = try place.run("pull", "owner/none")
        #expect(
            unknown.status == 1 && unknown.output.isEmpty
                && unknown.errors.contains("there is no model 'owner/none'"))
    }

    @Test("Ctrl-C ends cleanly and the same command continues; two processes share the work")
    func interruption() throws {
        let place = try Place()
        let weights = Data((0..<50_000).map { UInt8(truncatingIfNeeded: $0) })
        place.server.set(
            "owner/name", HubServer.Model(files: ["model.safetensors": weights], large: ["model.safetensors"])
        )
        place.server.fail("model.safetensors", [.cut(after: 20_000), .slow(seconds: 30)])
        let first = try RunningCommand(["pull", "owner/name"], environment: place.variables)
        let deadline = Date().addingTimeInterval(20)
        while place.server.requests.filter({ $0.path.hasPrefix("/files/") }).count < 2, Date() < deadline {
            Thread.sleep(forTimeInterval: 0.05)
        }
        first.signal(2)
        let outcome = try first.wait()
        #expect(outcome.status == 1 && outcome.errors.contains("stopped: the same command continues"))
        place.server.fail("model.safetensors", [.slow(seconds: 0.5)])
        let both = try (0..<2).map { _ in
            try RunningCommand(["pull", "owner/name", "--json"], environment: place.variables)
        }
        let results = try both.map { try $0.wait().json() }
        #expect(results.compactMap { $0["fetched_bytes"] as? Int }.sorted() == [0, 30_000])
        let path = try #require(results[0]["path"] as? String)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path + "/model.safetensors")) == weights)
    }
}
