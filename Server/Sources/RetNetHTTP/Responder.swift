import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import RetNetServing

/// The connection of a request.
struct ServerContext: InitializableFromSource {
    let channel: any Channel
    let logger: Logger

    init(source: ApplicationRequestContextSource) {
        (channel, logger) = (source.channel, source.logger)
    }
}

/// Answers all requests: finds the endpoint, checks the key, reads the body, and gives errors OpenAI's form.
struct Responder: HTTPResponder {
    typealias Context = ServerContext
    let core: ServerCore

    @Sendable func respond(to request: Request, context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        let id = Self.requestID(request)
        var exchange = Exchange(core: core, request: request, channel: context.channel, id: id, start: start)
        var response: Response
        do {
            if let permission = core.crossOrigin.permission(request) {
                response = permission
            } else {
                response = try await exchange.answer()
            }
        } catch let error as HTTPParserError {
            // What is no HTTP is answered with 400 elsewhere, and the connection is closed.
            throw error
        } catch {
            var answer = APIError(error)
            if answer.status == 429 { answer.retryAfter = core.secondsUntilRoom }
            if answer.status >= 500, answer.status != 503 {
                core.logger.error("request failed", metadata: ["id": "\(id)", "error": "\(answer.message)"])
            }
            response = exchange.errorResponse(answer)
        }
        if request.method == .head { response = response.createHeadResponse() }
        core.crossOrigin.mark(&response, request)
        response.headers[.xRequestID] = id
        if !exchange.isStreaming { exchange.log(status: response.status.code) }
        return response
    }

    /// The client's own id if it is harmless, otherwise a new one.
    private static func requestID(_ request: Request) -> String {
        if let id = request.headers[.xRequestID], (1...128).contains(id.utf8.count),
            id.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        {
            return id
        }
        return "req-" + randomID()
    }

    /// Returns 24 random hexadecimal digits.
    static func randomID() -> String {
        let digits =
            String(UInt64.random(in: .min ... .max), radix: 16)
            + String(UInt64.random(in: .min ... .max), radix: 16)
        return String((digits + String(repeating: "0", count: 24)).prefix(24))
    }
}

extension HTTPField.Name {
    static let xRequestID = HTTPField.Name("X-Request-Id") ?? .via
    static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .via
}
