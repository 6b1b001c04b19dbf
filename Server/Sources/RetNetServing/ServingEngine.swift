import Foundation
import RetNetRuntime
import RetNetSampling

/// Generates texts for many requests at once, on a thread of its own.
///
/// Requests join and leave the batch at every step (continuous batching): a step reads one token of every text that is being
/// generated and a piece of one prompt. The prompts take turns, so that a short one need not wait for the end of a long
/// one. A text has the same bits whatever else runs. A request whose stream is dropped ends before the next step.
public final class ServingEngine: Sendable {
    /// The limits of an engine.
    public struct Configuration: Sendable {
        /// Number of threads that compute; nil for one per processor core.
        public var threadCount: Int?
        /// The largest number of texts that are generated at once.
        public var rowLimit = 16
        /// The largest number of requests that wait.
        public var queueLimit = 64
        /// The largest number of tokens of a prompt that a step reads while texts are generated: a multiple of 64 up to 256.
        ///
        /// Prompts are cut at multiples of 64 tokens, where cuts do not change a bit of the result.
        public var pieceLength = 64
        /// The largest number of tokens of a sequence; nil for no limit but the model's.
        public var contextLimit: Int?
        /// The distance in tokens between states that are kept while a prompt is read.
        public var snapshotInterval = 2048
        /// The number of tokens that must have been read for a state to be worth keeping.
        public var minimumSnapshotLength = 32
        /// True if prompts may begin at states of earlier ones.
        public var reusesPrefixes = true

        /// The limits of a small server.
        public init() {}

        /// The largest number of texts at once: a pass takes them and a piece of a prompt.
        public static let largestRowLimit = 256
    }

    /// What an engine is doing.
    public struct Status: Sendable, Equatable {
        /// Number of requests that wait.
        public var waiting = 0
        /// Number of requests whose prompts are being read.
        public var reading = 0
        /// Number of texts that are being generated.
        public var generating = 0
        /// Bytes of the states of both.
        public var stateByteCount = 0
        /// True if no new requests are taken.
        public var isDraining = false
        /// Seconds since the last step while there is work; 0 without work.
        public var secondsWithoutStep = 0.0

        /// True if nothing waits or runs.
        public var isIdle: Bool { waiting + reading + generating == 0 }
    }

    /// The model.
    public let model: ServingModel
    /// The limits.
    public let configuration: Configuration
    /// The states that requests leave behind.
    public let store: StateStore
    /// The figures.
    public let metrics: ServingMetrics
    private let inbox: EngineInbox

    /// Starts an engine; throws `RuntimeError` if threads cannot be started.
    public init(
        _ model: ServingModel, _ configuration: Configuration = .init(), store: StateStore,
        metrics: ServingMetrics = .init()
    ) throws {
        var configuration = configuration
        configuration.rowLimit = min(max(1, configuration.rowLimit), Configuration.largestRowLimit)
        let unit = PrefixHashes.blockLength
        let whole = (max(1, configuration.pieceLength) + unit - 1) / unit * unit
        configuration.pieceLength = min(whole, ModelRunner.pieceLength)
        configuration.snapshotInterval = max(unit, configuration.snapshotInterval / unit * unit)
        self.model = model
        self.configuration = configuration
        self.store = store
        self.metrics = metrics
        inbox = EngineInbox(queueLimit: max(0, configuration.queueLimit))
        let loop = EngineLoop(
            model,
            try ModelRunner(
                model.model, threads: configuration.threadCount ?? ModelRunner.defaultThreadCount),
            configuration, store: store, metrics: metrics, inbox: inbox)
        let thread = Thread { loop.run() }
        thread.name = "engine"
        thread.stackSize = 8 << 20
        thread.start()
    }

    deinit { inbox.stop() }

    /// Adds a request to the queue; its events come in the stream, which ends with an error if the request fails.
    ///
    /// Whoever drops the stream cancels the request. Throws ``ServingError`` for a request that cannot be carried out, when
    /// the queue is full and when the engine takes no more requests, and `GenerationError` for parameters out of range.
    public func submit(_ request: ServingRequest) throws -> AsyncThrowingStream<ServingEvent, any Error> {
        var request = request
        try check(request)
        request.sampling.seed = request.sampling.seed ?? UInt64.random(in: .min ... .max)
        request.choiceCount = max(1, request.choiceCount)
        request.usesCache = request.usesCache && configuration.reusesPrefixes
        let (stream, continuation) = AsyncThrowingStream<ServingEvent, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(Self.eventLimit))
        let job = EngineJob(request, continuation)
        let inbox = inbox
        continuation.onTermination = { _ in inbox.cancel(job) }
        do {
            try inbox.push(job)
        } catch {
            if error as? ServingError == .queueFull(limit: inbox.queueLimit) {
                metrics.update { $0.refused += 1 }
            }
            throw error
        }
        return stream
    }

    /// Events that may wait for a client before its request is given up.
    private static let eventLimit = 1 << 14

    /// Throws what ``submit(_:)`` throws for a request that cannot be carried out.
    public func check(_ request: ServingRequest) throws {
        try request.sampling.validate()
        let size = model.vocabularySize
        if let index = request.tokens.firstIndex(where: { $0 < 0 || Int($0) >= size }) {
            throw ServingError.unknownToken(request.tokens[index], index: index, vocabularySize: size)
        }
        let start = request.start
        if request.tokens.isEmpty, start == nil || (start?.pending.isEmpty == true && start?.logits == nil) {
            throw ServingError.emptyPrompt
        }
        let limits = [model.positionLimit, configuration.contextLimit].compactMap { $0 }
        guard let limit = limits.min() else { return }
        let promptCount = request.tokens.count + (start?.tokenCount ?? 0)
        guard promptCount <= limit, request.sampling.maxTokens <= limit - promptCount else {
            throw ServingError.tooLong(
                promptCount: promptCount, maxTokens: min(request.sampling.maxTokens, 1 << 40), limit: limit)
        }
    }

    /// What the engine is doing now.
    public var status: Status { inbox.status }

    /// Refuses new requests from now on; those that wait or run are finished.
    public func drain() { inbox.drain() }

    /// Ends all requests with an error, and the thread.
    public func stop() { inbox.stop() }
}

