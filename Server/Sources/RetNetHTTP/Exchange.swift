import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import RetNetServing
import RetNetStorage

/// One request and its answer.
struct Exchange {
    let core: ServerCore
    let request: Request
    let channel: any Channel
    let id: String
    let start: ContinuousClock.Instant
    private(set) var usage: TokenUsage?
    /// True if the answer is written piece by piece, after this value is done.
    private(set) var isStreaming = false
    /// The memory of the body while it is being read.
    private var share: BodyBudget.Share?

    init(core: ServerCore, request: Request, channel: any Channel, id: String, start: ContinuousClock.Instant)
    {
        (self.core, self.request, self.channel, self.id, self.start) = (core, request, channel, id, start)
    }

    // MARK: Endpoints

    /// Returns the answer; throws errors that become answers.
    mutating func answer() async throws -> Response {
        let path = request.uri.path
        // Whether the server lives is no secret, and whoever asks may not have a key.
        if path == "/health" {
            try expect(.get)
            let (status, body) = core.health()
            return json(body, status: HTTPResponse.Status(code: status))
        }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        // The page is no secret either; it asks for the key.
        if let file = PageHandler.file(parts) {
            try expect(.get)
            return PageHandler.response(file, to: request)
        }
        try core.crossOrigin.check(request)
        guard core.isAuthorized(request.headers[.authorization]) else {
            throw APIError(
                status: 401, message: "no valid API key was given: send 'Authorization: Bearer KEY'",
                code: "invalid_api_key")
        }
        switch parts {
        case ["page", "info"]:
            try expect(.get)
            let served = try servedByQuery()
            return json(
                PageHandler.info(
                    served.engine, format: served.format, hasFolder: served.states.folder != nil))
        case ["v1", "completions"]:
            try expect(.post)
            return try await completions(isChat: false)
        case ["v1", "chat", "completions"]:
            try expect(.post)
            return try await completions(isChat: true)
        case ["v1", "models"]:
            try expect(.get)
            return json(["object": "list", "data": .array(try core.served().map(modelObject))])
        case _ where parts.count > 2 && parts.starts(with: ["v1", "models"]):
            try expect(.get)
            // Names of the hub have a slash.
            let name = parts.dropFirst(2).joined(separator: "/")
            return json(modelObject(try core.served(named: name.removingPercentEncoding ?? name)))
        case ["v1", "states"]:
            try expect(.get, .post)
            return try await states()
        case _ where parts.count == 3 && parts.starts(with: ["v1", "states"]):
            try expect(.get, .delete)
            return try await state(parts[2].removingPercentEncoding ?? parts[2])
        case _ where parts.count == 4 && parts.starts(with: ["v1", "states"]) && parts[3] == "save":
            try expect(.post)
            return try await saveState(parts[2].removingPercentEncoding ?? parts[2])
        case ["tokenize"]:
            try expect(.post)
            let body = try await body()
            return json(try TokenHandler(model: try served(body).model).tokenize(body))
        case ["detokenize"]:
            try expect(.post)
            let body = try await body()
            return json(try TokenHandler(model: try served(body).model).detokenize(body))
        case ["tokenizer_info"]:
            try expect(.get)
            return json(TokenHandler(model: try servedByQuery().model).info())
        case ["openapi.json"]:
            try expect(.get)
            return json(OpenAPI.description(version: ServerConfiguration.version))
        case ["metrics"]:
            try expect(.get)
            return try metrics()
        default: throw APIError.notFound("there is no endpoint '\(path)'", code: "unknown_url")
        }
    }

    private func expect(_ methods: HTTPRequest.Method...) throws {
        guard !methods.contains(request.method == .head ? .get : request.method) else { return }
        let allowed = methods.contains(.get) ? methods + [.head] : methods
        let names = allowed.map(\.rawValue).joined(separator: ", ")
        throw APIError(
            status: 405, message: "'\(request.uri.path)' takes \(names), not \(request.method.rawValue)",
            code: "method_not_allowed", allowedMethods: names)
    }

    /// The model that a body names.
    private func served(_ body: JSONValue) throws -> ServedModel {
        guard case .string(let name)? = body["model"] else { return try core.served(named: nil) }
        return try core.served(named: name)
    }

    /// The model that `?model=` names.
    func servedByQuery() throws -> ServedModel {
        try core.served(named: request.uri.queryParameters["model"].map { String($0) })
    }

    private func modelObject(_ served: ServedModel) -> JSONValue {
        let model = served.model
        return [
            "id": .string(model.name), "object": "model",
            "created": .int(Int(core.started.timeIntervalSince1970)),
            "owned_by": "retnet",
            "max_model_len": [model.positionLimit, served.engine.configuration.contextLimit]
                .compactMap { $0 }.min().map { .int($0) } ?? .null,
            "kind": model.isEncoderDecoder ? "encoder_decoder" : "language_model",
            "parameters": .int(model.parameterCount), "state_bytes": .int(model.stateByteCount),
            "state_bytes_per_token": .int(model.stateByteCountPerToken),
        ]
    }

    private mutating func states() async throws -> Response {
        guard request.method == .post else { return json(StateHandler(try servedByQuery()).list()) }
        let body = try await body()
        return json(try await StateHandler(try served(body)).create(body, deadline: core.deadline))
    }

    private func state(_ name: String) async throws -> Response {
        let handler = StateHandler(try servedByQuery())
        let isDeletion = request.method == .delete
        return json(
            try await Blocking.run { isDeletion ? try handler.delete(name) : try handler.get(name) })
    }

    private func saveState(_ name: String) async throws -> Response {
        let handler = StateHandler(try servedByQuery())
        return json(try await Blocking.run { try handler.save(name) })
    }

