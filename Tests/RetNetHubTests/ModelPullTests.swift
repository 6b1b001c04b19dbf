import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

@testable import RetNetHub

/// Fetching from a server that behaves like the hub.
@Suite struct ModelPullTests {
    private static let weights = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 251) })
    private static let model = HubServer.Model(
        files: [
            "config.json": Data("{\"model_type\":\"retnet\"}".utf8), "model.safetensors": weights,
            "tokenizer.json": Data("{}".utf8), "pytorch_model.bin": Data("bin".utf8),
            "README.md": Data("# Model".utf8),
            "onnx/model.onnx": Data("onnx".utf8), "tf_model.h5": Data("h5".utf8),
            "sub/notes.txt": Data("notes".utf8),
        ], large: ["model.safetensors", "pytorch_model.bin"])

    /// Collects notes from several threads.
    private final class Notes: @unchecked Sendable {
        private let lock = NSLock()
        private var lines: [String] = []
        func add(_ line: String) { lock.withLock { lines.append(line) } }
        var text: String { lock.withLock { lines.joined(separator: "\n") } }
    }

    private struct Place {
        let server: HubServer
        let folder: TemporaryFolder
        let notes = Notes()

        init(_ model: HubServer.Model = ModelPullTests.model) throws {
            server = try HubServer()
            folder = try TemporaryFolder()
            server.set("owner/name", model)
        }

        func pull(
            _ name: String = "owner/name", token: String? = nil,
            _ change: (inout HubEnvironment) -> Void = { _ in }
        ) throws -> ModelPull {
            var environment = HubEnvironment([
                "HF_ENDPOINT": server.endpoint, "HF_HUB_CACHE": folder.path("hub"), "HOME": folder.url.path,
            ])
            environment.token = token
            environment.maximumPauseSeconds = 2
            environment.timeoutSeconds = 2
            change(&environment)
            var pull = ModelPull(try #require(HubReference(name)), environment)
            let notes = notes
            pull.note = { notes.add($0) }
            return pull
        }

        func contents(_ path: String) throws -> Data {
            try Data(contentsOf: folder.url("hub/models--owner--name/" + path))
        }

        /// Requests for the contents of a file.
        func gets(_ file: String) -> [HubServer.Request] {
            server.requests.filter {
                $0.method == "GET" && $0.path.contains(file) && !$0.path.hasPrefix("/api")
            }
        }
    }

    @Test func aModelLiesInTheCacheAsTheHubsClientPutsIt() throws {
        let place = try Place()
        let pulled = try place.pull().run()
        #expect(
            pulled.files.map(\.name) == ["README.md", "config.json", "model.safetensors", "tokenizer.json"])
        #expect(pulled.folder.hasSuffix("hub/models--owner--name/snapshots/" + Self.model.commit))
        #expect(pulled.fetchedByteCount == pulled.files.reduce(0) { $0 + $1.byteCount })
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: pulled.folder + "/model.safetensors")) == Self.weights)
        #expect(try place.contents("refs/main") == Data(Self.model.commit.utf8))
        let link = try FileManager.default.destinationOfSymbolicLink(
            atPath: pulled.folder + "/model.safetensors")
        #expect(link.hasPrefix("../../blobs/") && link.count == "../../blobs/".count + 64)
        let small = try FileManager.default.destinationOfSymbolicLink(atPath: pulled.folder + "/config.json")
        #expect(small.count == "../../blobs/".count + 40)
        let blobs = try FileManager.default.contentsOfDirectory(
            atPath: place.folder.path("hub/models--owner--name/blobs"))
        #expect(blobs.count == 4 && !blobs.contains { $0.hasSuffix(".incomplete") })
        #expect(place.folder.exists("hub/CACHEDIR.TAG"))
        // A second time only the commit is asked for.
        let count = place.server.requests.count
        let again = try place.pull().run()
        #expect(again.fetchedByteCount == 0 && again.files.allSatisfy(\.wasCached))
        #expect(place.server.requests.count == count + 1)
        #expect(try place.pull().folder { _ in Issue.record("fetched again") } == pulled.folder)
        #expect(place.server.requests.count == count + 1)
    }

    @Test func theTokenGoesToTheHubOnly() throws {
        var model = Self.model
        model.token = "hf_secret"
        let place = try Place(model)
        _ = try place.pull(token: "hf_secret").run()
        let requests = place.server.requests
        #expect(requests.contains { $0.path.hasPrefix("/files/") })
        for request in requests {
            let isHub = !request.path.hasPrefix("/files/")
            #expect(request.headers["authorization"] == (isHub ? "Bearer hf_secret" : nil), "\(request.path)")
            #expect(request.headers["host"] == (isHub ? "127.0.0.1" : "localhost") + ":\(place.server.port)")
        }
    }

    @Test func cutConnectionsAreResumedWhereTheyEnded() throws {
        let place = try Place()
        place.server.fail("model.safetensors", [.cut(after: 30_000), .cut(after: 20_000), .cut(after: 0)])
        let pulled = try place.pull { $0.maximumPauseSeconds = 0.01 }.run()
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: pulled.folder + "/model.safetensors")) == Self.weights)
        let ranges = place.gets("/files/owner/name/model.safetensors").map { $0.headers["range"] }
        #expect(ranges == [nil, "bytes=30000-", "bytes=50000-", "bytes=50000-"])
        #expect(place.notes.text.contains("model.safetensors") && place.notes.text.contains("trying again"))
        #expect(pulled.fetchedByteCount == pulled.files.reduce(0) { $0 + $1.byteCount })
    }

    @Test func attemptsEndAndTheNextPullResumes() throws {
        let place = try Place()
        place.server.fail(
            "model.safetensors",
            [.cut(after: 40_000)] + [HubServer.Fault](repeating: .cut(after: 0), count: 9))
        let text = errorText(HubError.self) {
            _ = try place.pull {
                $0.maximumPauseSeconds = 0.01
                $0.attemptCount = 3
            }.run()
        }
        #expect(
            text.contains("cannot fetch 'http://127.0.0.1") && text.contains("check the network"), "\(text)")
        let etag = try #require(
            FileManager.default.contentsOfDirectory(
                atPath: place.folder.path("hub/models--owner--name/blobs")
            )
            .first { $0.hasSuffix(".incomplete") })
        #expect(try place.contents("blobs/" + etag) == Self.weights.prefix(40_000))
        #expect(!place.folder.exists("hub/models--owner--name/refs/main"))
        place.server.fail("model.safetensors", [])
        let before = place.gets("/files/").count
        let pulled = try place.pull().run()
        #expect(pulled.fetchedByteCount == 60_000)
        #expect(place.gets("/files/")[before].headers["range"] == "bytes=40000-")
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: pulled.folder + "/model.safetensors")) == Self.weights)
    }

    @Test(arguments: [0, 3, 1000]) func oneListingStandsForTheChecksumsOfAllFiles(pageFileCount: Int) throws {
        var model = Self.model
        model.pageFileCount = pageFileCount
        let place = try Place(model)
        let pulled = try place.pull().run()
        #expect(pulled.files.count == 4)
        let heads = place.server.requests.count { $0.method == "HEAD" }
        let pages = place.server.requests.count { $0.path.contains("/tree/") }
        #expect(heads > 0 ? pageFileCount == 0 : pageFileCount > 0)
        #expect(pages == (pageFileCount == 3 ? 3 : 1))
    }

    @Test func largeFilesComeInPartsByConnectionsThatAreLeft() throws {
        let place = try Place()
        place.server.fail("model.safetensors", [.slow(seconds: 0.1), .cut(after: 500)])
        var pull = try place.pull { $0.maximumPauseSeconds = 0.01 }
        pull.pieceByteCount = 9_000
        let pulled = try pull.run()
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: pulled.folder + "/model.safetensors")) == Self.weights)
        let ranges = Set(place.gets("/files/owner/name/model.safetensors").compactMap { $0.headers["range"] })
        #expect(ranges.contains("bytes=0-8999") && ranges.contains("bytes=99000-99999"))
        #expect(ranges.count == 13)
        #expect(pulled.fetchedByteCount == pulled.files.reduce(0) { $0 + $1.byteCount })
        // Without connections to spare, and from a server that sends whole files, by one connection.
        for (connections, faults) in [(1, []), (4, [HubServer.Fault](repeating: .ignoredRange, count: 9))] {
            let other = try Place()
            other.server.fail("model.safetensors", faults)
            var pull = try other.pull()
            pull.pieceByteCount = 9_000
            pull.connectionCount = connections
            let pulled = try pull.run()
            #expect(
                try Data(contentsOf: URL(fileURLWithPath: pulled.folder + "/model.safetensors"))
                    == Self.weights)
        }
    }

    @Test func partsThatFailLeaveABeginningToContinue() throws {
        let place = try Place()
        place.server.fail(
            "model.safetensors", [HubServer.Fault](repeating: .slow(seconds: 0), count: 4) + [.wrongBytes]
        )
        var pull = try place.pull()
        pull.pieceByteCount = 9_000
        let text = errorText(HubError.self) { _ = try pull.run() }
        #expect(text.contains("is not what the hub lists"), "\(text)")
        #expect(throws: Never.self) { _ = try pull.run() }
    }

    @Test func aFullDiskIsNoticedBeforeAnythingIsFetched() throws {
        var model = Self.model
        model.listedByteCounts["model.safetensors"] = 1 << 60
        let place = try Place(model)
        let text = errorText(HubError.self) { _ = try place.pull().run() }
        #expect(text.contains("bytes free, but") && text.contains("are needed: free some space"), "\(text)")
        #expect(place.gets("config.json").isEmpty)
    }

    @Test func aServerThatIgnoresRangesSendsEverythingAgain() throws {
        let place = try Place()
        place.server.fail("model.safetensors", [.cut(after: 30_000), .ignoredRange])
        let pulled = try place.pull { $0.maximumPauseSeconds = 0.01 }.run()
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: pulled.folder + "/model.safetensors")) == Self.weights)
    }

    @Test func wrongContentsAreRefusedAndRemoved() throws {
        for (file, fault, reason) in [
            ("model.safetensors", HubServer.Fault.wrongBytes, "is not what the hub lists: its checksum is"),
            ("config.json", .wrongBytes, "is not what the hub lists: its checksum is"),
            ("model.safetensors", .tooMany, "the server sends more than its 100000 bytes"),
        ] {
            let place = try Place()
            place.server.fail(file, [fault])
            let text = errorText(HubError.self) { _ = try place.pull().run() }
            #expect(text.contains("'\(file)'") && text.contains(reason), "\(text)")
            #expect(throws: Never.self) { _ = try place.pull().run() }
        }
        let place = try Place()
        // A damaged beginning of an earlier attempt costs a second one, no more.
        let other = try Place()
        let etag = try #require(
            FileManager.default.destinationOfSymbolicLink(
                atPath: place.pull().run().folder + "/model.safetensors"
            ).split(separator: "/").last)
        try FileManager.default.createDirectory(
            at: other.folder.url("hub/models--owner--name/blobs"), withIntermediateDirectories: true)
        try Data(repeating: 1, count: 500).write(
            to: other.folder.url("hub/models--owner--name/blobs/\(etag).incomplete"))
        #expect(throws: Never.self) { _ = try other.pull().run() }
        #expect(other.notes.text.contains("fetching it again from the beginning"))
    }

    @Test func theServerMayAskToWait() throws {
        let place = try Place()
        place.server.fail(
            "model.safetensors", [.status(429, retryAfter: "0.2"), .status(503, retryAfter: nil)])
        place.server.fail("api", [.status(429, retryAfter: "0.1")])
        let start = ContinuousClock.now
        #expect(throws: Never.self) { _ = try place.pull { $0.maximumPauseSeconds = 0.3 }.run() }
        #expect(ContinuousClock.now - start > .seconds(0.3))
        place.server.fail("api", [.status(429, retryAfter: "3600")])
        #expect(errorText(HubError.self) { _ = try place.pull().run() }.contains("try again in 3600 seconds"))
    }

    @Test func slowAnswersAreWaitedForAndSilenceIsNot() throws {
        let place = try Place()
        place.server.fail("model.safetensors", [.slow(seconds: 0.5), .slow(seconds: 3)])
        #expect(throws: Never.self) { _ = try place.pull().run() }
        let other = try Place()
        other.server.fail("model.safetensors", [.slow(seconds: 4), .slow(seconds: 4)])
        let text = errorText(HubError.self) {
            _ = try other.pull {
                $0.timeoutSeconds = 1
                $0.attemptCount = 1
            }.run()
        }
        #expect(text.contains("does not answer in time"), "\(text)")
    }

    @Test func refusalsSayWhatToDo() throws {
        var gated = Self.model
        gated.isGated = true
        gated.token = "hf_right"
        let place = try Place(gated)
        func text(_ pull: ModelPull) -> String { errorText(HubError.self) { _ = try pull.run() } }
        #expect(try text(place.pull()).contains("accept its license at http://127.0.0.1"))
        #expect(try text(place.pull()).contains("set HF_TOKEN"))
        #expect(try text(place.pull(token: "hf_other")).contains("with the account of your token"))
        #expect(try text(place.pull("owner/other")).contains("there is no model 'owner/other' at"))
        #expect(try text(place.pull("owner/name@v9", token: "hf_right")).contains("no revision 'v9'"))
        // Mirrors do not always say what it is that they do not have.
        place.server.fail("api", [.status(404, retryAfter: nil)])
        #expect(
            try text(place.pull("owner/name@v9", token: "hf_right")).contains(
                "there is no model 'owner/name' with a revision 'v9' at http://127.0.0.1"))
        gated.isGated = false
        place.server.set("owner/name", gated)
        #expect(try text(place.pull(token: "hf_other")).contains("the hub refuses your token"))
        #expect(try text(place.pull { $0.isOffline = true }).contains("HF_HUB_OFFLINE is set"))
        #expect(try text(place.pull { $0.endpoint = "nonsense" }).contains("no address of a web server"))
        #expect(
            try text(
                place.pull {
                    $0.endpoint = "http://127.0.0.1:1"
                    $0.attemptCount = 1
                }
            ).contains("cannot fetch 'http://127.0.0.1:1/"))
        var pull = try place.pull(token: "hf_right")
        pull.selection.include = ["*.gguf"]
        #expect(text(pull).contains("no file of 'owner/name' is selected (it has "))
    }

    @Test func namesThatLeaveTheFolderAreRefused() throws {
        for name in ["../x", "/etc/x", "a/../../x", "a//b", "a\\\\b"] {
            let place = try Place(HubServer.Model(files: [name: Data("x".utf8)]))
            let text = errorText(HubError.self) { _ = try place.pull().run() }
            #expect(text.contains("leaves its folder"), "\(name): \(text)")
        }
    }

    @Test func revisionsAreBranchesTagsCommitsAndPullRequests() throws {
        var model = Self.model
        model.branches["refs/pr/1"] = model.commit
        let place = try Place(model)
        _ = try place.pull("owner/name@refs/pr/1").run()
        #expect(place.server.requests.contains { $0.path == "/api/models/owner/name/revision/refs%2Fpr%2F1" })
        #expect(try place.contents("refs/refs/pr/1") == Data(model.commit.utf8))
        #expect(
            HubCache(try #require(HubReference("owner/name")), folder: place.folder.path("hub")).lookUp(
                for: .model
            ).folder == nil)
        let byCommit = try #require(HubReference("owner/name@\(model.commit)"))
        #expect(HubCache(byCommit, folder: place.folder.path("hub")).lookUp(for: .model).folder != nil)
    }

    @Test func aNewCommitTakesOverTheContentsThatStayedTheSame() throws {
        let place = try Place()
        _ = try place.pull().run()
        var model = Self.model
        model.commit = String(repeating: "abcdef0123", count: 4)
        model.branches["main"] = model.commit
        model.files["config.json"] = Data("{\"model_type\":\"retnet\",\"x\":1}".utf8)
        place.server.set("owner/name", model)
        let before = place.gets("/files/").count
        let pulled = try place.pull().run()
        #expect(pulled.commit == model.commit && pulled.fetchedByteCount == model.files["config.json"]?.count)
        #expect(place.gets("/files/").count == before)
        #expect(try place.contents("refs/main") == Data(model.commit.utf8))
    }

    @Test func twoPullsAtOnceFetchEachFileOnce() throws {
        let place = try Place()
        place.server.fail("model.safetensors", [.slow(seconds: 0.5)])
        let (first, second) = (try place.pull(), try place.pull())
        let group = DispatchGroup()
        let failures = Notes()
        for pull in [first, second] {
            group.enter()
            Thread.detachNewThread {
                do { _ = try pull.run() } catch { failures.add("\(error)") }
                group.leave()
            }
        }
        group.wait()
        #expect(failures.text == "")
        #expect(place.gets("/files/owner/name/model.safetensors").count == 1)
    }

    @Test func anInterruptionLeavesWhatTheNextPullContinues() throws {
        let place = try Place()
        place.server.fail("model.safetensors", [.cut(after: 40_000), .slow(seconds: 20)])
        let flag = InterruptFlag()
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: 0.8)
            flag.raise()
        }
        let start = ContinuousClock.now
        let text = errorText(HubError.self) {
            _ = try place.pull {
                $0.maximumPauseSeconds = 0.01
                $0.timeoutSeconds = 30
            }.run(interrupt: flag)
        }
        #expect(text.contains("the same command continues where it was"))
        #expect(ContinuousClock.now - start < .seconds(10))
        place.server.fail("model.safetensors", [])
        #expect(try place.pull().run().fetchedByteCount == 60_000)
    }

    @Test func progressReachesItsTotal() throws {
        let place = try Place()
        var pull = try place.pull()
        let seen = Notes()
        pull.progress = {
            seen.add("\($0.byteCount)/\($0.totalByteCount) \($0.fileCount)/\($0.totalFileCount)")
        }
        let total = try pull.run().fetchedByteCount
        #expect(seen.text.hasSuffix("\(total)/\(total) 4/4"))
    }

    @Test func purposesFetchWhatTheyNeed() throws {
        let place = try Place()
        var pull = try place.pull()
        pull.purpose = .tokenizer
        #expect(try pull.run().files.map(\.name) == ["config.json", "tokenizer.json"])
        pull.purpose = .model
        var reason = ""
        _ = try pull.folder { reason = $0 }
        #expect(reason == "it has no weights")
        #expect(place.gets("model.safetensors").count == 2)
    }

    /// For trying other clients by hand: RETNET_SERVE_HUB=PORT serves for two minutes.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["RETNET_SERVE_HUB"] != nil))
    func serveForOtherClients() throws {
        let port = Int(ProcessInfo.processInfo.environment["RETNET_SERVE_HUB"] ?? "") ?? 0
        let server = try HubServer(port: port)
        server.set("owner/name", Self.model)
        Thread.sleep(forTimeInterval: 120)
    }
}
