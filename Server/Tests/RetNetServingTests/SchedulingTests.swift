import Foundation
import RetNetRuntime
import RetNetSampling
import ServerTestSupport
import Testing

@testable import RetNetServing

/// Batches: several replicas, prompts that share a pass, and what is read before what.
@Suite struct SchedulingTests {
    @Test(arguments: [2, 3])
    func `replicas share queue, weights and states, and their texts are the same`(_ replicas: Int)
        async throws
    {
        let engine = try Fixture.hybrid.engine(rows: 6) { $0.replicaCount = replicas }
        defer { engine.stop() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for round in 0..<4 {
                for golden in GoldenText.all where golden.model == "hybrid" {
                    group.addTask {
                        var request = engine.request(golden.prompt, golden.parameters)
                        request.usesCache = round % 2 == 0
                        let text = try await engine.outcome(request).text
                        #expect(text == golden.text, "\(golden)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(await engine.becomesIdle())
        #expect(engine.metrics.current.cachedTokens > 0)
    }

    @Test func `requests go to the replica that has the fewest`() async throws {
        let engine = try Fixture.story.engine(rows: 8) { $0.replicaCount = 2 }
        defer { engine.stop() }
        let streams = try (0..<4).map { try engine.submit(engine.request("The \($0)", maxTokens: 1_000_000)) }
        while engine.status.generating < 4 { try await Task.sleep(for: .milliseconds(1)) }
        // Two in each: passes of four texts would be fuller.
        let figures = engine.metrics.current
        #expect(figures.batchSize.counts[2...].allSatisfy { $0 == 0 }, "\(figures.batchSize)")
        #expect(streams.count == 4)
    }

    @Test func `an engine that stops ends the texts of all replicas`() async throws {
        let engine = try Fixture.story.engine(rows: 2) { $0.replicaCount = 2 }
        let streams = try (0..<5).map { _ in try engine.submit(engine.request("The", maxTokens: 1_000_000)) }
        while engine.status.generating < 2 { try await Task.sleep(for: .milliseconds(1)) }
        engine.stop()
        for stream in streams {
            await #expect(throws: ServingError.stopped) { for try await _ in stream {} }
        }
    }

    @Test func `short prompts share a pass, with the same bits`() async throws {
        let engine = try Fixture.story.engine(rows: 16) { $0.reusesPrefixes = false }
        defer { engine.stop() }
        func request(_ seed: Int) -> ServingRequest {
            var request = engine.request(storyText(39, seed: seed), maxTokens: 0)
            request.keepsState = true
            return request
        }
        let alone = try await engine.outcome(request(3)).snapshot?.logits
        #expect(engine.metrics.current.batchSize.counts[0] == 1 && alone != nil)
        // All eight come while a long prompt is read, and none of them becomes a text.
        let long = try engine.submit(engine.request(storyText(8191), maxTokens: 0))
        let streams = try (0..<8).map { try engine.submit(request($0)) }
        for (index, stream) in streams.enumerated() {
            for try await event in stream {
                if case .end(_, let end) = event, index == 3 { #expect(end.snapshot?.logits == alone) }
            }
        }
        for try await _ in long {}
        #expect(engine.metrics.current.batchSize.counts[2...].reduce(0, +) > 0)
    }

    @Test func `pieces of prompts grow and shrink with the time that they take`() async throws {
        for (time, fewest, most) in [(Duration.seconds(100), 16, 30), (.zero, 64, 72)] {
            let engine = try Fixture.story.engine(piece: 256) {
                $0.stepTime = time
                $0.reusesPrefixes = false
            }
            defer { engine.stop() }
            let running = try engine.submit(engine.request("The", maxTokens: 1_000_000))
            while engine.status.generating == 0 { try await Task.sleep(for: .milliseconds(1)) }
            let before = engine.metrics.current
            _ = try await engine.outcome(engine.request(storyText(4095), maxTokens: 1))
            let after = engine.metrics.current
            // Passes with two sequences.
            let count = after.batchSize.counts[1] - before.batchSize.counts[1]
            #expect((fewest...most).contains(count), "\(count) passes at \(time)")
            withExtendedLifetime(running) {}
        }
    }

    @Test func `a canary has the same bits whatever comes and goes beside it`() async throws {
        let engine = try Fixture.hybrid.engine(rows: 8) { $0.replicaCount = 2 }
        defer { engine.stop() }
        func canary() async throws -> [Double] {
            var request = engine.request(storyText(100, seed: 5) + "The", maxTokens: 40)
            (request.topCount, request.usesCache) = (0, false)
            return try await engine.outcome(request).tokens[0].compactMap(\.score.logProbability)
        }
        let alone = try await canary()
        #expect(alone.count > 30)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<24 {
                group.addTask {
                    let request = engine.request(
                        storyText(17 * index + 1, seed: index), maxTokens: 10 + index)
                    var count = 0
                    for try await _ in try engine.submit(request) {
                        count += 1
                        // Every third one goes in the middle.
                        if index % 3 == 0, count > 4 { break }
                    }
                }
            }
            for _ in 0..<6 {
                group.addTask {
                    let again = try await canary()
                    #expect(again == alone)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: [Fixture.story, .hybrid])
    func `a prompt that begins at a kept state has the bits of one that is read at once`(_ fixture: Fixture)
        async throws
    {
        let plain = try fixture.engine { $0.reusesPrefixes = false }
        let caching = try fixture.engine()
        defer { (plain.stop(), caching.stop()).0 }
        func scores(_ engine: ServingEngine, _ prompt: String) async throws -> (
            values: [Double], cached: Int?
        ) {
            var request = engine.request(prompt, maxTokens: 12)
            request.topCount = 0
            let found = try await engine.outcome(request)
            return (found.tokens[0].compactMap(\.score.logProbability), found.report?.cachedTokenCount)
        }
        var prompt = storyText(140)
        for turn in 0..<4 {
            let expected = try await scores(plain, prompt)
            let found = try await scores(caching, prompt)
            #expect(found.values == expected.values, "turn \(turn)")
            #expect(turn == 0 || (found.cached ?? 0) > 128)
            prompt += storyText(30 + 9 * turn, seed: turn)
        }
    }

    @Test func `a state continues at what was read after it before`() async throws {
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        var request = engine.request(storyText(200), maxTokens: 0)
        request.keepsState = true
        let snapshot = try #require(try await engine.outcome(request).snapshot)
        func cached(_ text: String) async throws -> Int? {
            var request = ServingRequest(
                tokens: engine.model.tokens(of: text, continuing: snapshot.place).tokens)
            request.start = snapshot
            request.sampling = .greedy(maxTokens: 4)
            return try await engine.outcome(request).report?.cachedTokenCount
        }
        #expect(try await cached(storyText(60)) == 201)
        #expect(try await cached(storyText(60) + "The end") == 261)
    }

    @Test func `marks of a prompt are where other prompts may begin`() async throws {
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        var request = engine.request(storyText(300))
        request.marks = [150, 300, 10_000, 0]
        _ = try await engine.outcome(request)
        let other = try await engine.outcome(engine.request(String(storyText(300).prefix(140)) + "X"))
        #expect(other.report?.cachedTokenCount == 128)
    }

    @Test func `states on the way through a long prompt go before the ends of others`() async throws {
        let size = try Fixture.story.initialState().byteCount
        let engine = try Fixture.story.engine(storeByteLimit: 8 * size + 60_000) { $0.snapshotInterval = 64 }
        defer { engine.stop() }
        let first = storyText(100, seed: 1)
        _ = try await engine.outcome(engine.request(first, maxTokens: 1))
        _ = try await engine.outcome(engine.request(storyText(2000, seed: 2), maxTokens: 1))
        #expect(engine.store.statistics.evictionCount > 0)
        let again = try await engine.outcome(engine.request(first, maxTokens: 1))
        #expect(again.report?.cachedTokenCount == 101)
    }
}
