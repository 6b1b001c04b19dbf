import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetServing

/// States in a folder.
@Suite struct StateFolderTests {
    /// A folder that goes with the value.
    private final class Folder: Sendable {
        let path = NSTemporaryDirectory() + "/retnet-states-\(UInt64.random(in: .min ... .max))"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Returns the state behind a text, and the text that follows it.
    private static func talk(_ engine: ServingEngine) async throws -> (snapshot: StateSnapshot, rest: String)
    {
        var request = engine.request("The cat sees", maxTokens: 10)
        request.keepsState = true
        let snapshot = try #require(try await engine.outcome(request).snapshot)
        return (snapshot, try await rest(engine, snapshot))
    }

    private static func rest(_ engine: ServingEngine, _ snapshot: StateSnapshot) async throws -> String {
        var request = ServingRequest(tokens: [], place: snapshot.place)
        request.start = snapshot
        request.sampling = .greedy(maxTokens: 20)
        return try await engine.outcome(request).text
    }

    @Test(arguments: [Fixture.story, .hybrid])
    func `a saved state goes on in another server as in the first`(_ fixture: Fixture) async throws {
        let folder = Folder()
        var expected = ""
        do {
            let engine = try fixture.engine()
            defer { engine.stop() }
            let keeper = StateKeeper(engine.store, folder: try StateFolder(folder.path, model: engine.model))
            let (snapshot, rest) = try await Self.talk(engine)
            expected = rest
            try keeper.set(snapshot, named: "talk", parent: "before", persists: true)
            try keeper.set(snapshot, named: "memory")
            #expect(throws: StorageError.self) { try StateFolder(folder.path, model: engine.model) }
        }
        let engine = try fixture.engine()
        defer { engine.stop() }
        let keeper = StateKeeper(engine.store, folder: try StateFolder(folder.path, model: engine.model))
        #expect(keeper.folder?.names == ["talk"])
        let state = try keeper.state(named: "talk")
        #expect(state.parent == "before" && state.snapshot.tokenCount == 23)
        #expect(state.snapshot.history?.count == 22 && state.snapshot.pending.count == 1)
        #expect(try await Self.rest(engine, state.snapshot) == expected)
        #expect(throws: ServingError.unknownState("memory")) { try keeper.state(named: "memory") }
        // A state that is replaced is replaced in the folder, too.
        let (other, _) = (try await engine.outcome(Self.reading(engine, "The owl")).snapshot, 0)
        try keeper.set(try #require(other), named: "talk", replaces: true)
        #expect(try keeper.folder?.load("talk").snapshot.tokenCount == 8)
        #expect(try keeper.folder?.load("talk").snapshot.logits != nil)
        try keeper.delete("talk")
        #expect(keeper.folder?.names == [] && !keeper.contains("talk"))
    }

    private static func reading(_ engine: ServingEngine, _ prompt: String) -> ServingRequest {
        var request = engine.request(prompt, maxTokens: 0)
        request.keepsState = true
        return request
    }

    @Test func `files of other models, damaged ones and strange names are refused`() async throws {
        let folder = Folder()
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        let (snapshot, _) = try await Self.talk(engine)
        let file = folder.path + "/talk.state"
        do {
            let states = try StateFolder(folder.path, model: engine.model)
            try StateKeeper(engine.store, folder: states).set(snapshot, named: "talk", persists: true)
            #expect(throws: ServingError.unknownState("../talk")) { try states.load("../talk") }
            #expect(throws: ServingError.unknownState("none")) { try states.load("none") }
        }
        let other = try StateFolder(folder.path, model: try Fixture.limited.model())
        #expect(throws: StateFileError.self) { try other.load("talk") }
        let data = try #require(FileManager.default.contents(atPath: file))
        try data.dropLast(3).write(to: URL(fileURLWithPath: file))
        #expect(throws: (any Error).self) { try other.load("talk") }
    }
}
