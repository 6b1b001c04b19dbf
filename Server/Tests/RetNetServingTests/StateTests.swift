import RetNetRuntime
import RetNetSampling
import RetNetServing
import ServerTestSupport
import Testing

@testable import RetNetServing

/// States that requests leave behind, and states with names.
@Suite struct StateTests {
    private static func snapshot(_ tokens: [Int32], logits: Bool = false) throws -> StateSnapshot {
        StateSnapshot(
            state: try Fixture.story.initialState(), history: tokens,
            logits: logits ? [1, 2] : nil, place: .inside)
    }

    private static func match(_ store: StateStore, _ tokens: [Int32]) -> Int? {
        store.longestBeginning(of: tokens, PrefixHashes(tokens))?.count
    }

    @Test func `the longest beginning is found, compared token by token`() throws {
        let store = StateStore(byteLimit: 1 << 24)
        store.keep(try Self.snapshot([1, 2]))
        store.keep(try Self.snapshot([1, 2, 3, 4], logits: true))
        store.keep(try Self.snapshot([1, 2, 9]))
        #expect(Self.match(store, [1, 2, 3, 4, 5]) == 4)
        #expect(Self.match(store, [1, 2, 3, 4]) == 4)
        #expect(Self.match(store, [1, 2, 3]) == 2)
        // Without logits a state is of no use behind the whole prompt.
        #expect(Self.match(store, [1, 2, 9]) == 2)
        #expect(Self.match(store, [1, 2]) == nil)
        #expect(Self.match(store, [2, 1]) == nil)
        // Logits that become known replace the state without them.
        store.keep(try Self.snapshot([1, 2], logits: true))
        #expect(Self.match(store, [1, 2]) == 2)
        #expect(store.statistics.count == 3)
    }

    @Test func `beginnings that two sequences share are known in whole blocks`() throws {
        let store = StateStore(byteLimit: 1 << 24)
        let tokens = (0..<200).map { Int32($0) }
        store.keep(try Self.snapshot(tokens))
        #expect(store.sharedBlockLength(PrefixHashes(tokens)) == 192)
        #expect(store.sharedBlockLength(PrefixHashes(Array(tokens[..<130]) + [7])) == 128)
        #expect(store.sharedBlockLength(PrefixHashes([7] + tokens)) == 0)
    }

