import Foundation
import NIOCore
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// Connections: slow and broken clients, pages of other sites.
@Suite struct ConnectionTests {
    // MARK: Pages of other sites

    @Test func `pages of other sites have no permission unless it is given`() async throws {
        let preflight = [
            "Origin": "https://chat.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-stainless-os",
        ]
        let foreign = ["Origin": "https://chat.example"]
        let body: JSONValue = ["prompt": "a", "max_tokens": 1]
        try await withServer { client, _ in
            let asked = try await client.send("OPTIONS", "/v1/completions", headers: preflight)
            #expect(asked.status == 403 && asked.headers["access-control-allow-origin"] == nil)
            let post = try await client.post("/v1/completions", body, headers: foreign)
            #expect(post.status == 403 && post.error.code == "origin_not_allowed")
            // A form needs no permission of a browser to be sent.
            let form = try await client.send("POST", "/v1/states/x/save", headers: foreign)
            #expect(form.status == 403)
            #expect(try await client.send("DELETE", "/v1/states/x", headers: foreign).status == 403)
            let read = try await client.get("/v1/models", headers: foreign)
            #expect(read.status == 200 && read.headers["access-control-allow-origin"] == nil)
            let own = try await client.post(
                "/v1/completions", body, headers: ["Host": "localhost:80", "Origin": "http://localhost:80"])
            #expect(own.status == 200)
        }
        try await withServer(.story, .testing { $0.allowedOrigins = ["https://chat.example"] }) { client, _ in
            let asked = try await client.send("OPTIONS", "/v1/completions", headers: preflight)
            #expect(asked.status == 204)
            #expect(asked.headers["access-control-allow-origin"] == "https://chat.example")
            #expect(asked.headers["access-control-allow-headers"] == "content-type,x-stainless-os")
            #expect(asked.headers["access-control-allow-methods"]?.contains("DELETE") == true)
            #expect(asked.headers["vary"] == "Origin")
            let post = try await client.post("/v1/completions", body, headers: foreign)
            #expect(post.headers["access-control-allow-origin"] == "https://chat.example")
            let wrong = try await client.post("/v1/completions", ["max_tokens": -1], headers: foreign)
            #expect(wrong.status == 400 && wrong.headers["access-control-allow-origin"] != nil)
            let other = try await client.post(
                "/v1/completions", body, headers: ["Origin": "https://x.example"])
            #expect(other.status == 403 && other.headers["access-control-allow-origin"] == nil)
        }
        try await withServer(.story, .testing { $0.allowedOrigins = ["*"] }) { client, _ in
            let post = try await client.post("/v1/completions", body, headers: foreign)
            #expect(post.headers["access-control-allow-origin"] == "*")
        }
        #expect(ServerConfiguration.problem(ofOrigin: "https://chat.example:8443") == nil)
        for wrong in ["chat.example", "https://chat.example/", "https://", "://x", ""] {
            #expect(ServerConfiguration.problem(ofOrigin: wrong) != nil, "\(wrong)")
        }
    }

    @Test func `a server without keys answers to names of this machine only`() async throws {
        try await withServer { client, _ in
            for host in ["localhost", "127.0.0.1:80", "[::1]:80", "box", "box.local"] {
                #expect(try await client.get("/v1/models", headers: ["Host": host]).status == 200, "\(host)")
            }
            let strange = try await client.get("/v1/models", headers: ["Host": "evil.example:8080"])
            #expect(strange.status == 403 && strange.error.code == "host_not_allowed")
            #expect(try await client.get("/health", headers: ["Host": "evil.example"]).status == 200)
        }
        try await withServer(.story, .testing { $0.apiKeys = ["k"] }) { client, _ in
            let headers = ["Host": "models.example", "Authorization": "Bearer k"]
            let answer = try await client.get("/v1/models", headers: headers)
            #expect(answer.status == 200)
        }
    }

    @Test func `HEAD is GET without a body`() async throws {
        try await withServer { client, _ in
            let length = try await client.get("/v1/models").headers["content-length"]
            let head = try await client.send("HEAD", "/v1/models")
            #expect(head.status == 200 && head.body.isEmpty && head.headers["content-length"] == length)
            #expect(try await client.send("HEAD", "/health").status == 200)
            #expect(try await client.send("HEAD", "/v1/completions").status == 405)
        }
    }

    // MARK: Clients that behave badly