/// A request on its way through an engine.
final class EngineJob: @unchecked Sendable {
    // Sendable: what changes is used by the engine's thread only, but the mark of a cancellation, which the inbox guards.
    let request: ServingRequest
    let arrival = ContinuousClock.now
    fileprivate(set) var isCancelled = false
    /// Number of choices that have not ended.
    var openChoices: Int
    var hasFirstToken = false
    var isOver = false
    private let continuation: AsyncThrowingStream<ServingEvent, any Error>.Continuation

    init(_ request: ServingRequest, _ continuation: AsyncThrowingStream<ServingEvent, any Error>.Continuation)
    {
        self.request = request
        self.continuation = continuation
        openChoices = request.choiceCount
    }

    /// Hands out an event; returns false if too many wait.
    func send(_ event: ServingEvent) -> Bool {
        if case .dropped = continuation.yield(event) { return false }
        return true
    }

    func finish(throwing error: (any Error)? = nil) {
        if let error { continuation.finish(throwing: error) } else { continuation.finish() }
    }

    func isLate(_ now: ContinuousClock.Instant) -> Bool { request.deadline.map { now >= $0 } ?? false }
}

/// The queue between the threads of clients and that of an engine.
final class EngineInbox: @unchecked Sendable {
    // Sendable: everything is read and written under the condition's lock.
    private let condition = NSCondition()
    private var waiting: [EngineJob] = []
    private var running: [EngineJob] = []
    private var sizes = ServingEngine.Status()
    private var isDraining = false
    private var isStopped = false
    private var lastStep = ContinuousClock.now
    let queueLimit: Int

    init(queueLimit: Int) { self.queueLimit = queueLimit }

    private func locked<R>(_ body: () throws -> R) rethrows -> R {
        condition.lock()
        defer { condition.unlock() }
        return try body()
    }

    // MARK: Threads of clients

    func push(_ job: EngineJob) throws {
        try locked {
            guard !isStopped else { throw ServingError.stopped }
            guard !isDraining else { throw ServingError.draining }
            // A request that an idle engine takes at once does not count as waiting.
            guard waiting.count < max(1, queueLimit) else { throw ServingError.queueFull(limit: queueLimit) }
            if waiting.isEmpty, running.isEmpty { lastStep = .now }
            waiting.append(job)
            condition.signal()
        }
    }

    func cancel(_ job: EngineJob) {
        locked {
            job.isCancelled = true
            condition.signal()
        }
    }

    func drain() { locked { isDraining = true } }

    func stop() {
        locked {
            isDraining = true
            isStopped = true
            condition.signal()
        }
    }

    var status: ServingEngine.Status {
        locked {
            var status = sizes
            status.waiting = waiting.count
            status.isDraining = isDraining
            // Jobs that were taken but not counted yet are being read.
            if status.reading + status.generating == 0 { status.reading = running.count }
            if !status.isIdle { status.secondsWithoutStep = (ContinuousClock.now - lastStep) / .seconds(1) }
            return status
        }
    }

    // MARK: The engine's thread

    /// What happened since the last step.
    struct Delivery {
        var jobs: [EngineJob] = []
        var dropped: [(job: EngineJob, error: ServingError?)] = []
        var isStopped = false
    }

    /// Returns requests that may start and those that are over; waits for something to do if `mayWait`.
    func take(room: Int, mayWait: Bool) -> Delivery {
        locked {
            while mayWait, waiting.isEmpty, !isStopped { condition.wait() }
            var delivery = Delivery(isStopped: isStopped)
            if isStopped {
                delivery.dropped = (waiting + running).map { ($0, .stopped) }
                (waiting, running) = ([], [])
                return delivery
            }
            let now = ContinuousClock.now
            lastStep = now
            for job in waiting + running where job.isCancelled || job.isLate(now) {
                delivery.dropped.append((job, job.isCancelled ? nil : .timedOut))
            }
            if !delivery.dropped.isEmpty {
                waiting.removeAll { $0.isCancelled || $0.isLate(now) }
                running.removeAll { $0.isCancelled || $0.isLate(now) }
            }
            let count = min(max(0, room), waiting.count)
            delivery.jobs = Array(waiting.prefix(count))
            waiting.removeFirst(count)
            running += delivery.jobs
            return delivery
        }
    }

    func finished(_ job: EngineJob) { locked { running.removeAll { $0 === job } } }

    func report(reading: Int, generating: Int, stateByteCount: Int) {
        locked {
            sizes.reading = reading
            sizes.generating = generating
            sizes.stateByteCount = stateByteCount
        }
    }
}
