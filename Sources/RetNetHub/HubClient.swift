import Foundation
import RetNetStorage

/// The hub's protocol: what a revision consists of, what a file is, and its bytes.
///
/// Source: huggingface_hub (hf_api.py, file_download.py): `GET /api/models/{repository}/revision/{revision}` gives commit
/// and files; `HEAD` and `GET /{repository}/resolve/{commit}/{file}` give checksum, size and contents, by redirects to
/// a server of files for large ones.
final class HubClient {
    /// A revision of a model.
    struct Revision {
        let commit: String
        let files: [String]
    }

    /// What the hub says of a file before its contents.
    struct FileMetadata: Sendable {
        /// SHA-256 of large files, Git's SHA-1 of others; the name of the contents in the cache.
        let etag: String
        /// Size in bytes; nil if the server does not say.
        let byteCount: Int?
        let commit: String?
    }

    private static let maximumBodyByteCount = 64 << 20
    private static let redirectCount = 10
    /// Largest piece asked for at once: what has arrived but is not yet written is held in memory.
    private static let pieceByteCount = 64 << 20

    private let environment: HubEnvironment
    private let reference: HubReference
    private let http: HTTPClient
    private let stop: StopSignal
    private let note: @Sendable (String) -> Void

    init(
        _ reference: HubReference, _ environment: HubEnvironment, stop: StopSignal,
        note: @escaping @Sendable (String) -> Void
    ) {
        self.reference = reference
        self.environment = environment
        self.stop = stop
        self.note = note
        http = HTTPClient(timeoutSeconds: environment.timeoutSeconds)
    }

    func close() { http.close() }

    // MARK: Questions

    /// Returns the commit of the reference's revision and the names of its files; throws ``HubError``.
    func revision() throws -> Revision {
        let path =
            "/api/models/" + Self.escaped(reference.repository, keeping: "/") + "/revision/"
            + Self.escaped(reference.revisionName)
        let url = try address(path)
        var body = Data()
        let answer = try repeating(url) {
            body = Data()
            return try self.follow(
                "GET", url, headers: ["Accept": "application/json"],
                HTTPClient.Receiver(accept: { $0.status == 200 }) { data in
                    guard body.count + data.count <= Self.maximumBodyByteCount else {
                        throw HubError.notAHub(
                            url: url.absoluteString, reason: "the list of files is larger than any")
                    }
                    body.append(data)
                }
            ).answer
        }
        guard answer.status == 200 else { throw failure(answer, file: nil) }
        return try Self.parse(body, url: url)
    }

    /// Returns checksum and size of a file of a commit; throws ``HubError``.
    func metadata(of file: String, commit: String) throws -> FileMetadata {
        let url = try address(of: file, commit: commit)
        let chain = try repeatingChain(url) {
            try self.follow(
                "HEAD", url, headers: ["Accept-Encoding": "identity"], stopsAtOtherHosts: true,
                HTTPClient.Receiver(accept: { _ in true }, receive: { _ in }))
        }
        let answer = chain.answer
        guard answer.status == 200 || answer.isRedirect else { throw failure(answer, file: file) }
        guard let etag = Self.etag(chain.first("x-linked-etag") ?? answer["etag"]) else {
            throw HubError.notAHub(url: url.absoluteString, reason: "the answer has no checksum (ETag)")
        }
        guard HubCache.isPlainName(etag) else {
            throw HubError.notAHub(
                url: url.absoluteString, reason: "the checksum '\(etag.prefix(80))' is no name of a file")
        }
        let length = chain.first("x-linked-size") ?? (answer.isRedirect ? nil : answer["content-length"])
        let byteCount = length.flatMap { Int($0) }
        guard (byteCount ?? 0) >= 0 else {
            throw HubError.notAHub(url: url.absoluteString, reason: "the size of the file is negative")
        }
        return FileMetadata(etag: etag, byteCount: byteCount, commit: chain.first("x-repo-commit"))
    }

    // MARK: Contents

