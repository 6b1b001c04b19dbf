import Foundation
import RetNetRuntime
import RetNetSampling

/// Generates texts for many requests at once, on threads of its own.
///
/// Requests join and leave the batch at every step (continuous batching): a step reads one token of every text that is being
/// generated and pieces of prompts. The prompts take turns, so that a short one need not wait for the end of a long
/// one. A text has the same bits whatever else runs. A request whose stream is dropped ends before the next step.
///
/// An engine may have several replicas: batches of their own over the same weights, queue and kept states. A request goes to
/// the replica that has the fewest.
public final class ServingEngine: Sendable {
    /// The limits of an engine.
    public struct Configuration: Sendable {
        /// Number of threads that compute, in all replicas together; nil for one per processor core.
        public var threadCount: Int?
        /// Number of batches that are computed at the same time, each by its share of the threads.
        public var replicaCount = 1
        /// The largest number of texts that are generated at once, in all replicas together.
        public var rowLimit = 16
        /// The largest number of requests that wait.
        public var queueLimit = 64
        /// The largest number of tokens of prompts that a step reads while texts are generated: a multiple of 64 up to 256.
        ///
        /// Prompts are cut at multiples of 64 tokens, where cuts do not change a bit of the result.
        public var pieceLength = 256
        /// The time that such a step may take: where it takes longer, the next one reads 64 tokens less, down to 64.
        public var stepTime = Duration.milliseconds(100)
        /// The largest number of tokens of a sequence; nil for no limit but the model's.
        ///
        /// For encoder-decoders, whose attention takes time with the square of a source and memory with its length, nil is
        /// ``sourceLimit``; sources count as beginnings of sequences.
        public var contextLimit: Int?
        /// The distance in tokens between states that are kept while a prompt is read.
        public var snapshotInterval = 2048
        /// The number of tokens that must have been read for a state to be worth keeping.
        public var minimumSnapshotLength = 32
        /// True if prompts may begin at states of earlier ones.
        public var reusesPrefixes = true

        /// The limits of a small server.
        public init() {}

        /// The number of tokens of a source and its output together unless ``contextLimit`` says otherwise.
        public static let sourceLimit = 4096
        /// The largest number of texts of a replica at once: a pass takes them and pieces of prompts.
        public static let largestRowLimit = 256
        /// The largest number of replicas.
        public static let largestReplicaCount = 64

        /// The largest number of texts of each replica.
        var rowLimitOfReplica: Int { (rowLimit + replicaCount - 1) / replicaCount }
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
        let replicaCount = min(max(1, configuration.replicaCount), Configuration.largestReplicaCount)
        configuration.replicaCount = replicaCount
        configuration.rowLimit = min(
            max(replicaCount, configuration.rowLimit), Configuration.largestRowLimit * replicaCount)
        let unit = PrefixHashes.blockLength
        let whole = (max(1, configuration.pieceLength) + unit - 1) / unit * unit
        configuration.pieceLength = min(whole, ModelRunner.pieceLength)
        configuration.snapshotInterval = max(unit, configuration.snapshotInterval / unit * unit)
        if model.isEncoderDecoder {
            configuration.contextLimit = configuration.contextLimit ?? Configuration.sourceLimit
            configuration.reusesPrefixes = false
        }
        self.model = model
        self.configuration = configuration
        self.store = store
        self.metrics = metrics
        inbox = EngineInbox(queueLimit: max(0, configuration.queueLimit), replicaCount: replicaCount)
        let threadCount = max(1, configuration.threadCount ?? ModelRunner.defaultThreadCount)
        let loops = try (0..<replicaCount).map { replica in
            // What does not divide goes to the first ones.
            let share = threadCount / replicaCount + (replica < threadCount % replicaCount ? 1 : 0)
            let runner: SequenceRunner =
                switch model.network {
                case .language(let network): try ModelRunner(network, threads: max(1, share))
                case .encoderDecoder(let network): try EncoderDecoderRunner(network, threads: max(1, share))
                }
            return EngineLoop(
                model, runner, configuration, store: store, metrics: metrics, inbox: inbox, replica: replica)
        }
        for (replica, loop) in loops.enumerated() {
            let thread = Thread { loop.run() }
            thread.name = "engine \(replica)"
            thread.stackSize = 8 << 20
            thread.start()
        }
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
        if model.isEncoderDecoder {
            guard start == nil, !request.keepsState else { throw ServingError.noStates(of: model) }
            guard !request.scoresPrompt else {
                throw ServingError.encoderDecoder(
                    model: model.name, reason: "it gives the tokens of prompts no probabilities")
            }
        }
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

    /// Ends all requests with an error, and the threads.
    ///
    /// Texts whose states are to be kept end with what they have, so that the state is not lost.
    public func stop() { inbox.stop() }
}
