import Foundation
import RetNetServing

/// The events of all prompts of a request, in one stream.
struct CompletionRun: Sendable {
    /// An event of a prompt, or a sign of life while there is none.
    enum Event: Sendable {
        case event(prompt: Int, ServingEvent)
        case ping
    }

    let events: AsyncThrowingStream<Event, any Error>
    private let continuation: AsyncThrowingStream<Event, any Error>.Continuation

    /// Events that may wait for a client before its request is given up.
    private static let eventLimit = 1 << 14
    private static let pause = Duration.milliseconds(50)

    /// Submits the prompts, at most as many at once as the engine has rows.
    ///
    /// Errors of the first prompt are thrown at once, as are requests that cannot be carried out; later prompts wait while the
    /// queue is full.
    init(_ request: CompletionRequest, engine: ServingEngine, pingInterval: Duration) throws {
        let prompts = request.prompts.map(\.request)
        for prompt in prompts { try engine.check(prompt) }
        let first = try engine.submit(prompts[0])
        let (events, continuation) = AsyncThrowingStream<Event, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(Self.eventLimit))
        (self.events, self.continuation) = (events, continuation)
        let work = Task {
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    var next = 0
                    let window = min(prompts.count, engine.configuration.rowLimit)
                    while next < prompts.count {
                        if next >= window { try await group.next() }
                        let index = next
                        next += 1
                        group.addTask {
                            let stream =
                                index == 0 ? first : try await Self.submit(prompts[index], to: engine)
                            for try await event in stream {
                                if case .dropped = continuation.yield(.event(prompt: index, event)) {
                                    throw ServingError.slowReader
                                }
                            }
                            // A stream whose reader was cancelled ends without an error.
                            try Task.checkCancellation()
                        }
                    }
                    try await group.waitForAll()
                }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        let pings = Task {
            while true {
                try await Task.sleep(for: pingInterval)
                continuation.yield(.ping)
            }
        }
        continuation.onTermination = { _ in
            work.cancel()
            pings.cancel()
        }
    }

    private static func submit(_ request: ServingRequest, to engine: ServingEngine) async throws
        -> AsyncThrowingStream<ServingEvent, any Error>
    {
        while true {
            do {
                return try engine.submit(request)
            } catch ServingError.queueFull {
                if let deadline = request.deadline, deadline < .now { throw ServingError.timedOut }
                try await Task.sleep(for: pause)
            }
        }
    }

    /// Ends the request, as when the client has gone.
    func cancel() { continuation.finish(throwing: CancellationError()) }
}
