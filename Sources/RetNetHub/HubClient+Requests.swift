import Foundation

/// Requests with their redirects, and their repetition after failures that may pass.
extension HubClient {
    private var redirectCount: Int { 10 }

    /// The answers to a request and to what it was redirected to.
    struct Chain {
        var answers: [HTTPResponse]
        var answer: HTTPResponse { answers[answers.count - 1] }

        func first(_ name: String) -> String? { answers.lazy.compactMap { $0[name] }.first }
    }

    /// Makes a request and those that it is redirected to; the token goes to the hub only.
    func follow(
        _ method: String, _ url: URL, headers: [String: String], stopsAtOtherHosts: Bool = false,
        _ receiver: HTTPClient.Receiver
    ) throws -> Chain {
        var url = url
        var headers = headers
        headers["User-Agent"] = "retnet/0.1; swift"
        if let token = environment.token { headers["Authorization"] = "Bearer \(token)" }
        var answers: [HTTPResponse] = []
        for _ in 0..<redirectCount {
            var receiver = receiver
            let accept = receiver.accept
            // The body of a redirect is a note for people.
            receiver.accept = { try $0.isRedirect ? false : accept($0) }
            let answer = try http.send(method, url, headers: headers, stop: stop, receiver)
            answers.append(answer)
            guard answer.isRedirect, let location = answer["location"] else { return Chain(answers: answers) }
            guard let next = URL(string: location, relativeTo: url)?.absoluteURL,
                next.scheme == "https" || next.scheme == "http"
            else {
                throw HubError.notAHub(
                    url: url.absoluteString, reason: "it redirects to '\(location.prefix(200))'")
            }
            guard !(url.scheme == "https" && next.scheme == "http") else {
                throw HubError.notAHub(
                    url: url.absoluteString, reason: "it redirects to an address without encryption")
            }
            if Self.origin(next) != Self.origin(url) {
                if stopsAtOtherHosts { return Chain(answers: answers) }
                headers["Authorization"] = nil
                headers["If-Range"] = nil
            }
            url = next
        }
        throw HubError.notAHub(url: url.absoluteString, reason: "it redirects again and again")
    }

    static func origin(_ url: URL) -> String {
        "\(url.scheme ?? "")://\(url.host?.lowercased() ?? ""):\(url.port ?? (url.scheme == "https" ? 443 : 80))"
    }

    func repeating(_ url: URL, _ request: () throws -> HTTPResponse) throws -> HTTPResponse {
        try repeatingChain(url) { Chain(answers: [try request()]) }.answer
    }

    /// Repeats a request after failures that may pass.
    func repeatingChain(_ url: URL, _ request: () throws -> Chain) throws -> Chain {
        var attempt = 1
        while true {
            do {
                let chain = try request()
                guard Self.mayPass(chain.answer.status), attempt < environment.attemptCount else {
                    return chain
                }
                try pause(before: &attempt, chain.answer, reason: "status \(chain.answer.status)", url)
            } catch let failure as HTTPFailure {
                try handle(failure, &attempt, url)
            }
        }
    }

    /// Repeats a transfer; attempts count again from one whenever bytes have arrived.
    func repeatingTransfer(_ url: URL, _ partial: any ContentsSink, _ request: () throws -> Bool) throws
        -> Bool
    {
        var attempt = 1
        var byteCount = partial.byteCount
        while true {
            do {
                return try request()
            } catch let failure as HTTPFailure {
                if partial.byteCount > byteCount { attempt = 1 }
                byteCount = partial.byteCount
                try handle(failure, &attempt, url)
            } catch HubError.status(let status, _, let reason)
                where Self.mayPass(status) && attempt < environment.attemptCount
            {
                try pause(before: &attempt, nil, reason: "status \(status) \(reason)", url)
            } catch let busy as Busy where attempt < environment.attemptCount {
                try pause(before: &attempt, busy.answer, reason: "status 429", url)
            } catch let busy as Busy {
                throw HubError.tooManyRequests(
                    seconds: Self.pauseSeconds(busy.answer).map { Int($0.rounded(.up)) })
            }
        }
    }

