import Foundation
import RetNetHub
import RetNetStorage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A server on this machine that behaves like the hub, and fails when it is told to.
///
/// The hub is `http://127.0.0.1:PORT`; large files are redirected to `http://localhost:PORT/files/…`, which is another
/// host to a client. huggingface_hub works with it as well.
public final class HubServer: @unchecked Sendable {
    // Sendable: what changes is guarded by the lock.
    /// A request as it came.
    public struct Request: Sendable {
        /// `GET` or `HEAD`.
        public let method: String
        /// Path with its query, or a whole address where the server is asked as a proxy.
        public let path: String
        /// Headers by names in lower case.
        public let headers: [String: String]
    }

    /// What goes wrong with the next request of a file's contents.
    public enum Fault: Sendable {
        /// The connection ends after so many bytes of the body.
        case cut(after: Int)
        /// A status with a header that says when to come back.
        case status(Int, retryAfter: String?)
        /// The whole file is sent in spite of a range.
        case ignoredRange
        /// All bytes are wrong.
        case wrongBytes
        /// More bytes than the file has.
        case tooMany
        /// A pause before the answer.
        case slow(seconds: Double)
    }

    private struct Response {
        var status = 200
        var headers: [(String, String)] = []
        var body = Data()
        var sentByteCount: Int?
        var delaySeconds = 0.0
    }

    /// A model.
    public struct Model: Sendable {
        /// Commit of all branches.
        public var commit = String(repeating: "0123456789", count: 4)
        /// Contents by names.
        public var files: [String: Data] = [:]
        /// Names of files that are redirected, as those in Git LFS are.
        public var large: Set<String> = []
        /// Commits by branches, tags and other references.
        public var branches: [String: String] = [:]
        /// True if the license has to be accepted.
        public var isGated = false
        /// Token that is asked for; nil for none.
        public var token: String?
        /// Files per page of the listing with checksums; 0 for a server that has none.
        public var pageFileCount = 1000
        /// Sizes in the listing that are not those of the contents.
        public var listedByteCounts: [String: Int] = [:]

        /// Creates a model with a main branch.
        public init(files: [String: Data], large: Set<String> = []) {
            self.files = files
            self.large = large
            branches = ["main": commit]
        }
    }

    /// Port on which it listens.
    public let port: Int
    /// Address of the hub.
    public var endpoint: String { "http://127.0.0.1:\(port)" }
    private let socketDescriptor: Int32
    private let lock = NSLock()
    private var models: [String: Model] = [:]
    private var faults: [String: [Fault]] = [:]
    private var recorded: [Request] = []
    private var descriptors: Set<Int32> = []
    private var isClosed = false