    private func metrics() throws -> Response {
        // Also while the server shuts down.
        let engines = core.engines
        let text = PrometheusText.of(engines.isEmpty ? try core.served().map(\.engine) : engines)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    // MARK: Completions

    private mutating func completions(isChat: Bool) async throws -> Response {
        // Said before the body is read, which may take long.
        _ = try core.served()
        let body = try await body()
        let (served, deadline) = (try served(body), core.deadline)
        let (engine, states) = (served.engine, served.states)
        let completion = try await Blocking.run {
            isChat
                ? try CompletionRequest(
                    chat: body, format: served.format, model: engine.model, states: states, deadline: deadline
                )
                : try CompletionRequest(body, model: engine.model, states: states, deadline: deadline)
        }
        share = nil
        let watch = await ConnectionWatch.of(channel)
        let run = try CompletionRun(completion, engine: engine, pingInterval: core.configuration.pingInterval)
        let number = watch?.onClose { run.cancel() }
        let handler = CompletionHandler(
            request: completion,
            answer: CompletionAnswer(
                id: (isChat ? "chatcmpl-" : "cmpl-") + Responder.randomID(),
                created: Int(Date().timeIntervalSince1970), model: engine.model, isChat: isChat),
            states: states, run: run)
        guard completion.streams else {
            defer { if let number { watch?.remove(number) } }
            let (answer, usage) = try await handler.whole()
            self.usage = usage
            return json(answer)
        }
        isStreaming = true
        let exchange = self
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
                .accelBuffering: "no",
            ],
            body: ResponseBody { writer in
                defer { if let number { watch?.remove(number) } }
                var output = writer
                var exchange = exchange
                do {
                    exchange.usage = try await handler.stream {
                        try await output.write(ByteBuffer(bytes: $0))
                    }
                    try await output.finish(nil)
                    exchange.log(status: 200)
                } catch {
                    run.cancel()
                    exchange.log(status: APIError(error).status)
                    // After an error in the stream the answer is still whole; after a lost connection this fails, too.
                    try? await output.finish(nil)
                }
            })
    }

    // MARK: Bodies

    /// Reads the body as JSON; throws answers with 408, 413, 415 and 503.
    private mutating func body() async throws -> JSONValue {
        // Browsers send other types to strange sites without asking; this one they ask for.
        let type = request.headers[.contentType]?.split(separator: ";").first
        guard type?.trimmingCharacters(in: .whitespaces).lowercased() == "application/json" else {
            throw APIError(
                status: 415, message: "the body must be JSON: send 'Content-Type: application/json'",
                code: "unsupported_media_type")
        }
        let limit = core.configuration.requestByteLimit
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw APIError(
                status: 413, message: "the body has \(length) bytes, but may have \(limit) at most",
                code: "request_too_large")
        }
        let (source, timeout, budget) = (request.body, core.configuration.bodyTimeout, core.bodyBudget)
        let share = BodyBudget.Share(budget)
        self.share = share
        let buffer: ByteBuffer = try await withThrowingTaskGroup(of: ByteBuffer?.self) { group in
            group.addTask { try await budget.read(source, limit: limit, share) }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            guard let buffer = try await group.next() ?? nil else {
                throw APIError(
                    status: 408, message: "the body did not arrive within \(timeout)", code: "request_timeout"
                )
            }
            return buffer
        }
        guard buffer.readableBytes > BodyBudget.smallByteCount else {
            return try RequestFields.json(Array(buffer.readableBytesView))
        }
        return try await Blocking.run { try RequestFields.json(Array(buffer.readableBytesView)) }
    }

    private func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> Response {
        Response(status: status, headers: [.contentType: "application/json"], body: Self.slices(value.bytes))
    }

    private static let sliceByteCount = 64 << 10

    /// Returns a body that is written in parts, so that a slow client is told from one that takes nothing.
    private static func slices(_ bytes: [UInt8]) -> ResponseBody {
        let buffer = ByteBuffer(bytes: bytes)
        guard bytes.count > sliceByteCount else { return ResponseBody(byteBuffer: buffer) }
        return ResponseBody(contentLength: bytes.count) { writer in
            var rest = buffer
            while rest.readableBytes > 0,
                let slice = rest.readSlice(length: min(rest.readableBytes, sliceByteCount))
            {
                try await writer.write(slice)
            }
            try await writer.finish(nil)
        }
    }

    /// Returns the answer for an error; what is left of a body that was refused closes the connection.
    func errorResponse(_ error: APIError) -> Response {
        var response = json(error.body, status: HTTPResponse.Status(code: error.status))
        if let seconds = error.retryAfter { response.headers[.retryAfter] = "\(seconds)" }
        if let names = error.allowedMethods { response.headers[.allow] = names }
        if error.status == 401 { response.headers[.wwwAuthenticate] = "Bearer" }
        guard error.status == 413 || error.status == 408 else { return response }
        response.headers[.connection] = "close"
        let (bytes, channel) = (ByteBuffer(bytes: error.body.bytes), channel)
        response.body = ResponseBody(contentLength: bytes.readableBytes) { writer in
            try await writer.write(bytes)
            try await writer.finish(nil)
            // Closed at once, the connection would be reset before the client has read the answer.
            channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
        }
        return response
    }

    // MARK: Log

    /// Writes a line about the request.
    func log(status: Int) {
        let milliseconds = Int(((ContinuousClock.now - start) / .milliseconds(1)).rounded())
        var line = "\(request.method.rawValue) \(request.uri.path) \(status) \(milliseconds) ms"
        if let usage {
            line +=
                " \(usage.promptTokens) prompt tokens, \(usage.cachedTokens) of them from a state,"
                + " \(usage.completionTokens) generated"
        }
        core.logger.info("\(line)", metadata: ["id": "\(id)"])
    }
}
