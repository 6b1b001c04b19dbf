import Foundation
import Hummingbird
import NIOCore
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// Encrypted connections, if the package is built with them (`--traits TLS`).
@Suite struct EncryptionTests {
    #if TLS
        private static let tls = TLSFiles(
            certificate: Fixture.folder + "/tls/certificate.pem", key: Fixture.folder + "/tls/key.pem")

        @Test func `an encrypted server answers as another does, and cancels for clients that go`()
            async throws
        {
            try await withServer(
                .story, .testing { ($0.tls, $0.idleTimeout) = (Self.tls, .seconds(2)) }
            ) {
                client, core in
                let body: JSONValue = ["prompt": "The fox", "max_tokens": 8, "temperature": 0]
                let answer = try await client.complete(body)
                #expect(answer.json.firstChoice?["text"] == " lon the")
                let engine = try #require(core.engine)
                let endless =
                    #"{"prompt": "The", "max_tokens": 100000000, "ignore_eos": true, "stream": true}"#
                let head = TestClient.head("POST", "/v1/completions", [:], length: endless.utf8.count)
                // What the closing of such a connection throws depends on who was first.
                try? await client.connect { _, outbound in
                    try await outbound.write(ByteBuffer(string: head + endless))
                    while engine.status.isIdle { try await Task.sleep(for: .milliseconds(1)) }
                }
                #expect(await engine.becomesIdle())
                // Neither a client that does not encrypt nor half of a handshake gets an answer, and both are closed.
                let plain = TestClient(port: client.port)
                #expect((try? await plain.get("/health")) == nil)
                #expect((try? await plain.raw("\u{16}\u{3}\u{1}"))?.isEmpty ?? true)
                #expect((try? await plain.raw(""))?.isEmpty ?? true)
                #expect(try await client.get("/health").status == 200)
            }
        }

        @Test func `files that are no certificate and key are named`() throws {
            let folder = Fixture.folder + "/tls/"
            for (certificate, key, message) in [
                ("/nowhere", folder + "key.pem", "cannot read the certificate '/nowhere'"),
                (folder + "certificate.pem", "/nowhere", "cannot read the key '/nowhere'"),
                (folder + "key.pem", folder + "key.pem", "has no certificate in PEM form"),
                (folder + "certificate.pem", folder + "certificate.pem", "has no private key in PEM form"),
                (folder + "certificate.pem", folder + "other-key.pem", "does not belong to the certificate"),
            ] {
                let files = TLSFiles(certificate: certificate, key: key)
                let error = #expect(throws: TLSFiles.Failure.self) { try files.configuration() }
                #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
            }
        }
    #else
        @Test func `a program without TLS says so`() throws {
            let error = #expect(throws: TLSFiles.Failure.self) {
                try TLSFiles(certificate: "a", key: "b").encrypting(.http1())
            }
            #expect(error?.description.contains("make server TLS=1") == true)
        }
    #endif
}