    /// Status 429, with the time to wait.
    struct Busy: Error {
        let answer: HTTPResponse
    }

    private static func mayPass(_ status: Int) -> Bool { [408, 429, 500, 502, 503, 504].contains(status) }

    private func handle(_ failure: HTTPFailure, _ attempt: inout Int, _ url: URL) throws {
        switch failure {
        case .interrupted: throw HubError.interrupted
        case .certificate(let reason): throw HubError.certificate(host: url.host ?? "", reason: reason)
        case .connection(let reason, let isFinal):
            guard !isFinal, attempt < environment.attemptCount else {
                throw HubError.connection(
                    url: url.absoluteString, reason: reason,
                    remedy: isFinal ? "check HF_ENDPOINT" : "check the network and the proxy, then try again")
            }
            try pause(before: &attempt, nil, reason: reason, url)
        }
    }

    /// Waits before the next attempt: as long as the server asks for, or twice as long as before.
    private func pause(before attempt: inout Int, _ answer: HTTPResponse?, reason: String, _ url: URL) throws
    {
        var seconds = min(0.5 * Double(1 << min(attempt - 1, 10)), 8, environment.maximumPauseSeconds)
        if let asked = answer.flatMap(Self.pauseSeconds) {
            guard asked <= environment.maximumPauseSeconds else {
                throw HubError.tooManyRequests(seconds: Int(asked.rounded(.up)))
            }
            seconds = asked
        }
        note(
            "\(url.path.hasPrefix("/api/") ? reference.description : url.lastPathComponent): "
                + "\(reason.trimmingCharacters(in: .whitespaces)); trying again in \(String(format: "%.1f", seconds)) s"
        )
        attempt += 1
        do {
            try stop.wait(seconds: seconds)
        } catch {
            throw HubError.interrupted
        }
    }

    /// Returns the seconds after which an answer says that another attempt makes sense.
    static func pauseSeconds(_ answer: HTTPResponse) -> Double? {
        if let text = answer["retry-after"] {
            if let seconds = Double(text), seconds.isFinite { return max(seconds, 0) }
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
            if let date = formatter.date(from: text) { return max(date.timeIntervalSinceNow, 0) }
        }
        // "api";r=0;t=55: the requests left and the seconds until there are more.
        let parts =
            answer["ratelimit"]?.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) } ?? []
        guard answer.status == 429, let seconds = parts.first(where: { $0.hasPrefix("t=") }) else {
            return nil
        }
        return Double(seconds.dropFirst(2))
    }

    /// Returns what a status that means a failure is, by the hub's codes.
    func failure(_ answer: HTTPResponse, file: String?) -> HubError {
        let repository = reference.repository
        let hasToken = environment.token != nil
        let reason = String((answer["x-error-message"] ?? "").prefix(300))
        switch (answer.status, answer["x-error-code"]) {
        case (_, "GatedRepo"):
            return HubError.gated(repository: repository, endpoint: environment.endpoint, hasToken: hasToken)
        case (_, "RepoNotFound"):
            return HubError.noRepository(repository, endpoint: environment.endpoint, hasToken: hasToken)
        case (_, "RevisionNotFound"):
            return HubError.noRevision(repository: repository, revision: reference.revisionName)
        case (404, _):
            if let file { return HubError.noFile(repository: repository, file: file) }
            if let revision = reference.revision {
                return HubError.noRepositoryOrRevision(
                    repository, revision: revision, endpoint: environment.endpoint)
            }
            return HubError.noRepository(repository, endpoint: environment.endpoint, hasToken: hasToken)
        case (401, _): return HubError.unauthorized(repository: repository, hasToken: hasToken)
        case (403, _): return HubError.forbidden(repository: repository, reason: reason)
        case (429, _):
            return HubError.tooManyRequests(seconds: Self.pauseSeconds(answer).map { Int($0.rounded(.up)) })
        default: return HubError.status(answer.status, url: answer.url.absoluteString, reason: reason)
        }
    }
}
