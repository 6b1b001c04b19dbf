import Foundation
import RetNetStorage

/// The hub's protocol: what a revision consists of, what a file is, and its bytes.
///
/// Source: huggingface_hub (hf_api.py, file_download.py): `GET /api/models/{repository}/revision/{revision}` gives commit
/// and files, `GET /api/models/{repository}/tree/{commit}` checksums and sizes of all of them, in pages; `HEAD` and
/// `GET /{repository}/resolve/{commit}/{file}` give checksum, size and contents, by redirects to a server of files for
/// large ones.
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
    /// More pages of a listing than any repository has.
    private static let maximumPageCount = 1000

    let environment: HubEnvironment
    let reference: HubReference
    let http: HTTPClient
    let stop: StopSignal
    let note: @Sendable (String) -> Void

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
        let (answer, body) = try json(url)
        guard answer.status == 200 else { throw failure(answer, file: nil) }
        return try Self.parse(body, url: url)
    }

    /// Returns checksums and sizes of all files of a commit; nil where the server does not list them.
    ///
    /// Throws ``HubError`` where the connection fails.
    func listing(commit: String) throws -> [String: FileMetadata]? {
        var next: URL? = try address(
            "/api/models/" + Self.escaped(reference.repository, keeping: "/") + "/tree/"
                + Self.escaped(commit) + "?recursive=true")
        var found: [String: FileMetadata] = [:]
        for _ in 0..<Self.maximumPageCount {
            guard let url = next else { return found }
            let (answer, body) = try json(url)
            guard answer.status == 200, let entries = Self.tree(body) else { return nil }
            found.merge(entries) { _, new in new }
            // Only pages of the same server: the request carries the token.
            next = answer["link"].flatMap(Self.nextPage).flatMap {
                URL(string: $0, relativeTo: url)?.absoluteURL
            }
            if let next, Self.origin(next) != Self.origin(url) { return nil }
        }
        return nil
    }

    private func json(_ url: URL) throws -> (answer: HTTPResponse, body: Data) {
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
        return (answer, body)
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

    // MARK: Addresses and answers

    func address(_ path: String) throws -> URL {
        guard let url = URL(string: environment.endpoint + path), let scheme = url.scheme,
            scheme == "https" || scheme == "http", url.host?.isEmpty == false
        else { throw HubError.invalidEndpoint(environment.endpoint) }
        return url
    }

    func address(of file: String, commit: String) throws -> URL {
        try address(
            "/" + Self.escaped(reference.repository, keeping: "/") + "/resolve/" + Self.escaped(commit) + "/"
                + Self.escaped(file, keeping: "/"))
    }

    static func escaped(_ text: String, keeping kept: String = "") -> String {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
        return text.addingPercentEncoding(withAllowedCharacters: CharacterSet(charactersIn: letters + kept))
            ?? text
    }

    static func etag(_ header: String?) -> String? {
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

    /// Returns the address of `<…>; rel="next"` in a header of links.
    static func nextPage(_ links: String) -> String? {
        for link in links.split(separator: ",") {
            let parts = link.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
            guard let target = parts.first, target.hasPrefix("<"), target.hasSuffix(">"),
                parts.dropFirst().contains("rel=\"next\"")
            else { continue }
            return String(target.dropFirst().dropLast())
        }
        return nil
    }

    /// Reads the files of a page of a listing: `path`, and `oid` and `size`, those of `lfs` first; nil if it is none.
    static func tree(_ body: Data) -> [String: FileMetadata]? {
        struct Entry {
            var oid: String?
            var size: Int?

            mutating func read(_ scanner: inout JSONScanner, _ key: String) throws {
                switch key {
                case "oid" where scanner.peek() == UInt8(ascii: "\""): oid = try scanner.readString()
                case "size":
                    if case .int(let value) = try scanner.readScalar() { size = value }
                default: try scanner.skipValue()
                }
            }
        }
        var found: [String: FileMetadata] = [:]
        do {
            try body.withUnsafeBytes { bytes in
                var scanner = try JSONScanner(bytes)
                try scanner.readArray { scanner in
                    var (path, kind) = ("", "")
                    var own = Entry()
                    var large: Entry?
                    try scanner.readObject { scanner, key in
                        switch key {
                        case "path": path = try scanner.readString()
                        case "type": kind = try scanner.readString()
                        case "lfs" where scanner.peek() == UInt8(ascii: "{"):
                            var entry = Entry()
                            try scanner.readObject { try entry.read(&$0, $1) }
                            large = entry
                        default: try own.read(&scanner, key)
                        }
                    }
                    let entry = large ?? own
                    guard kind == "file", let etag = entry.oid, HubCache.isPlainName(etag),
                        let size = entry.size,
                        size >= 0
                    else { return }
                    found[path] = FileMetadata(etag: etag, byteCount: size, commit: nil)
                }
                try scanner.finish()
            }
        } catch {
            return nil
        }
        return found
    }
}
