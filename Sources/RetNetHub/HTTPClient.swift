import Foundation
import RetNetStorage

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The beginning of an answer.
struct HTTPResponse: Sendable {
    let url: URL
    let status: Int
    /// Headers by names in lower case.
    let headers: [String: String]

    subscript(name: String) -> String? { headers[name] }
    var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) }
}

/// A request to stop, by the user or because another part of the work has failed.
struct StopSignal: Sendable {
    let user: InterruptFlag
    let failure = InterruptFlag()

    var isRaised: Bool { user.isRaised || failure.isRaised }

    /// Waits, in steps short enough to notice the signal; throws ``HTTPFailure/interrupted``.
    func wait(seconds: Double) throws {
        let end = Date().addingTimeInterval(seconds)
        while !isRaised, end.timeIntervalSinceNow > 0 {
            Thread.sleep(forTimeInterval: min(0.05, max(end.timeIntervalSinceNow, 0)))
        }
        if isRaised { throw HTTPFailure.interrupted }
    }
}

/// A failure of a connection, before anything of the hub is known.
enum HTTPFailure: Error, Equatable {
    /// The connection failed in a way that may pass.
    case connection(reason: String, isFinal: Bool)
    case certificate(reason: String)
    case interrupted
}

/// Requests one after the other, on the thread that makes them; bodies are handed on as they arrive.
///
/// Foundation's URLSession, since every installation of Swift has it: it brings TLS, proxies from the environment
/// (`https_proxy`, `no_proxy`) and connections that are reused, for no package and no build time. Redirects are not
/// followed here, because the token may not go to another host.
final class HTTPClient: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    // Sendable: the exchange is guarded by the lock; the session is set once.
    /// Where the pieces of a body go: the answer is accepted first, then the pieces follow.
    struct Receiver {
        /// Called with the answer; false ends the request without its body.
        var accept: (HTTPResponse) throws -> Bool
        var receive: (Data) throws -> Void
    }

    private struct Exchange {
        let receiver: Receiver
        let done = DispatchSemaphore(value: 0)
        var response: HTTPResponse?
        var failure: (any Error)?
        var isDeclined = false
    }

    private let lock = NSLock()
    private var exchange: Exchange?
    private var session: URLSession?

    init(timeoutSeconds: Double) {
        super.init()
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = timeoutSeconds
        configuration.httpCookieAcceptPolicy = .never
        configuration.httpShouldSetCookies = false
        configuration.urlCache = nil
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
    }

    /// Ends all connections; the client cannot be used any more.
    func close() { session?.invalidateAndCancel() }

    /// Makes one request and waits for its end; throws ``HTTPFailure`` or the error of the receiver.
    func send(
        _ method: String, _ url: URL, headers: [String: String], stop: StopSignal, _ receiver: Receiver
    ) throws -> HTTPResponse {
        guard let session else { throw HTTPFailure.interrupted }
        var request = URLRequest(url: url)
        request.httpMethod = method
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let new = Exchange(receiver: receiver)
        lock.withLock { exchange = new }
        let task = session.dataTask(with: request)
        task.resume()
        var isCancelled = false
        while new.done.wait(timeout: .now() + 0.1) == .timedOut {
            if stop.isRaised, !isCancelled {
                isCancelled = true
                task.cancel()
            }
        }
        let ended = lock.withLock { () -> Exchange? in
            defer { exchange = nil }
            return exchange
        }
        if isCancelled { throw HTTPFailure.interrupted }
        if let failure = ended?.failure { throw failure }
        guard let response = ended?.response else {
            throw HTTPFailure.connection(
                reason: "the server closed the connection without an answer", isFinal: false)
        }
        return response
    }

    // MARK: What the session tells

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        // The redirect itself is the answer.
        accept(response)
        completionHandler(nil)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        completionHandler(accept(response) ? .allow : .cancel)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let receiver = lock.withLock {
            exchange.flatMap { $0.failure == nil && !$0.isDeclined ? $0.receiver : nil }
        }
        guard let receiver else { return }
        do {
            try receiver.receive(data)
        } catch {
            lock.withLock { exchange?.failure = error }
            dataTask.cancel()
        }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let done = lock.withLock { () -> DispatchSemaphore? in
            if let error, let current = exchange, current.failure == nil, !current.isDeclined {
                exchange?.failure = Self.failure(error)
            }
            return exchange?.done
        }
        done?.signal()
    }

    /// Records an answer and asks whether its body is wanted.
    @discardableResult
    private func accept(_ response: URLResponse) -> Bool {
        guard let http = response as? HTTPURLResponse, let url = http.url else { return false }
        var headers: [String: String] = [:]
        for (name, value) in http.allHeaderFields {
            if let name = name as? String, let value = value as? String { headers[name.lowercased()] = value }
        }
        let answer = HTTPResponse(url: url, status: http.statusCode, headers: headers)
        let receiver = lock.withLock { () -> Receiver? in
            exchange?.response = answer
            return exchange?.receiver
        }
        do {
            let isWanted = try receiver?.accept(answer) ?? false
            if !isWanted { lock.withLock { exchange?.isDeclined = true } }
            return isWanted
        } catch {
            lock.withLock { exchange?.failure = error }
            return false
        }
    }

    private static func failure(_ error: any Error) -> HTTPFailure {
        guard let error = error as? URLError else {
            return .connection(reason: (error as NSError).localizedDescription, isFinal: false)
        }
        let text = error.localizedDescription
        // Foundation on Linux has the code of an unknown failure for certificates that are not trusted.
        if text.contains("certificate") { return .certificate(reason: text) }
        switch error.code {
        case .serverCertificateUntrusted, .serverCertificateHasBadDate, .serverCertificateNotYetValid,
            .serverCertificateHasUnknownRoot, .secureConnectionFailed, .clientCertificateRejected:
            return .certificate(reason: text)
        case .unsupportedURL, .badURL: return .connection(reason: text, isFinal: true)
        case .cannotFindHost, .dnsLookupFailed:
            return .connection(reason: "the name of the host is not known", isFinal: false)
        case .cannotConnectToHost:
            return .connection(reason: "no server accepts the connection", isFinal: false)
        case .timedOut: return .connection(reason: "the server does not answer in time", isFinal: false)
        case .networkConnectionLost: return .connection(reason: "the connection was cut", isFinal: false)
        default: return .connection(reason: text, isFinal: false)
        }
    }
}
