import HTTPTypes
import Hummingbird
import HummingbirdCore

/// Which pages of other sites may use the server from a browser (CORS), and under which names it may be reached.
struct CrossOrigin: Sendable {
    /// The origins of such pages, such as `https://chat.example`; `*` stands for all.
    let origins: [String]
    /// True for a server without keys that only this machine reaches: then a page could give the server's address a name of
    /// its own and pass for the server's page, so that only names are taken that no other site can have.
    let checksHost: Bool

    private static let methods = "GET, POST, DELETE, OPTIONS"
    private static let secondsOfPermission = 600

    /// Throws an answer with 403 if the request comes from a page that has no permission.
    func check(_ request: Request) throws {
        let authority = request.head.authority ?? ""
        if checksHost, !authority.isEmpty, !Self.isLocal(Self.name(authority)) {
            throw APIError(
                status: 403,
                message: "this server has no keys and answers to names of this machine only, not to"
                    + " '\(authority)': use localhost, or give it keys (--api-key-file)",
                code: "host_not_allowed")
        }
        // Reading needs no check: browsers keep the answer from pages without permission.
        guard let origin = request.headers[.origin], request.method != .get, request.method != .head,
            allowed(origin) == nil, !Self.isSame(origin, authority)
        else { return }
        throw APIError(
            status: 403, message: "pages of '\(origin)' may not use this server: start it with --cors-origin",
            code: "origin_not_allowed")
    }

    /// Returns what `Access-Control-Allow-Origin` says to an origin; nil without permission.
    func allowed(_ origin: String) -> String? {
        origins.contains("*") ? "*" : origins.contains(origin) ? origin : nil
    }

    /// Returns the answer to a browser that asks for permission; nil for other requests.
    func permission(_ request: Request) -> Response? {
        guard request.method == .options, let origin = request.headers[.origin], allowed(origin) != nil,
            request.headers[.accessControlRequestMethod] != nil
        else { return nil }
        var headers: HTTPFields = [
            .accessControlAllowMethods: Self.methods,
            .accessControlMaxAge: "\(Self.secondsOfPermission)",
        ]
        // Clients send names of their own, such as those of the `openai` package.
        headers[.accessControlAllowHeaders] =
            request.headers[.accessControlRequestHeaders] ?? "Authorization, Content-Type"
        return Response(status: .noContent, headers: headers)
    }

    /// Adds to an answer what lets the page of an origin read it.
    func mark(_ response: inout Response, _ request: Request) {
        guard !origins.isEmpty else { return }
        if !origins.contains("*") { response.headers[.vary] = "Origin" }
        guard let value = request.headers[.origin].flatMap(allowed) else { return }
        response.headers[.accessControlAllowOrigin] = value
        response.headers[.accessControlExposeHeaders] = "X-Request-Id, Retry-After"
    }

    /// Returns the problem of an origin that no browser sends; nil for one that may be allowed.
    static func problem(_ origin: String) -> String? {
        if origin == "*" || origin == "null" { return nil }
        let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count > 1, parts[0].last == ":", parts[1].isEmpty, !parts[2].isEmpty
        else {
            return
                "'\(origin)' is no origin: write it as 'https://chat.example' or 'http://localhost:3000', or '*' for all"
        }
        return nil
    }

    /// True if an origin is the server itself under the name by which it was called.
    private static func isSame(_ origin: String, _ authority: String) -> Bool {
        origin.lowercased() == "http://" + authority.lowercased()
            || origin.lowercased() == "https://" + authority.lowercased()
    }

    /// The name of a `Host` without the port.
    private static func name(_ authority: String) -> String {
        if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
        return String(authority.prefix { $0 != ":" })
    }

    /// True for addresses and for names that a public name server cannot give to somebody else.
    static func isLocal(_ name: String) -> Bool {
        let name = name.lowercased()
        return name == "localhost" || name.hasSuffix(".localhost") || name.hasSuffix(".local")
            || name.hasSuffix(".internal") || !name.contains(".") || name.contains(":")
            || name.utf8.allSatisfy {
                $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            }
    }
}