    /// Appends to a partial file what it lacks, however often the connection is cut; throws ``HubError``.
    func fetch(_ file: String, _ metadata: FileMetadata, commit: String, into partial: PartialFile) throws {
        let url = try address(of: file, commit: commit)
        while true {
            let isComplete = try repeatingTransfer(url, partial) {
                try self.fetchPiece(url, file, metadata, partial)
            }
            if isComplete { return }
        }
    }

    /// Makes one request; returns true at the end of the file.
    private func fetchPiece(_ url: URL, _ file: String, _ metadata: FileMetadata, _ partial: PartialFile)
        throws -> Bool
    {
        let start = partial.byteCount
        if let total = metadata.byteCount {
            if start == total { return true }
            if start > total { try partial.restart() }
        }
        var headers = ["Accept-Encoding": "identity"]
        let begin = partial.byteCount
        if let total = metadata.byteCount, total - begin > Self.pieceByteCount {
            headers["Range"] = "bytes=\(begin)-\(begin + Self.pieceByteCount - 1)"
        } else if begin > 0 {
            headers["Range"] = "bytes=\(begin)-"
        }
        if headers["Range"] != nil { headers["If-Range"] = "\"\(metadata.etag)\"" }
        var expectedEnd: Int?
        let chain = try follow(
            "GET", url, headers: headers,
            HTTPClient.Receiver(accept: { answer in
                expectedEnd = try Self.accepted(answer, begin, metadata, partial)
                return expectedEnd != nil
            }) { data in try partial.append(data, notBeyond: metadata.byteCount) })
        if let linked = Self.etag(chain.first("x-linked-etag")), linked != metadata.etag {
            try partial.restart()
            throw HubError.wrongContents(
                file: file, reason: "its checksum has changed from \(metadata.etag) to \(linked)")
        }
        let answer = chain.answer
        switch answer.status {
        case 200, 206:
            guard let expectedEnd else {
                throw HubError.notAHub(
                    url: url.absoluteString, reason: "it sends another part of the file than asked for")
            }
            if expectedEnd >= 0, partial.byteCount < expectedEnd {
                throw HTTPFailure.connection(reason: "the connection was cut", isFinal: false)
            }
            return metadata.byteCount.map { partial.byteCount == $0 } ?? true
        case 416:
            // What is there is longer than the file.
            try partial.restart()
            throw HTTPFailure.connection(reason: "the server has no such part of the file", isFinal: false)
        case 429: throw Busy(answer: answer)
        default: throw failure(answer, file: file)
        }
    }

    /// Returns where the body of an answer ends in the file, -1 if unknown, nil if the body is not wanted.
    private static func accepted(
        _ answer: HTTPResponse, _ begin: Int, _ metadata: FileMetadata, _ partial: PartialFile
    ) throws -> Int? {
        switch answer.status {
        case 200:
            // The server sends the whole file in spite of the range.
            if begin > 0 { try partial.restart() }
            return metadata.byteCount ?? answer["content-length"].flatMap { Int($0) } ?? -1
        case 206:
            guard let range = answer["content-range"]?.dropping(exactPrefix: "bytes "),
                let slash = range.firstIndex(of: "/"), let dash = range[..<slash].firstIndex(of: "-"),
                Int(range[..<dash]) == begin, let last = Int(range[range.index(after: dash)..<slash]),
                last >= begin
            else { return nil }
            let total = Int(range[range.index(after: slash)...])
            if let expected = metadata.byteCount, let total, total != expected { return nil }
            return last + 1
        default: return nil
        }
    }

    // MARK: Requests

    /// The answers to a request and to what it was redirected to.
    private struct Chain {
        var answers: [HTTPResponse]
        var answer: HTTPResponse { answers[answers.count - 1] }

        func first(_ name: String) -> String? { answers.lazy.compactMap { $0[name] }.first }
    }

