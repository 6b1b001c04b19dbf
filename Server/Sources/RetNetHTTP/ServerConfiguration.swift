import Foundation
import RetNetRuntime
import RetNetServing

/// The limits and the address of a server.
public struct ServerConfiguration: Sendable {
    /// The address to listen at.
    public var host = "127.0.0.1"
    /// The port; 0 for any that is free.
    public var port = 8080
    /// Keys of which clients must give one; none lets everybody in.
    public var apiKeys: [String] = []
    /// The certificate and the key; nil for connections that are not encrypted.
    public var tls: TLSFiles?
    /// Origins of pages of other sites that may use the server, such as `https://chat.example`; `*` stands for all.
    public var allowedOrigins: [String] = []
    /// The largest body of a request in bytes.
    public var requestByteLimit = 4 << 20
    /// The time within which the body of a request must arrive.
    public var bodyTimeout = Duration.seconds(30)
    /// The time that a request may take.
    public var requestTimeout = Duration.seconds(600)
    /// The time after which a connection is closed that has no request or half of one, or whose client takes no data.
    public var idleTimeout = Duration.seconds(60)
    /// The largest number of connections.
    public var connectionLimit = 4096
    /// The time that running requests get when the server shuts down.
    public var drainTimeout = Duration.seconds(30)
    /// The time without events after which a stream sends a comment, so that nobody takes it for dead.
    public var pingInterval = Duration.seconds(15)
    /// The time without a step after which an engine with work counts as stuck.
    public var stallTimeout = Duration.seconds(120)
    /// The largest number of bytes of all states that are kept.
    public var stateByteLimit = 1 << 30
    /// The folder of states that outlive the server; nil for none.
    public var stateFolder: String?
    /// The file of a chat template; nil for that of the model folder, or the plain form.
    public var chatTemplate: String?
    /// The element type of the matrices of states.
    public var stateType = StateElementType.float32
    /// The limits of the engine.
    public var engine = ServingEngine.Configuration()

    /// The version of the interface.
    static let version = "0.1.0"

    /// A server for this machine alone.
    public init() {}

    /// True if other machines cannot reach the address.
    public var isLocal: Bool { ["127.0.0.1", "::1", "localhost"].contains(host) }
}

extension ServerConfiguration {
    /// Returns what is wrong with an origin that is to be allowed; nil for one that a browser can send.
    public static func problem(ofOrigin origin: String) -> String? { CrossOrigin.problem(origin) }
}