    @Test func `the state that was not used for the longest time goes first, named ones never`() throws {
        let size = try Self.snapshot([1]).byteCount
        let store = StateStore(byteLimit: 3 * size + 100)
        try store.setState(try Self.snapshot([9]), named: "kept")
        store.keep(try Self.snapshot([1]))
        store.keep(try Self.snapshot([2]))
        #expect(Self.match(store, [1, 0]) == 1)
        store.keep(try Self.snapshot([3]))
        #expect(Self.match(store, [2, 0]) == nil && Self.match(store, [1, 0]) == 1)
        #expect(Self.match(store, [9, 0]) == 1)
        #expect(store.statistics.evictionCount == 1 && store.statistics.namedCount == 1)
        #expect(store.statistics.byteCount <= store.byteLimit)
        try store.setState(try Self.snapshot([4]), named: "second")
        try store.setState(try Self.snapshot([5]), named: "third")
        #expect(throws: ServingError.noRoom(byteCount: size, limit: store.byteLimit)) {
            try store.setState(try Self.snapshot([6]), named: "fourth")
        }
        #expect(!store.keep(try Self.snapshot([7])))
        #expect(store.namedStates.map(\.name) == ["kept", "second", "third"])
        try store.setState(try Self.snapshot([6]), named: "third", replaces: true)
        #expect(try store.state(named: "third").snapshot.history == [6])
        #expect(StateStore(byteLimit: 0).keep(try Self.snapshot([1])) == false)
    }

    @Test func `names are copied, deleted and checked`() throws {
        let store = StateStore(byteLimit: 1 << 24)
        let keeper = StateKeeper(store)
        try keeper.set(try Self.snapshot([1, 2, 3]), named: "a.b-c_1")
        let copy = try keeper.set(
            try keeper.state(named: "a.b-c_1").snapshot, named: "copy", parent: "a.b-c_1")
        #expect(copy.parent == "a.b-c_1" && copy.snapshot.history == [1, 2, 3])
        #expect(throws: ServingError.stateExists("copy")) { try keeper.set(copy.snapshot, named: "copy") }
        #expect(throws: ServingError.noStateFolder) { try keeper.save("copy") }
        #expect(throws: ServingError.noStateFolder) {
            try keeper.set(copy.snapshot, named: "x", persists: true)
        }
        try keeper.delete("a.b-c_1")
        #expect(throws: ServingError.unknownState("a.b-c_1")) { try keeper.state(named: "a.b-c_1") }
        #expect(throws: ServingError.unknownState("a.b-c_1")) { try keeper.delete("a.b-c_1") }
        for name in ["", ".hidden", "../x", "a/b", "ä", "a b", String(repeating: "x", count: 129)] {
            #expect(throws: ServingError.invalidStateName(name)) {
                try keeper.set(copy.snapshot, named: name)
            }
        }
        try keeper.delete("copy")
        #expect(store.statistics == StateStore.Statistics())
        #expect(Self.match(store, [1, 2, 3, 4]) == nil)
    }

    @Test(arguments: [Fixture.story, .hybrid])
    func `prompts that begin alike are read once, with the same text`(_ fixture: Fixture) async throws {
        let engine = try fixture.engine()
        let plain = try fixture.engine { $0.reusesPrefixes = false }
        defer { (engine.stop(), plain.stop()).0 }
        let system = storyText(130)
        func check(_ prompt: String, cached: Int, _ change: (inout ServingRequest) -> Void = { _ in })
            async throws
        {
            var request = engine.request(prompt)
            change(&request)
            let found = try await engine.outcome(request)
            let expected = try await plain.outcome(plain.request(prompt))
            #expect(found.text == expected.text)
            #expect(found.report?.cachedTokenCount == cached)
            #expect(found.report?.tokenCount == 1 + prompt.utf8.count)
        }
        try await check(system + "A", cached: 0)
        try await check(system + "A", cached: 132)
        try await check(system + "A fox", cached: 132)
        // The first prompt that goes on differently leaves the state where it does, the next one takes it.
        try await check(system + "B", cached: 0)
        try await check(system + "C", cached: 128)
        try await check(system + "C", cached: 0) { $0.usesCache = false }
        // The text of an answer belongs to what the next turn begins with.
        let answer = try await plain.outcome(plain.request(system + "A")).text
        // The last token of an answer was not read; bytes that are no characters do not come back as the tokens they were.
        let known = answer.unicodeScalars.contains("\u{FFFD}") ? 132 : 132 + answer.utf8.count - 1
        try await check(system + "A" + answer + "The", cached: known)
        var scored = engine.request(system + "A", maxTokens: 0)
        (scored.scoresPrompt, scored.topCount) = (true, 0)
        let scores = try await engine.outcome(scored).report
        #expect(scores?.cachedTokenCount == 0 && scores?.scores.count == 132)
        let figures = engine.metrics.current
        #expect(figures.cachedTokens == 132 + 132 + 128 + known)
    }

    @Test func `texts stay the same when states have to go`() async throws {
        let size = try Fixture.story.initialState().byteCount
        let engine = try Fixture.story.engine(storeByteLimit: 2 * size + 4000)
        defer { engine.stop() }
        for round in 0..<3 {
            for golden in GoldenText.all where golden.model == "story" {
                let found = try await engine.outcome(engine.request(golden.prompt, golden.parameters))
                #expect(found.text == golden.text, "\(golden), round \(round)")
            }
        }
        #expect(engine.store.statistics.evictionCount > 0)
        #expect(engine.store.statistics.byteCount <= engine.store.byteLimit)
    }

    @Test(arguments: [Fixture.story, .hybrid])
    func `a text continued from a state is the text without interruption`(_ fixture: Fixture) async throws {
        let engine = try fixture.engine()
        defer { engine.stop() }
        let whole = try await engine.outcome(engine.request("The cat", maxTokens: 40)).text
        var request = engine.request("The cat", maxTokens: 25)
        request.keepsState = true
        let first = try await engine.outcome(request)
        let snapshot = try #require(first.snapshot)
        #expect(snapshot.tokenCount == 8 + 25 && snapshot.pending.count == 1)
        for _ in 0..<2 {
            var rest = ServingRequest(tokens: [], place: snapshot.place)
            rest.start = snapshot
            rest.sampling = .greedy(maxTokens: 15)
            let second = try await engine.outcome(rest)
            #expect(first.text + second.text == whole)
            #expect(second.report?.tokenCount == 33)
        }
        // A state that only read its prompt has the logits to go on from.
        request.sampling.maxTokens = 0
        let read = try #require(try await engine.outcome(request).snapshot)
        #expect(read.pending.isEmpty && read.logits != nil && read.tokenCount == 8)
        var rest = ServingRequest(tokens: [], place: read.place)
        rest.start = read
        rest.sampling = .greedy(maxTokens: 40)
        #expect(try await engine.outcome(rest).text == whole)
    }
}
