import Foundation
import Logging
import NIOCore
import RetNetServing

/// What all connections of a server share: its phase, its engine, and its log.
public final class ServerCore: @unchecked Sendable {
    // Sendable: what changes is read and written under the lock.
    /// The limits.
    public let configuration: ServerConfiguration
    /// The log.
    public let logger: Logger
    /// The figures of the engine.
    public let metrics = ServingMetrics()
    let started = Date()
    private let keys: [[UInt8]]
    private let lock = NSLock()
    private var phase = Phase.loading
    private var isDraining = false

    private enum Phase {
        case loading
        case ready(ServingEngine, StateFolder?, ChatFormat)
        case failed(String)
    }

    /// A server that has no model yet.
    public init(_ configuration: ServerConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        keys = configuration.apiKeys.map { Array($0.utf8) }
    }

    // MARK: Phases

    /// Opens a model and starts an engine on it; until then requests are answered with 503.
    ///
    /// Throws what `ServingModel` and `ServingEngine` throw.
    public func load(path: String, name: String? = nil) throws {
        do {
            try serve(try ServingModel(path: path, name: name, stateType: configuration.stateType))
        } catch {
            lock.withLock { phase = .failed("\(error)") }
            throw error
        }
    }

    /// Starts an engine on a model.
    ///
    /// Throws `RuntimeError` if threads cannot be started, and `StorageError` for a folder of states that cannot be used.
    public func serve(_ model: ServingModel) throws {
        let format = try ChatFormat(
            folder: model.model.path, file: configuration.chatTemplate, tokenizer: model.tokenizer)
        let folder = try configuration.stateFolder.map { try StateFolder($0, model: model) }
        let engine = try ServingEngine(
            model, configuration.engine, store: StateStore(byteLimit: configuration.stateByteLimit),
            metrics: metrics)
        lock.withLock {
            phase = .ready(engine, folder, format)
            if isDraining { engine.drain() }
        }
    }

    /// Refuses new requests, waits until the running ones have ended or the time is over, and stops the engine.
    public func drain() async {
        let engine: ServingEngine? = lock.withLock {
            isDraining = true
            if case .ready(let engine, _, _) = phase { return engine }
            return nil
        }
        guard let engine else { return }
        engine.drain()
        let end = ContinuousClock.now + configuration.drainTimeout
        while !engine.status.isIdle, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(20))
        }
        let status = engine.status
        if !status.isIdle {
            logger.warning(
                "ending \(status.waiting + status.reading + status.generating) requests that were not finished in time"
            )
        }
        engine.stop()
    }

    /// The engine, if there is one.
    public var engine: ServingEngine? {
        lock.withLock { if case .ready(let engine, _, _) = phase { engine } else { nil } }
    }

    /// Returns the engine; throws an answer with 503 while there is none, and while the server shuts down.
    func availableEngine() throws -> ServingEngine {
        let (phase, isDraining) = lock.withLock { (self.phase, self.isDraining) }
        switch phase {
        case .loading: throw APIError.unavailable("the model is being loaded: try again in a moment")
        case .failed(let reason): throw APIError.failure("the model could not be loaded: \(reason)")
        case .ready(let engine, _, _):
            if isDraining { throw APIError(ServingError.draining) }
            return engine
        }
    }

    /// The states with names of an engine.
    func states(of engine: ServingEngine) throws -> StateKeeper {
        let folder: StateFolder? = lock.withLock {
            if case .ready(_, let folder, _) = phase { return folder }
            return nil
        }
        return StateKeeper(engine.store, folder: folder)
    }

    /// The form of conversations; throws an answer with 503 while there is no model.
    func chatFormat() throws -> ChatFormat {
        let phase = lock.withLock { self.phase }
        guard case .ready(_, _, let format) = phase else {
            throw APIError.unavailable("the model is being loaded: try again in a moment")
        }
        return format
    }

    /// What `/health` answers: 200 only if requests are taken and the engine makes progress.
    func health() -> (status: Int, body: JSONValue) {
        let (phase, isDraining) = lock.withLock { (self.phase, self.isDraining) }
        switch phase {
        case .loading: return (503, ["status": "loading"])
        case .failed(let reason): return (503, ["status": "failed", "message": .string(reason)])
        case .ready(let engine, _, _):
            let status = engine.status
            let isStuck = status.secondsWithoutStep > configuration.stallTimeout / .seconds(1)
            let word: JSONValue = isDraining ? "draining" : isStuck ? "stuck" : "ok"
            return (
                isDraining || isStuck ? 503 : 200,
                [
                    "status": word, "waiting": .int(status.waiting), "reading": .int(status.reading),
                    "generating": .int(status.generating),
                ]
            )
        }
    }

    // MARK: Keys

    /// Returns true if a header has one of the keys, in a time that does not tell how much of a key is right.
    func isAuthorized(_ header: String?) -> Bool {
        guard !keys.isEmpty else { return true }
        let prefix = "bearer "
        guard let header, header.lowercased().hasPrefix(prefix) else { return false }
        let given = Array(header.utf8.dropFirst(prefix.utf8.count))
        var found: UInt8 = 0
        for key in keys {
            // All keys and all bytes of each are compared, whatever differs.
            var difference: UInt8 = key.count == given.count ? 0 : 1
            for (index, byte) in key.enumerated() {
                difference |= byte ^ (given.isEmpty ? 1 : given[index % given.count])
            }
            found |= difference == 0 ? 1 : 0
        }
        return found == 1
    }

    /// The time at which a request that begins now is given up.
    var deadline: ContinuousClock.Instant { .now + configuration.requestTimeout }
}