    /// Starts on a free port, or on a given one.
    public init(port: Int = 0) throws {
        #if canImport(Darwin)
            socketDescriptor = socket(AF_INET, SOCK_STREAM, 0)
        #else
            socketDescriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        var one: Int32 = 1
        setsockopt(socketDescriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socketDescriptor
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRINUSE) }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        let thread = Thread { [weak self, socketDescriptor] in
            while true {
                let connection = accept(socketDescriptor, nil, nil)
                guard connection >= 0 else { return }
                guard let server = self, server.add(connection) else {
                    close(connection)
                    return
                }
                let worker = Thread { [weak server] in
                    server?.serve(connection)
                    server?.remove(connection)
                }
                worker.start()
            }
        }
        thread.start()
    }

    deinit { stop() }

    /// Ends all connections.
    public func stop() {
        let open = lock.withLock { () -> Set<Int32> in
            defer { isClosed = true }
            return isClosed ? [] : descriptors.union([socketDescriptor])
        }
        for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        if open.contains(socketDescriptor) { close(socketDescriptor) }
    }

    /// Adds or replaces a model.
    public func set(_ name: String, _ model: Model) { lock.withLock { models[name] = model } }

    /// Lets the next requests for the contents of a file fail, one after the other; "api" stands for the description.
    public func fail(_ file: String, _ faults: [Fault]) { lock.withLock { self.faults[file] = faults } }

    /// Requests so far.
    public var requests: [Request] { lock.withLock { recorded } }

    private func add(_ connection: Int32) -> Bool {
        lock.withLock {
            if !isClosed { descriptors.insert(connection) }
            return !isClosed
        }
    }

    private func remove(_ connection: Int32) {
        let isKnown = lock.withLock { descriptors.remove(connection) != nil }
        if isKnown { close(connection) }
    }

    // MARK: Connections

    private func serve(_ connection: Int32) {
        var buffer: [UInt8] = []
        while let request = read(connection, &buffer) {
            lock.withLock { recorded.append(request) }
            let response = answer(request)
            if response.delaySeconds > 0 { Thread.sleep(forTimeInterval: response.delaySeconds) }
            var head = "HTTP/1.1 \(response.status) Status\r\n"
            for (name, value) in response.headers { head += "\(name): \(value)\r\n" }
            if !response.headers.contains(where: { $0.0 == "Content-Length" }) {
                head += "Content-Length: \(response.body.count)\r\n"
            }
            guard write(connection, Data((head + "\r\n").utf8)) else { return }
            if request.method == "HEAD" { continue }
            let body = response.sentByteCount.map { response.body.prefix($0) } ?? response.body
            guard write(connection, body) else { return }
            if response.sentByteCount != nil {
                shutdown(connection, Int32(SHUT_RDWR))
                return
            }
        }
    }

    private func read(_ connection: Int32, _ buffer: inout [UInt8]) -> Request? {
        var piece = [UInt8](repeating: 0, count: 4096)
        while true {
            if let end = buffer.firstIndexOfBlankLine() {
                let head = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 4)
                let lines = head.components(separatedBy: "\r\n")
                let words = lines.first?.split(separator: " ").map(String.init) ?? []
                guard words.count == 3 else { return nil }
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = line[line.index(after: colon)...]
                        .trimmingCharacters(in: .whitespaces)
                }
                return Request(method: words[0], path: words[1], headers: headers)
            }
            let count = recv(connection, &piece, piece.count, 0)
            guard count > 0 else { return nil }
            buffer += piece[..<count]
        }
    }

    private func write(_ connection: Int32, _ data: Data) -> Bool {
        data.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                #if canImport(Darwin)
                    let count = send(
                        connection, bytes.baseAddress?.advanced(by: offset), bytes.count - offset, 0)
                #else
                    let count = send(
                        connection, bytes.baseAddress?.advanced(by: offset), bytes.count - offset,
                        Int32(MSG_NOSIGNAL))
                #endif
                guard count > 0 else { return false }
                offset += count
            }
            return true
        }
    }

    // MARK: The hub

    private func error(_ status: Int, _ code: String?, _ message: String) -> Response {
        var response = Response(status: status, body: Data("{\"error\":\"\(message)\"}".utf8))
        response.headers = [("X-Error-Message", message), ("Content-Type", "application/json")]
        if let code { response.headers.append(("X-Error-Code", code)) }
        return response
    }

    private func answer(_ request: Request) -> Response {
        // A proxy is asked for whole addresses.
        let path = request.path.replacingOccurrences(of: "http://hub.invalid", with: "")
        let parts = path.split(separator: "?")[0].split(separator: "/").map {
            String($0).removingPercentEncoding ?? ""
        }
        if parts.count >= 4, parts[0] == "api", parts[1] == "models" {
            return description(request, parts[2] + "/" + parts[3], parts)
        }
        if parts.count >= 4, parts[0] == "files" {
            return contents(request, parts[1] + "/" + parts[2], parts[3...].joined(separator: "/"))
        }
        if parts.count >= 5, parts[2] == "resolve" {
            return file(request, parts[0] + "/" + parts[1], parts[3], parts[4...].joined(separator: "/"))
        }
        return error(404, nil, "not found")
    }

    private func nextFault(_ name: String) -> Fault? {
        lock.withLock {
            faults[name].flatMap { $0.isEmpty ? nil : $0 } != nil ? faults[name]?.removeFirst() : nil
        }
    }

    /// Returns the model if the request may see it.
    private func allowed(_ request: Request, _ name: String) -> (model: Model?, refusal: Response?) {
        guard let model = lock.withLock({ models[name] }) else {
            return (
                nil,
                error(
                    request.headers["authorization"] == nil ? 401 : 404, "RepoNotFound",
                    "Repository not found")
            )
        }
        guard let token = model.token, request.headers["authorization"] != "Bearer \(token)" else {
            return (model, nil)
        }
        if model.isGated {
            return (
                nil,
                error(
                    request.headers["authorization"] == nil ? 401 : 403, "GatedRepo", "Access is restricted")
            )
        }
        return (nil, error(401, nil, "Invalid credentials in Authorization header"))
    }

    private func description(_ request: Request, _ name: String, _ parts: [String]) -> Response {
        if case .status(let status, let after)? = nextFault("api") {
            var response = error(status, nil, "later")
            if let after { response.headers.append(("Retry-After", after)) }
            return response
        }
        let (model, refusal) = allowed(request, name)
        guard let model else { return refusal ?? error(404, nil, "") }
        let revision = parts.count > 5 ? parts[5] : "main"
        guard revision == model.commit || model.branches[revision] != nil else {
            return error(404, "RevisionNotFound", "Invalid rev id: \(revision)")
        }
        let commit = model.branches[revision] ?? model.commit
        let entries: [String]
        if parts.count > 4, parts[4] == "tree" {
            guard model.pageFileCount > 0 else { return error(404, nil, "not found") }
            let first = request.path.range(of: "cursor=").flatMap { Int(request.path[$0.upperBound...]) } ?? 0
            let page = model.files.keys.sorted().dropFirst(first).prefix(model.pageFileCount)
            entries = page.map { file in
                let data = model.files[file] ?? Data()
                let size = model.listedByteCounts[file] ?? data.count
                let lfs =
                    model.large.contains(file)
                    ? ",\"lfs\":{\"oid\":\"\(etag(data, isLarge: true))\",\"size\":\(size),\"pointerSize\":130}"
                    : ""
                return
                    "{\"type\":\"file\",\"oid\":\"\(etag(data, isLarge: false))\",\"size\":\(data.count),\"path\":\"\(file)\"\(lfs)}"
            }
            var headers = [("Content-Type", "application/json")]
            let next = first + page.count
            if next < model.files.count {
                let path = request.path.split(separator: "?")[0]
                headers.append(
                    ("Link", "<\(endpoint)\(path)?recursive=true&cursor=\(next)>; rel=\"next\""))
            }
            let folder = "{\"type\":\"directory\",\"oid\":\"\(commit)\",\"size\":0,\"path\":\"sub\"}"
            return Response(
                headers: headers, body: Data("[\((entries + [folder]).joined(separator: ","))]".utf8))
        }
        entries = model.files.keys.sorted().map { "{\"rfilename\":\"\($0)\"}" }
        let text =
            "{\"id\":\"\(name)\",\"modelId\":\"\(name)\",\"private\":false,\"gated\":false,\"downloads\":1,\"likes\":0,"
            + "\"tags\":[],\"sha\":\"\(commit)\",\"siblings\":[\(entries.joined(separator: ","))]}"
        return Response(headers: [("Content-Type", "application/json")], body: Data(text.utf8))
    }

    private func etag(_ data: Data, isLarge: Bool) -> String {
        var digest = ContentDigest(isLarge ? .sha256 : .gitBlob, byteCount: data.count)
        digest.update(data)
        return digest.hexadecimal()
    }

    private func file(_ request: Request, _ name: String, _ revision: String, _ file: String) -> Response {
        let (model, refusal) = allowed(request, name)
        guard let model else { return refusal ?? error(404, nil, "") }
        guard revision == model.commit || model.branches[revision] != nil else {
            return error(404, "RevisionNotFound", "Invalid rev id: \(revision)")
        }
        guard let data = model.files[file] else { return error(404, "EntryNotFound", "Entry not found") }
        let commit = ("X-Repo-Commit", model.branches[revision] ?? model.commit)
        guard model.large.contains(file) else {
            var response = contents(request, name, file)
            response.headers += [commit, ("ETag", "\"\(etag(data, isLarge: false))\"")]
            return response
        }
        let escaped = file.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? file
        return Response(
            status: 302,
            headers: [
                commit, ("X-Linked-Etag", "\"\(etag(data, isLarge: true))\""),
                ("X-Linked-Size", "\(data.count)"),
                ("Location", "http://localhost:\(port)/files/\(name)/\(escaped)?signature=abc"),
            ], body: Data("Found. Redirecting".utf8))
    }

    /// Sends the bytes of a file, or the part of them that is asked for.
    private func contents(_ request: Request, _ name: String, _ file: String) -> Response {
        guard var data = lock.withLock({ models[name]?.files[file] }) else {
            return error(404, "EntryNotFound", "Entry not found")
        }
        var response = Response(headers: [("Accept-Ranges", "bytes")])
        guard request.method == "GET" else {
            response.headers.append(("Content-Length", "\(data.count)"))
            return response
        }
        let fault = nextFault(file)
        var range = request.headers["range"]
        switch fault {
        case .status(let status, let after):
            response = error(status, nil, "later")
            if let after { response.headers.append(("Retry-After", after)) }
            return response
        case .ignoredRange: range = nil
        case .wrongBytes: data = Data(data.map { $0 ^ 0xFF })
        case .tooMany: data += Data("more".utf8)
        case .slow(let seconds): response.delaySeconds = seconds
        case .cut(let after): response.sentByteCount = after
        case nil: break
        }
        if let range, range.hasPrefix("bytes=") {
            let bounds = range.dropFirst(6).split(separator: "-").compactMap { Int($0) }
            let first = bounds.first ?? 0
            guard first < data.count else {
                return Response(status: 416, headers: [("Content-Range", "bytes */\(data.count)")])
            }
            let last = min(bounds.count > 1 ? bounds[1] : data.count - 1, data.count - 1)
            response.status = 206
            response.headers.append(("Content-Range", "bytes \(first)-\(last)/\(data.count)"))
            data = data[(data.startIndex + first)...(data.startIndex + last)]
        }
        response.body = Data(data)
        return response
    }
}

extension [UInt8] {
    /// Returns where the four bytes of a blank line begin.
    fileprivate func firstIndexOfBlankLine() -> Int? {
        guard count >= 4 else { return nil }
        return (0...(count - 4)).first {
            self[$0] == 13 && self[$0 + 1] == 10 && self[$0 + 2] == 13 && self[$0 + 3] == 10
        }
    }
}
