import Foundation
import Logging
import NIOCore
import RetNetServing
import RetNetStorage

/// A model with everything that requests to it need.
struct ServedModel: Sendable {
    let engine: ServingEngine
    let states: StateKeeper
    let format: ChatFormat

    var model: ServingModel { engine.model }
}

/// What all connections of a server share: its phase, its models with their engines, and its log.
public final class ServerCore: @unchecked Sendable {
    // Sendable: what changes is read and written under the lock.
    /// The limits.
    public let configuration: ServerConfiguration
    /// The log.
    public let logger: Logger
    let started = Date()
    let crossOrigin: CrossOrigin
    let bodyBudget: BodyBudget
    private let keys: [[UInt8]]
    private let lock = NSLock()
    private var phase = Phase.loading
    private var isDraining = false

    private enum Phase {
        case loading
        /// At least one.
        case ready([ServedModel])
        case failed(String)
    }

    /// A server that has no model yet.
    public init(_ configuration: ServerConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        keys = configuration.apiKeys.map { Array($0.utf8) }
        crossOrigin = CrossOrigin(
            origins: configuration.allowedOrigins,
            checksHost: configuration.isLocal && configuration.apiKeys.isEmpty)
        // Values take several times the bytes of their text.
        bodyBudget = BodyBudget(byteCount: max(64 << 20, 4 * configuration.requestByteLimit))
    }

    // MARK: Phases

    /// Opens models and starts an engine on each; until then requests are answered with 503.
    ///
    /// The name of a model is that of its folder unless one is given. Throws what `ServingModel` and ``serve(_:)`` throw.
    public func load(_ folders: [(path: String, name: String?)]) throws {
        do {
            try serve(
                folders.map {
                    try ServingModel(path: $0.path, name: $0.name, stateType: configuration.stateType)
                })
        } catch {
            lock.withLock { phase = .failed("\(error)") }
            throw error
        }
    }

    /// Starts an engine on each of one or more models.
    ///
    /// Throws ``ModelNameTwice``, `RuntimeError` if threads cannot be started, and `StorageError` for a folder of states that
    /// cannot be used.
    public func serve(_ models: [ServingModel]) throws {
        for (index, model) in models.enumerated()
        where models[..<index].contains(where: { $0.name == model.name }) {
            throw ModelNameTwice(name: model.name)
        }
        let served = try models.map { try serve($0, isAlone: models.count == 1, share: models.count) }
        lock.withLock {
            phase = .ready(served)
            if isDraining { for model in served { model.engine.drain() } }
        }
    }

    /// Two models with one name.
    public struct ModelNameTwice: Error, Equatable, CustomStringConvertible, LocalizedError {
        /// The name.
        public let name: String
        /// The problem and the remedy.
        public var description: String {
            "two models have the name '\(name)': give another one with --model NAME=DIR"
        }
        /// The same text as ``description``.
        public var errorDescription: String? { description }
    }

    private func serve(_ model: ServingModel, isAlone: Bool, share: Int) throws -> ServedModel {
        let format = try ChatFormat(
            folder: model.path, file: configuration.chatTemplate, tokenizer: model.tokenizer)
        // Encoder-decoders keep no states.
        let stateFolder = model.isEncoderDecoder ? nil : configuration.stateFolder
        let folder = try stateFolder.map {
            // Several models have a folder each; their names may have a slash.
            let name = model.name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? model.name
            return try StateFolder(isAlone ? $0 : $0 + "/" + name, model: model)
        }
        let store = StateStore(byteLimit: configuration.stateByteLimit / share)
        if let folder, configuration.engine.reusesPrefixes {
            let found = PrefixFolder(folder).load(into: store)
            if found.count > 0 { logger.info("read \(found.count) states of earlier prompts") }
            if found.failureCount > 0 {
                logger.warning(
                    "removed \(found.failureCount) states of earlier prompts that do not belong to this model or are damaged"
                )
            }
        }
        return ServedModel(
            engine: try ServingEngine(model, configuration.engine, store: store),
            states: StateKeeper(store, folder: folder), format: format)
    }

