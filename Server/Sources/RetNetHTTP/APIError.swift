import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetServing
import RetNetStorage

/// An error as an answer: a status and OpenAI's error object.
struct APIError: Error, Equatable {
    var status: Int
    var message: String
    var type = "invalid_request_error"
    var parameter: String?
    var code: String?
    /// Seconds after which to try again.
    var retryAfter: Int?
    /// The methods that the endpoint takes, if the request had another.
    var allowedMethods: String?

    /// The body of the answer.
    var body: JSONValue {
        [
            "error": [
                "message": .string(message), "type": .string(type),
                "param": parameter.map { .string($0) } ?? .null, "code": code.map { .string($0) } ?? .null,
            ]
        ]
    }

    /// A request with a wrong value.
    static func invalid(_ parameter: String?, _ message: String, code: String? = nil) -> APIError {
        APIError(status: 400, message: message, parameter: parameter, code: code)
    }

    static func notFound(_ message: String, code: String? = nil) -> APIError {
        APIError(status: 404, message: message, code: code)
    }

    static func unavailable(_ message: String) -> APIError {
        APIError(
            status: 503, message: message, type: "service_unavailable_error", code: "service_unavailable",
            retryAfter: 1)
    }

    static func failure(_ message: String) -> APIError {
        APIError(status: 500, message: message, type: "server_error", code: "server_error")
    }

    /// The answer to an error of whatever kind.
    init(_ error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as ServingError: self.init(serving: error)
        case let error as GenerationError: self = .invalid(nil, "\(error)")
        case let error as StateFileError:
            self = APIError(status: 409, message: "\(error)", code: "state_unusable")
        case is CancellationError:
            self = APIError(status: 499, message: "the client closed the connection", code: "cancelled")
        default: self = .failure("\(error)")
        }
    }

    init(
        status: Int, message: String, type: String = "invalid_request_error", parameter: String? = nil,
        code: String? = nil, retryAfter: Int? = nil, allowedMethods: String? = nil
    ) {
        (self.status, self.message, self.type, self.parameter) = (status, message, type, parameter)
        (self.code, self.retryAfter, self.allowedMethods) = (code, retryAfter, allowedMethods)
    }

    private init(serving error: ServingError) {
        let message = "\(error)"
        self =
            switch error {
            case .queueFull:
                APIError(
                    status: 429, message: message, type: "rate_limit_error", code: "queue_full", retryAfter: 1
                )
            case .draining, .stopped: .unavailable(message)
            case .timedOut, .slowReader:
                APIError(status: 504, message: message, type: "timeout_error", code: "timeout")
            case .emptyPrompt, .unknownToken: .invalid("prompt", message)
            case .tooLong: .invalid("prompt", message, code: "context_length_exceeded")
            case .notFinite, .modelFailure: .failure(message)
            case .unknownState: .notFound(message, code: "state_not_found")
            case .stateExists: APIError(status: 409, message: message, code: "state_exists")
            case .invalidStateName: .invalid("name", message)
            case .noRoom:
                APIError(
                    status: 507, message: message, type: "insufficient_storage_error",
                    code: "insufficient_storage")
            case .noStateFolder: .invalid(nil, message)
            case .stateFile: .failure(message)
            case .encoderDecoder: .invalid(nil, message, code: "encoder_decoder")
            }
    }
}
