import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

import enum RetNetStorage.StorageError

@testable import RetNetHTTP

#if TLS
    import NIOSSL
#endif

/// A client that speaks HTTP over real connections to this machine.
struct TestClient: Sendable {
    let port: Int
    /// Prepares connections that are encrypted.
    var encrypt: (@Sendable (any Channel) throws -> Void)?
    /// Bytes that may wait for a client that does not read; nil for what the system chooses.
    var receiveByteCount: Int?

    /// An answer.
    struct Answer: Sendable {
        let status: Int
        let headers: [String: String]
        let body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        var json: JSONValue { (try? JSONValue(reading: body)) ?? .null }
        /// The data of server-sent events.
        var events: [String] {
            text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }.map {
                String($0.dropFirst(6))
            }
        }
        /// The events that are objects.
        var chunks: [JSONValue] { events.compactMap { try? JSONValue(reading: Array($0.utf8)) } }
        /// The message, parameter and code of an error.
        var error: (message: String?, parameter: String?, code: String?) {
            let error = json["error"]
            return (error?["message"]?.string, error?["param"]?.string, error?["code"]?.string)
        }
    }

    func connect<R: Sendable>(
        _ body:
            @Sendable (
                NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
                NIOAsyncChannelOutboundWriter<ByteBuffer>
            ) async throws -> R
    ) async throws -> R {
        let encrypt = encrypt
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.minutes(2))
        if let receiveByteCount {
            bootstrap = bootstrap.channelOption(
                .socketOption(.so_rcvbuf), value: SocketOptionValue(receiveByteCount))
        }
        let channel =
            try await bootstrap
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try encrypt?(channel)
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await body(inbound.makeAsyncIterator(), outbound)
        }
    }

    /// Sends bytes, and returns all that comes until the server closes the connection.
    func raw(_ request: String) async throws -> [UInt8] {
        try await connect { inbound, outbound in
            var (iterator, bytes) = (inbound, [UInt8]())
            try await outbound.write(ByteBuffer(string: request))
            while let buffer = try await iterator.next() { bytes += buffer.readableBytesView }
            return bytes
        }
    }

    static func head(_ method: String, _ path: String, _ headers: [String: String], length: Int?) -> String {
        var all = ["Host": "localhost", "Connection": "close"]
        if let length { all["Content-Length"] = "\(length)" }
        if method == "POST" { all["Content-Type"] = "application/json" }
        all.merge(headers) { $1 }
        return "\(method) \(path) HTTP/1.1\r\n" + all.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
    }

    func send(_ method: String, _ path: String, _ body: String? = nil, headers: [String: String] = [:])
        async throws -> Answer
    {
        let head = Self.head(method, path, headers, length: body?.utf8.count)
        return try Self.parse(try await raw(head + (body ?? "")))
    }

    func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        try await send("GET", path, headers: headers)
    }

    func post(_ path: String, _ body: JSONValue, headers: [String: String] = [:]) async throws -> Answer {
        try await send("POST", path, String(decoding: body.bytes, as: UTF8.self), headers: headers)
    }

    func complete(_ body: JSONValue) async throws -> Answer { try await post("/v1/completions", body) }

    struct Malformed: Error {
        let text: String
    }

    static func parse(_ bytes: [UInt8]) throws -> Answer {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw Malformed(text: String(decoding: bytes, as: UTF8.self))
        }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces)
        }
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Malformed(text: lines.first ?? "")
        }
        var body = Array(bytes[end.upperBound...])
        if headers["transfer-encoding"] == "chunked" { body = try unchunked(body) }
        return Answer(status: status, headers: headers, body: body)
    }

    private static func unchunked(_ bytes: [UInt8]) throws -> [UInt8] {
        var (rest, result) = (bytes[...], [UInt8]())
        while let line = rest.firstRange(of: Array("\r\n".utf8)) {
            let text = String(decoding: rest[..<line.lowerBound], as: UTF8.self)
            guard let size = Int(text, radix: 16), rest.count >= size + 2 else { throw Malformed(text: text) }
            if size == 0 { return result }
            result += rest[line.upperBound..<line.upperBound + size]
            rest = rest[(line.upperBound + size + 2)...]
        }
        throw Malformed(text: "the last chunk is missing")
    }
}

extension JSONValue {
    var string: String? { if case .string(let value) = self { value } else { nil } }
    var int: Int? { if case .int(let value) = self { value } else { nil } }
    var double: Double? { if case .double(let value) = self { value } else { int.map(Double.init) } }
    var array: [JSONValue] { if case .array(let value) = self { value } else { [] } }
    var names: [String] { if case .object(let members) = self { members.map(\.name) } else { [] } }
    var firstChoice: JSONValue? { self["choices"]?.array.first }
}

extension ServerConfiguration {
    /// A server on a free port with one thread and some changes.
    static func testing(_ change: (inout ServerConfiguration) -> Void) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.engine.threadCount = 1
        configuration.engine.minimumSnapshotLength = 4
        change(&configuration)
        return configuration
    }
}

/// Runs a server on a free port while `body` runs.
func withServer(
    _ fixture: Fixture? = .story, more: [Fixture] = [],
    _ configuration: ServerConfiguration = .testing { _ in },
    _ body: @Sendable @escaping (TestClient, ServerCore) async throws -> Void
) async throws {
    let fixtures = fixture.map { [$0] + more } ?? []
    try await withServer(fixtures.map { try $0.model() }, configuration, body)
}

/// Runs a server of models, or one that still loads them, on a free port while `body` runs.
func withServer(
    _ models: [ServingModel], _ configuration: ServerConfiguration = .testing { _ in },
    _ body: @Sendable @escaping (TestClient, ServerCore) async throws -> Void
) async throws {
    var logger = Logger(label: "tests")
    logger.logLevel = .critical
    let core = ServerCore(configuration, logger: logger)
    if !models.isEmpty {
        for attempt in 0... {
            do {
                try core.serve(models)
                break
            } catch StorageError.inUse where attempt < 500 {
                // A server before has the folder until its last connection is gone.
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }
    let (ports, port) = AsyncStream<Int>.makeStream()
    let application = try RetNetServer.application(core) { port.yield($0) }
    defer { for engine in core.engines { engine.stop() } }
    var encrypt: (@Sendable (any Channel) throws -> Void)?
    #if TLS
        if let files = configuration.tls {
            var client = TLSConfiguration.makeClientConfiguration()
            client.trustRoots = .file(files.certificate)
            let context = try NIOSSLContext(configuration: client)
            encrypt = { channel in
                let handler = try NIOSSLClientHandler(context: context, serverHostname: "localhost")
                try channel.pipeline.syncOperations.addHandler(handler)
            }
        }
    #endif
    let encryption = encrypt
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await application.run() }
        group.addTask {
            for await port in ports {
                try await body(TestClient(port: port, encrypt: encryption), core)
                return
            }
        }
        try await group.next()
        group.cancelAll()
        while (try? await group.next()) != nil {}
    }
}