    /// Refuses new requests, waits until the running ones have ended or the time is over, and stops the engines.
    ///
    /// The states that prompts can begin with are then written to the folder of states, if there is one.
    public func drain() async {
        let models: [ServedModel] = lock.withLock {
            isDraining = true
            if case .ready(let models) = phase { return models }
            return []
        }
        for model in models { model.engine.drain() }
        let end = ContinuousClock.now + configuration.drainTimeout
        while !models.allSatisfy({ $0.engine.status.isIdle }), ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(20))
        }
        let count = models.map(\.engine.status).reduce(0) { $0 + $1.waiting + $1.reading + $1.generating }
        if count > 0 { logger.warning("ending \(count) requests that were not finished in time") }
        for model in models { model.engine.stop() }
        guard configuration.engine.reusesPrefixes else { return }
        for model in models {
            guard let folder = model.states.folder else { continue }
            do {
                // The time that is left, but enough for some even where requests took all of it.
                let end = max(end, .now + .seconds(3))
                _ = try await Blocking.run { try PrefixFolder(folder).save(model.engine.store, until: end) }
            } catch {
                logger.warning("the states of prompts were not kept for the next start: \(error)")
            }
        }
    }

    /// The engines; none while the models are loaded.
    public var engines: [ServingEngine] {
        lock.withLock { if case .ready(let models) = phase { models.map(\.engine) } else { [] } }
    }

    /// The engine of the first model, if there is one.
    public var engine: ServingEngine? { engines.first }

    /// Returns all models; throws an answer with 503 while there is none, and while the server shuts down.
    func served() throws -> [ServedModel] {
        let (phase, isDraining) = lock.withLock { (self.phase, self.isDraining) }
        switch phase {
        case .loading: throw APIError.unavailable("the model is being loaded: try again in a moment")
        case .failed(let reason): throw APIError.failure("the model could not be loaded: \(reason)")
        case .ready(let models):
            if isDraining { throw APIError(ServingError.draining) }
            return models
        }
    }

    /// Returns the model of a name, or the first one without a name; throws answers with 404 and 503.
    func served(named name: String?) throws -> ServedModel {
        let models = try served()
        guard let name else { return models[0] }
        if let model = models.first(where: { $0.model.name == name }) { return model }
        let names = models.map { "'\($0.model.name)'" }.joined(separator: ", ")
        throw APIError.notFound(
            "there is no model '\(name)': this server has \(names)", code: "model_not_found")
    }

    /// The time after which a full queue probably has room: that of a request, shared by those that run at once.
    var secondsUntilRoom: Int {
        let times = engines.map { engine in
            let finished = engine.metrics.current.wholeRequest
            return finished.sum / Double(max(1, finished.count)) / Double(engine.configuration.rowLimit)
        }
        return Int(min(60, max(1, times.max() ?? 1)).rounded(.up))
    }

    /// What `/health` answers: 200 only if requests are taken and the engines make progress.
    func health() -> (status: Int, body: JSONValue) {
        let (phase, isDraining) = lock.withLock { (self.phase, self.isDraining) }
        switch phase {
        case .loading: return (503, ["status": "loading"])
        case .failed(let reason): return (503, ["status": "failed", "message": .string(reason)])
        case .ready(let models):
            let all = models.map(\.engine.status)
            let limit = configuration.stallTimeout / .seconds(1)
            let isStuck = all.contains { $0.secondsWithoutStep > limit }
            let word: JSONValue = isDraining ? "draining" : isStuck ? "stuck" : "ok"
            func sum(_ count: (ServingEngine.Status) -> Int) -> JSONValue {
                .int(all.reduce(0) { $0 + count($1) })
            }
            return (
                isDraining || isStuck ? 503 : 200,
                [
                    "status": word, "waiting": sum(\.waiting), "reading": sum(\.reading),
                    "generating": sum(\.generating),
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