    @Test func `a thousand connections that do nothing change nothing for others`() async throws {
        OpenFiles.raiseLimit()
        let program = try await ProgramTests.Program([
            "--model", Fixture.story.path, "--port", "0", "--threads", "1", "--log-level", "error",
            "--idle-timeout", "10", "--body-timeout", "10",
        ])
        let client = TestClient(port: program.port)
        // Nothing, half a head, or a head whose body never comes.
        let parts = [
            "", "POST /v1/completions HTTP/1.1\r\nHos",
            TestClient.head("POST", "/v1/completions", [:], length: 10),
        ]
        var sockets: [PlainSocket] = []
        for index in 0..<1000 {
            let socket = try #require(PlainSocket(port: program.port))
            socket.send(parts[index % 3])
            sockets.append(socket)
            if index % 100 == 99 {
                #expect(try await client.complete(["prompt": "The", "max_tokens": 3]).status == 200)
            }
        }
        // All are closed after a while, some with an answer.
        for socket in sockets { #expect(socket.isClosedByOther()) }
        #expect(try await client.get("/health").status == 200)
    }

    @Test func `floods of headers and endless addresses are refused`() async throws {
        try await withServer(
            .story, .testing { ($0.bodyTimeout, $0.idleTimeout) = (.seconds(2), .seconds(2)) }
        ) { client, _ in
            let head = "GET /health HTTP/1.1\r\nHost: a\r\n"
            for flood in [
                head + (0..<5000).map { "X-\($0): y\r\n" }.joined() + "\r\n",
                head + "X: " + String(repeating: "y", count: 1 << 20) + "\r\n\r\n",
                "GET /" + String(repeating: "y", count: 1 << 20) + " HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /health HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
                "POST /v1/completions HTTP/1.1\r\n"
                    + "Host: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
                "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            ] {
                let answer = (try? await client.raw(flood)) ?? []
                let text = String(decoding: answer.prefix(200), as: UTF8.self)
                #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 4"), "\(text)")
                let health = try await client.get("/health")
                #expect(health.status == 200)
            }
        }
    }

    @Test func `a head that comes byte by byte is given up`() async throws {
        try await withServer(.story, .testing { $0.idleTimeout = .milliseconds(300) }) { client, _ in
            let begin = ContinuousClock.now
            try? await client.connect { _, outbound in
                for byte in Array(TestClient.head("GET", "/health", [:], length: nil).utf8) {
                    try await outbound.write(ByteBuffer(bytes: [byte]))
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            // All of it would take four seconds.
            #expect(ContinuousClock.now - begin < .seconds(3))
        }
    }

    @Test func `a body that does not come in time is given up`() async throws {
        try await withServer(.story, .testing { $0.bodyTimeout = .milliseconds(100) }) { client, _ in
            let head = TestClient.head("POST", "/v1/completions", [:], length: 10)
            let answer = try await client.raw(head + "{")
            #expect(answer.isEmpty ? true : try TestClient.parse(answer).status == 408)
        }
    }

    @Test func `a client that takes no data loses its connection, and its request ends`() async throws {
        try await withServer(.story, .testing { $0.idleTimeout = .seconds(3) }) { client, core in
            let engine = try #require(core.engine)
            // Answers of this kind are several hundred bytes a token, so that buffers fill soon.
            let body =
                #"{"prompt": "The", "max_tokens": 100000000, "ignore_eos": true, "stream": true, "logprobs": 20}"#
            let head = TestClient.head("POST", "/v1/completions", [:], length: body.utf8.count)
            var slow = client
            slow.receiveByteCount = 4096
            // The server closes the connection, which is an error for the client.
            try? await slow.connect { inbound, outbound in
                try await outbound.write(ByteBuffer(string: head + body))
                #expect(await engine.isBusyThenIdle())
                withExtendedLifetime(inbound) {}
            }
            #expect(try await client.get("/health").status == 200)
        }
    }

    @Test func `large bodies share a budget, and small ones do not need it`() throws {
        let budget = BodyBudget(byteCount: 300_000)
        let first = BodyBudget.Share(budget)
        #expect(first.grow(to: 100_000) && first.grow(to: 200_000))
        do {
            let second = BodyBudget.Share(budget)
            #expect(second.grow(to: 100_000) && !second.grow(to: 100_001) && second.grow(to: 100_000))
            let small = BodyBudget.Share(budget)
            #expect(small.grow(to: BodyBudget.smallByteCount))
        }
        #expect(first.grow(to: 300_000) && !first.grow(to: 300_001))
    }
}

/// A connection without a thread of its own.
private final class PlainSocket {
    private let descriptor: Int32

    /// Connects to this machine; nil if that fails.
    init?(port: Int) {
        #if canImport(Glibc)
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let descriptor = descriptor
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard descriptor >= 0, status == 0 else { return nil }
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Reads until the other side closes the connection; false after half a minute without data.
    func isClosedByOther() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 1024)
        while true {
            let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 || count < 0 && errno == ECONNRESET { return true }
            if count < 0 { return false }
        }
    }
}

extension ServingEngine {
    /// Waits until something has run and nothing runs any more; false after half a minute.
    fileprivate func isBusyThenIdle() async -> Bool {
        for step in 0..<3000 {
            if status.isIdle, metrics.current.generatedTokens > 0, step > 0 { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }
}
