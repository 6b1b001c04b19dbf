import RetNetSampling
import RetNetServing
import ServerTestSupport
import Testing

/// Requests that are refused, cancelled or too late.
@Suite struct LimitTests {
    @Test func `what cannot be carried out is refused before it waits`() async throws {
        let engine = try Fixture.limited.engine()
        defer { engine.stop() }
        #expect(throws: ServingError.unknownToken(256, index: 1, vocabularySize: 256)) {
            try engine.submit(ServingRequest(tokens: [1, 256]))
        }
        #expect(throws: ServingError.unknownToken(-1, index: 0, vocabularySize: 256)) {
            try engine.submit(ServingRequest(tokens: [-1]))
        }
        #expect(throws: ServingError.emptyPrompt) { try engine.submit(ServingRequest(tokens: [])) }
        #expect(throws: GenerationError.self) {
            var request = engine.request("a")
            request.sampling.topP = 0
            return try engine.submit(request)
        }
        #expect(throws: ServingError.tooLong(promptCount: 61, maxTokens: 4, limit: 64)) {
            try engine.submit(engine.request(storyText(60), maxTokens: 4))
        }
        #expect(throws: ServingError.self) {
            try engine.submit(engine.request(storyText(60), maxTokens: .max))
        }
        let found = try await engine.outcome(engine.request(storyText(60), maxTokens: 3))
        #expect(found.reasons == [.length])
        #expect(engine.status.isIdle)
    }

    @Test func `a full queue refuses, and the engine goes on`() async throws {
        let engine = try Fixture.story.engine(rows: 1, queue: 2)
        defer { engine.stop() }
        let long = storyText(4000)
        let streams = try (0..<3).map { index in
            let stream = try engine.submit(engine.request(long + "\(index)", maxTokens: 1))
            // The first one must have left the queue.
            while index == 0, engine.status.waiting > 0 {}
            return stream
        }
        #expect(throws: ServingError.queueFull(limit: 2)) { try engine.submit(engine.request("a")) }
        #expect(engine.metrics.current.refused == 1)
        for stream in streams { for try await _ in stream {} }
        #expect(try await engine.outcome(engine.request("The")).text.isEmpty == false)
    }

    @Test func `dropping a stream ends its request, in the prompt and in the text`() async throws {
        let engine = try Fixture.story.engine(rows: 2) { $0.reusesPrefixes = false }
        defer { engine.stop() }
        for prompt in [storyText(60_000), "The"] {
            let request = engine.request(prompt, maxTokens: 1_000_000)
            let task = Task {
                var count = 0
                for try await _ in try engine.submit(request) { count += 1 }
                return count
            }
            while engine.status.reading + engine.status.generating == 0 {
                try await Task.sleep(for: .milliseconds(1))
            }
            task.cancel()
            _ = try? await task.value
            #expect(await engine.becomesIdle())
        }
        #expect(engine.metrics.current.finished["cancelled"] == 2)
    }

    @Test func `a request ends at its deadline`() async throws {
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        var request = engine.request("The", maxTokens: 1_000_000)
        request.deadline = .now + .milliseconds(50)
        await #expect(throws: ServingError.timedOut) { try await engine.outcome(request) }
        #expect(await engine.becomesIdle())
    }

    @Test func `a draining engine finishes what it has and takes nothing new`() async throws {
        let engine = try Fixture.story.engine(rows: 1)
        defer { engine.stop() }
        let first = try engine.submit(engine.request("The fox", maxTokens: 50))
        let second = try engine.submit(engine.request("The hen", maxTokens: 50))
        engine.drain()
        #expect(throws: ServingError.draining) { try engine.submit(engine.request("a")) }
        var ends = 0
        for stream in [first, second] {
            for try await event in stream { if case .end = event { ends += 1 } }
        }
        #expect(ends == 2)
        #expect(await engine.becomesIdle() && engine.status.isDraining)
    }

    @Test func `an engine that stops ends all requests with an error`() async throws {
        let engine = try Fixture.story.engine(rows: 1)
        let streams = try (0..<2).map { _ in try engine.submit(engine.request("The", maxTokens: 1_000_000)) }
        engine.stop()
        for stream in streams {
            await #expect(throws: ServingError.stopped) { for try await _ in stream {} }
        }
        #expect(throws: ServingError.stopped) { try engine.submit(engine.request("a")) }
    }

    @Test func `a client that does not read is given up`() async throws {
        let engine = try Fixture.story.engine()
        defer { engine.stop() }
        let stream = try engine.submit(engine.request("The", maxTokens: 1_000_000))
        #expect(await engine.becomesIdle())
        await #expect(throws: ServingError.slowReader) { for try await _ in stream {} }
    }
}