    /// Makes a request and those that it is redirected to; the token goes to the hub only.
    private func follow(
        _ method: String, _ url: URL, headers: [String: String], stopsAtOtherHosts: Bool = false,
        _ receiver: HTTPClient.Receiver
    ) throws -> Chain {
        var url = url
        var headers = headers
        headers["User-Agent"] = "retnet/0.1; swift"
        if let token = environment.token { headers["Authorization"] = "Bearer \(token)" }
        var answers: [HTTPResponse] = []
        for _ in 0..<Self.redirectCount {
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

    private static func origin(_ url: URL) -> String {
        "\(url.scheme ?? "")://\(url.host?.lowercased() ?? ""):\(url.port ?? (url.scheme == "https" ? 443 : 80))"
    }

    private func repeating(_ url: URL, _ request: () throws -> HTTPResponse) throws -> HTTPResponse {
        try repeatingChain(url) { Chain(answers: [try request()]) }.answer
    }

    /// Repeats a request after failures that may pass.
    private func repeatingChain(_ url: URL, _ request: () throws -> Chain) throws -> Chain {
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
    private func repeatingTransfer(_ url: URL, _ partial: PartialFile, _ request: () throws -> Bool) throws
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
    private struct Busy: Error {
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
    private func failure(_ answer: HTTPResponse, file: String?) -> HubError {
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
            return HubError.noRepository(repository, endpoint: environment.endpoint, hasToken: hasToken)
        case (401, _): return HubError.unauthorized(repository: repository, hasToken: hasToken)
        case (403, _): return HubError.forbidden(repository: repository, reason: reason)
        case (429, _):
            return HubError.tooManyRequests(seconds: Self.pauseSeconds(answer).map { Int($0.rounded(.up)) })
        default: return HubError.status(answer.status, url: answer.url.absoluteString, reason: reason)
        }
    }

    // MARK: Addresses and answers

    private func address(_ path: String) throws -> URL {
        guard let url = URL(string: environment.endpoint + path), let scheme = url.scheme,
            scheme == "https" || scheme == "http", url.host?.isEmpty == false
        else { throw HubError.invalidEndpoint(environment.endpoint) }
        return url
    }

    private func address(of file: String, commit: String) throws -> URL {
        try address(
            "/" + Self.escaped(reference.repository, keeping: "/") + "/resolve/" + Self.escaped(commit) + "/"
                + Self.escaped(file, keeping: "/"))
    }

    private static func escaped(_ text: String, keeping kept: String = "") -> String {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
        return text.addingPercentEncoding(withAllowedCharacters: CharacterSet(charactersIn: letters + kept))
            ?? text
    }

    private static func etag(_ header: String?) -> String? {
        guard var text = header.map({ Substring($0) }) else { return nil }
        if text.hasPrefix("W/") { text = text.dropFirst(2) }
        let value = text.filter { $0 != "\"" }
        return value.isEmpty ? nil : value
    }

    /// Reads `sha` and the names in `siblings`.
    private static func parse(_ body: Data, url: URL) throws -> Revision {
        var commit: String?
        var files: [String] = []
        do {
            try body.withUnsafeBytes { bytes in
                var scanner = try JSONScanner(bytes)
                try scanner.readObject { scanner, key in
                    switch key {
                    case "sha" where scanner.peek() == UInt8(ascii: "\""): commit = try scanner.readString()
                    case "siblings" where scanner.peek() == UInt8(ascii: "["):
                        try scanner.readArray { scanner in
                            try scanner.readObject { scanner, key in
                                if key == "rfilename" {
                                    files.append(try scanner.readString())
                                } else {
                                    try scanner.skipValue()
                                }
                            }
                        }
                    default: try scanner.skipValue()
                    }
                }
                try scanner.finish()
            }
        } catch is JSONFault {
            throw HubError.notAHub(url: url.absoluteString, reason: "the answer is no description of a model")
        }
        guard let commit, HubCache.isCommit(commit) else {
            throw HubError.notAHub(url: url.absoluteString, reason: "the answer names no commit")
        }
        for file in files where !HubCache.isSafePath(file) {
            throw HubError.notAHub(
                url: url.absoluteString, reason: "the name '\(file.prefix(200))' of a file leaves its folder")
        }
        return Revision(commit: commit, files: files)
    }
}
