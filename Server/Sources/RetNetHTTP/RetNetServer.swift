import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import RetNetServing
import ServiceLifecycle
import UnixSignals

/// A server over HTTP/1.1.
public enum RetNetServer {
    /// Listens until SIGTERM or SIGINT, and then finishes the running requests within the time of the configuration.
    ///
    /// The model is opened by `load` once the server listens; `onRunning` gets the port. Throws what `load` throws, and the
    /// error of an address at which it cannot listen, and ``TLSFiles/Failure``.
    public static func run(
        _ core: ServerCore, signals: [UnixSignal] = [.sigterm, .sigint],
        load: @escaping @Sendable () throws -> Void,
        onRunning: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) async throws {
        var quiet = core.logger
        quiet.logLevel = max(.warning, quiet.logLevel)
        // Services end in the opposite order: requests first, then the listener.
        let services: [any Service] = [
            try application(core, onRunning: onRunning), ModelService(load: load), DrainService(core: core),
        ]
        var configuration = ServiceGroupConfiguration(
            services: services.map {
                .init(service: $0, failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: signals, logger: quiet)
        configuration.maximumGracefulShutdownDuration = core.configuration.drainTimeout + .seconds(10)
        try await ServiceGroup(configuration: configuration).run()
    }

    /// The application alone, which ends when its task is cancelled; throws ``TLSFiles/Failure``.
    static func application(
        _ core: ServerCore, onRunning: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    )
        throws -> some ApplicationProtocol
    {
        let configuration = core.configuration
        var quiet = core.logger
        quiet.logLevel = max(.warning, quiet.logLevel)
        let plain = HTTPServerBuilder.http1(
            configuration: .init(
                additionalChannelHandlers: [ConnectionGuard(timeout: configuration.idleTimeout)],
                idleTimeout: .init(configuration.idleTimeout),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
        return Application(
            responder: Responder(core: core),
            server: try configuration.tls.map { try $0.encrypting(plain) } ?? plain,
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), serverName: "retnet",
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.connectionLimit)),
            onServerRunning: { onRunning($0.localAddress?.port ?? configuration.port) }, logger: quiet)
    }
}

/// Opens the model, on a thread of its own, and ends the server if that fails.
private struct ModelService: Service {
    let load: @Sendable () throws -> Void

    func run() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread { continuation.resume(with: Result { try load() }) }
        }
        try await gracefulShutdown()
    }
}

/// Finishes running requests before the listener goes.
private struct DrainService: Service {
    let core: ServerCore

    func run() async throws {
        try await gracefulShutdown()
        await core.drain()
    }
}
