import ArgumentParser
import Foundation
import Logging
import RetNetHTTP
import RetNetRuntime
import RetNetServing

/// The command: an HTTP server for models.
@main
struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retnet-server",
        abstract: "Serve models over HTTP, with OpenAI's interface for completions and chats.",
        discussion: """
            The server listens on this machine only unless --host says otherwise. Keys of clients come from --api-key-file \
            or from RETNET_API_KEY. SIGTERM or Ctrl-C ends it when the running requests are finished. Messages go to \
            standard error. The exit code is 0 after such an end, 64 for usage errors and 1 for any other failure.
            """)

    @Option(
        help: ArgumentHelp(
            "Model folder of `retnet train` or `retnet convert`; may be repeated, with names: small=DIR.",
            valueName: "[name=]dir"))
    var model: [String]

    @Option(help: "Name by which clients call the model (default: that of its folder).")
    var modelName: String?

    @Option(help: "Address to listen at.")
    var host = "127.0.0.1"

    @Option(help: "Port to listen at; 0 for any that is free.")
    var port = 8080

    @Option(help: "Threads that compute (default: one per processor core).")
    var threads: Int?

    @Option(help: "Largest number of texts that are generated at once, up to 256 in each replica.")
    var parallel = 16

    @Option(help: "Largest number of requests that wait; more are answered with 429.")
    var queue = 64

    @Option(help: "Number of batches that are computed at the same time, each by its share of the threads.")
    var replicas = 1

    @Option(
        help: ArgumentHelp(
            "Most tokens of prompts that are read at once while texts are generated: 64, 128, 192 or 256.",
            valueName: "tokens"))
    var prefillPiece = 256

    @Option(
        help: ArgumentHelp(
            "Time that reading them may hold up those texts; 64 tokens are read however long it takes.",
            valueName: "milliseconds"))
    var prefillTime = 100

    @Option(
        help: ArgumentHelp(
            "Largest number of tokens of a prompt and its text (default: what the model allows, 4096 for encoder-decoders).",
            valueName: "tokens"))
    var maxContext: Int?

    @Option(help: ArgumentHelp("Memory for states that are kept, in MiB.", valueName: "MiB"))
    var stateMemory = 1024

    @Option(
        help: ArgumentHelp("Folder for states that clients want to outlive the server.", valueName: "dir"))
    var stateDir: String?

    @Option(
        help: "Element type of the matrices of states: float32 (the default), bfloat16 or float16.",
        transform: { text in
            guard let type = StateElementType(rawValue: text) else {
                throw ValidationError("'\(text)' is no element type of states")
            }
            return type
        })
    var stateDtype = StateElementType.float32

    @Option(
        help: ArgumentHelp(
            "File with the chat template (default: that of the model folder, or a plain one).",
            valueName: "file"))
    var chatTemplate: String?

    @Flag(help: "Read every prompt from its beginning, whatever was read before.")
    var noPrefixCache = false

    @Option(help: ArgumentHelp("File with the keys that clients may give, one per line.", valueName: "file"))
    var apiKeyFile: String?

    @Option(
        help: ArgumentHelp(
            "Certificate in PEM form, with which connections are encrypted; needs --tls-key.",
            valueName: "file"))
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp(
            "Private key of the certificate in PEM form, without a passphrase.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Origin of pages of another site that may use the server, such as https://chat.example, or '*' for all; may"
                + " be repeated.", valueName: "origin"))
    var corsOrigin: [String] = []

    @Option(help: ArgumentHelp("Seconds that a request may take.", valueName: "seconds"))
    var requestTimeout = 600

    @Option(help: ArgumentHelp("Largest body of a request in KiB.", valueName: "KiB"))
    var requestLimit = 4096

    @Option(
        help: ArgumentHelp("Seconds within which the body of a request must arrive.", valueName: "seconds"))
    var bodyTimeout = 30

    @Option(
        help: ArgumentHelp(
            "Seconds after which a connection is closed that has no request or half of one, or takes no data.",
            valueName: "seconds"))
    var idleTimeout = 60

    @Option(help: "Largest number of connections.")
    var connections = 4096

    @Option(help: ArgumentHelp("Seconds that running requests get at the end.", valueName: "seconds"))
    var drainTimeout = 30

    @Option(
        help:
            "Least level of messages: trace, debug, info (the default), notice, warning, error or critical.",
        transform: { text in
            guard let level = Logger.Level(rawValue: text) else {
                throw ValidationError("'\(text)' is no level")
            }
            return level
        })
    var logLevel = Logger.Level.info

    func validate() throws {
        func require(_ holds: Bool, _ message: String) throws {
            if !holds { throw ValidationError(message) }
        }
        try require(!model.isEmpty, "--model is missing: give a model folder")
        try require(
            model.count == 1 || modelName == nil,
            "--model-name is for one model: name several with --model NAME=DIR")
        try require(
            model.count == 1 || chatTemplate == nil,
            "--chat-template is for one model: put the template of each into its folder as chat_template.jinja"
        )
        try require((0...65535).contains(port), "--port must be from 0 to 65535")
        try require(threads.map { $0 > 0 } ?? true, "--threads must be at least 1")
        typealias Limits = ServingEngine.Configuration
        try require(
            (1...Limits.largestReplicaCount).contains(replicas),
            "--replicas must be from 1 to \(Limits.largestReplicaCount)")
        let most = Limits.largestRowLimit * replicas
        try require((replicas...most).contains(parallel), "--parallel must be from \(replicas) to \(most)")
        try require((1...1_000_000).contains(prefillTime), "--prefill-time must be from 1 to 1000000")
        try require((0...100_000).contains(queue), "--queue must be from 0 to 100000")
        try require(
            [64, 128, 192, 256].contains(prefillPiece), "--prefill-piece must be 64, 128, 192 or 256")
        try require(maxContext.map { $0 > 0 } ?? true, "--max-context must be at least 1")
        try require((0...1 << 30).contains(stateMemory), "--state-memory must be from 0 to \(1 << 30) MiB")
        try require((1...1 << 20).contains(requestLimit), "--request-limit must be from 1 to \(1 << 20) KiB")
        try require((1...1_000_000).contains(requestTimeout), "--request-timeout must be from 1 to 1000000")
        try require((1...1_000_000).contains(bodyTimeout), "--body-timeout must be from 1 to 1000000")
        try require((1...1_000_000).contains(idleTimeout), "--idle-timeout must be from 1 to 1000000")
        try require((1...60_000).contains(connections), "--connections must be from 1 to 60000")
        try require((0...1_000_000).contains(drainTimeout), "--drain-timeout must be from 0 to 1000000")
        try require(
            (tlsCertificate == nil) == (tlsKey == nil), "--tls-certificate and --tls-key need each other")
        for origin in corsOrigin {
            if let problem = ServerConfiguration.problem(ofOrigin: origin) {
                throw ValidationError("--cors-origin: " + problem)
            }
        }
    }

    func run() async throws {
        do {
            try await serve()
        } catch {
            Self.note("error: \(Self.describe(error, host: host, port: port))")
            throw ExitCode(1)
        }
    }

    private func serve() async throws {
        let level = logLevel
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        var configuration = ServerConfiguration()
        (configuration.host, configuration.port) = (host, port)
        configuration.apiKeys = try APIKeys.read(
            file: apiKeyFile, environment: ProcessInfo.processInfo.environment)
        configuration.requestByteLimit = requestLimit << 10
        configuration.requestTimeout = .seconds(requestTimeout)
        configuration.drainTimeout = .seconds(drainTimeout)
        configuration.bodyTimeout = .seconds(bodyTimeout)
        configuration.idleTimeout = .seconds(idleTimeout)
        configuration.connectionLimit = connections
        configuration.allowedOrigins = corsOrigin
        if let tlsCertificate, let tlsKey {
            configuration.tls = TLSFiles(certificate: tlsCertificate, key: tlsKey)
        }
        configuration.stateByteLimit = stateMemory << 20
        (configuration.stateFolder, configuration.stateType) = (stateDir, stateDtype)
        configuration.chatTemplate = chatTemplate
        configuration.engine.threadCount = threads
        configuration.engine.rowLimit = parallel
        configuration.engine.queueLimit = queue
        configuration.engine.replicaCount = replicas
        configuration.engine.pieceLength = prefillPiece
        configuration.engine.stepTime = .milliseconds(prefillTime)
        configuration.engine.contextLimit = maxContext
        configuration.engine.reusesPrefixes = !noPrefixCache
        if configuration.apiKeys.isEmpty, !configuration.isLocal {
            Self.note(
                "warning: everybody who reaches '\(host)' may use this server; give --api-key-file to change that"
            )
        }
        OpenFiles.raiseLimit()
        let core = ServerCore(configuration, logger: Logger(label: "retnet"))
        let (folders, host, tlsKey) = (folders, host, tlsKey)
        try await RetNetServer.run(
            core,
            load: {
                try core.load(folders)
                for engine in core.engines {
                    let model = engine.model
                    let state =
                        model.isEncoderDecoder
                        ? "an encoder-decoder, \(model.stateByteCountPerToken) bytes for a token of a prompt or a text"
                        : "\(model.stateByteCount) bytes for the state of a text"
                    Self.note("model '\(model.name)': \(model.parameterCount) parameters, \(state)")
                }
                Self.note("ready")
            },
            onRunning: { port in
                Self.note("listening at \(tlsKey == nil ? "http" : "https")://\(Self.shown(host)):\(port)")
            })
    }

    /// The folders of the models and the names that are given with them.
    private var folders: [(path: String, name: String?)] {
        model.map { text in
            // A folder may have a '=' in its name.
            guard !FileManager.default.fileExists(atPath: text), let place = text.firstIndex(of: "="),
                place > text.startIndex
            else { return (text, modelName) }
            return (String(text[text.index(after: place)...]), String(text[..<place]))
        }
    }

    private static func shown(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }

    private static func describe(_ error: any Error, host: String, port: Int) -> String {
        let text = "\(error)"
        guard text.contains("bind(") else { return text }
        return "cannot listen at \(shown(host)):\(port): \(text); take another --port or --host"
    }

    private static func note(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }
}
