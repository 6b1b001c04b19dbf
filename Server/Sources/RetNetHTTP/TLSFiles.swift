import Foundation
import HummingbirdCore

#if TLS
    import HummingbirdTLS
    import NIOSSL
#endif

/// The files of a certificate and its key, with which a server encrypts its connections.
public struct TLSFiles: Sendable, Equatable {
    /// A certificate in PEM form, followed by those that signed it.
    public let certificate: String
    /// The private key of the first certificate, in PEM form and without a passphrase.
    public let key: String

    /// Two files.
    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }

    /// Files that cannot be used.
    public struct Failure: Error, Equatable, CustomStringConvertible, LocalizedError {
        /// The problem and the remedy.
        public let description: String
        /// The same text as ``description``.
        public var errorDescription: String? { description }
    }

    /// Returns a server that encrypts what another one sends; throws ``Failure`` for files that cannot be used.
    func encrypting(_ plain: HTTPServerBuilder) throws -> HTTPServerBuilder {
        #if TLS
            try .tls(plain, tlsConfiguration: try configuration())
        #else
            throw Failure(
                description: "this program was built without TLS: build it with 'make server TLS=1'")
        #endif
    }

    #if TLS
        private static let byteLimit = 1 << 20

        /// Reads the files; throws ``Failure``.
        func configuration() throws -> TLSConfiguration {
            let chain: [NIOSSLCertificate]
            do {
                chain = try NIOSSLCertificate.fromPEMBytes(try Self.read(certificate, "certificate"))
            } catch let error as NIOSSLError {
                throw Failure(
                    description: "'\(certificate)' has no certificate in PEM form, which begins with"
                        + " '-----BEGIN CERTIFICATE-----' (\(error))")
            }
            let privateKey: NIOSSLPrivateKey
            do {
                privateKey = try NIOSSLPrivateKey(bytes: try Self.read(key, "key"), format: .pem)
            } catch let error as NIOSSLError {
                throw Failure(
                    description:
                        "'\(key)' has no private key in PEM form that can be read without a passphrase"
                        + " (\(error)); remove one with 'openssl pkey'")
            }
            var result = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
            result.minimumTLSVersion = .tlsv12
            result.applicationProtocols = ["http/1.1"]
            do {
                _ = try NIOSSLContext(configuration: result)
            } catch {
                throw Failure(
                    description:
                        "the key '\(key)' does not belong to the certificate '\(certificate)' (\(error))"
                )
            }
            return result
        }

        private static func read(_ path: String, _ what: String) throws -> [UInt8] {
            guard let data = FileManager.default.contents(atPath: path), !data.isEmpty,
                data.count <= byteLimit
            else {
                throw Failure(
                    description:
                        "cannot read the \(what) '\(path)': it must be a file of 1 to \(byteLimit) bytes"
                )
            }
            return Array(data)
        }
    #endif
}
