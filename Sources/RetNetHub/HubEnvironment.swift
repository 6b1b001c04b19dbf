import Foundation

/// Where the hub is, who asks, and where files are kept: the settings that the hub's own client takes from the environment.
public struct HubEnvironment: Sendable {
    /// Address of the hub without a slash at its end, from `HF_ENDPOINT`.
    public var endpoint: String
    /// Token of the user, from `HF_TOKEN` or the file of `HF_TOKEN_PATH`; nil without one.
    public var token: String?
    /// Folder of the cache, from `HF_HUB_CACHE` or `HF_HOME`.
    public var cacheFolder: String
    /// True if nothing may be fetched, from `HF_HUB_OFFLINE`.
    public var isOffline: Bool
    /// Seconds without any byte after which a connection counts as cut, from `HF_HUB_DOWNLOAD_TIMEOUT`.
    public var timeoutSeconds: Double
    /// Longest pause in seconds before an attempt is repeated.
    public var maximumPauseSeconds = 60.0
    /// Attempts without any new byte before a request is given up.
    public var attemptCount = 6

    /// Reads the settings of an environment.
    public init(_ variables: [String: String] = ProcessInfo.processInfo.environment) {
        func value(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
        let home = value("HOME") ?? NSHomeDirectory()
        func path(_ text: String) -> String {
            text == "~" ? home : text.hasPrefix("~/") ? home + text.dropFirst() : text
        }
        let base =
            value("HF_HOME").map(path)
            ?? value("XDG_CACHE_HOME").map { path($0) + "/huggingface" } ?? home + "/.cache/huggingface"
        cacheFolder =
            (value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE")).map(path) ?? base + "/hub"
        var endpoint = value("HF_ENDPOINT") ?? "https://huggingface.co"
        while endpoint.hasSuffix("/") { endpoint.removeLast() }
        self.endpoint = endpoint
        isOffline = Self.isTrue(value("HF_HUB_OFFLINE") ?? value("TRANSFORMERS_OFFLINE"))
        timeoutSeconds =
            value("HF_HUB_DOWNLOAD_TIMEOUT").flatMap(Double.init).map { min(max($0, 1), 3600) } ?? 30
        token = nil
        guard !Self.isTrue(value("HF_HUB_DISABLE_IMPLICIT_TOKEN")) else { return }
        let file = value("HF_TOKEN_PATH").map(path) ?? base + "/token"
        token =
            Self.cleaned(value("HF_TOKEN") ?? value("HUGGING_FACE_HUB_TOKEN"))
            ?? Self.cleaned(try? String(contentsOfFile: file, encoding: .utf8))
    }

    private static func isTrue(_ text: String?) -> Bool {
        ["1", "ON", "YES", "TRUE"].contains(text?.uppercased() ?? "")
    }

    /// Returns a token without line breaks and spaces; nil if nothing is left, or if no header could hold it.
    private static func cleaned(_ text: String?) -> String? {
        let token = text?.filter { !$0.isWhitespace } ?? ""
        return !token.isEmpty && token.utf8.allSatisfy { (0x21...0x7E).contains($0) } ? token : nil
    }
}

/// A model on the hub: its owner, name and revision.
public struct HubReference: Equatable, Sendable, CustomStringConvertible {
    /// Owner and name, `OWNER/NAME`; a few old models have a name alone.
    public let repository: String
    /// Branch, tag, commit or `refs/pr/N`; nil for the main branch.
    public let revision: String?

    /// Parses `OWNER/NAME` or `OWNER/NAME@REVISION`; nil for texts of another form, such as paths.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        guard let repository = parts.first, Self.isRepository(repository), repository.contains("/") else {
            return nil
        }
        if parts.count > 1 { guard Self.isRevision(parts[1]) else { return nil } }
        self.repository = repository
        revision = parts.count > 1 ? parts[1] : nil
    }

    /// Creates a reference; throws ``HubError`` for a repository or revision that the hub cannot have.
    public init(repository: String, revision: String? = nil) throws {
        guard Self.isRepository(repository) else { throw HubError.invalidRepository(repository) }
        if let revision { guard Self.isRevision(revision) else { throw HubError.invalidRevision(revision) } }
        self.repository = repository
        self.revision = revision
    }

    /// The revision, or the name of the main branch.
    public var revisionName: String { revision ?? "main" }

    /// `OWNER/NAME@REVISION`, without the revision if none is given.
    public var description: String { revision.map { "\(repository)@\($0)" } ?? repository }

    /// Name of the model's folder in the cache.
    var folderName: String { "models--" + repository.split(separator: "/").joined(separator: "--") }

    private static func isRepository(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return (1...2).contains(parts.count) && text.utf8.count <= 192 && !text.contains("--")
            && !text.contains("..")
            && !text.hasSuffix(".git") && parts.allSatisfy { isName($0) && $0.utf8.count <= 96 }
    }

    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        return first != UInt8(ascii: ".") && first != UInt8(ascii: "-") && last != UInt8(ascii: ".")
            && last != UInt8(ascii: "-") && text.utf8.allSatisfy(isLetter)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// Names of Git references that are no path out of a folder either.
    private static func isRevision(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return !text.isEmpty && text.utf8.count <= 250 && !text.contains("..")
            && parts.allSatisfy { !$0.isEmpty && !$0.hasPrefix(".") && !$0.hasSuffix(".lock") }
            && text.unicodeScalars.allSatisfy {
                $0.value > 0x20 && $0.value != 0x7F && !"~^:?*[\\".unicodeScalars.contains($0)
            }
    }
}
