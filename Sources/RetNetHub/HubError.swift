import Foundation

/// A failure to fetch a model from the hub.
public enum HubError: Error, Equatable, Sendable {
    /// The text is no `OWNER/NAME`.
    case invalidRepository(String)
    /// The text is no name of a branch, tag or commit.
    case invalidRevision(String)
    /// The address of the hub is no address of a web server.
    case invalidEndpoint(String)
    /// The hub knows no such model, or hides it.
    case noRepository(String, endpoint: String, hasToken: Bool)
    /// The server has no such model or no such revision of it, without saying which.
    case noRepositoryOrRevision(String, revision: String, endpoint: String)
    /// The model has no such revision.
    case noRevision(repository: String, revision: String)
    /// The revision has no such file.
    case noFile(repository: String, file: String)
    /// The model is given only to those who have accepted its licence.
    case gated(repository: String, endpoint: String, hasToken: Bool)
    /// The token is refused, or none is given.
    case unauthorized(repository: String, hasToken: Bool)
    /// The hub forbids the access for a reason of its own.
    case forbidden(repository: String, reason: String)
    /// The hub asks to wait for longer than is reasonable.
    case tooManyRequests(seconds: Int?)
    /// The server answers with a status that means a failure.
    case status(Int, url: String, reason: String)
    /// The answer is none of the hub's.
    case notAHub(url: String, reason: String)
    /// No connection, or one that is cut again and again.
    case connection(url: String, reason: String, remedy: String)
    /// The certificate of the server is not trusted.
    case certificate(host: String, reason: String)
    /// The bytes fetched are not those that the hub lists.
    case wrongContents(file: String, reason: String)
    /// No file of the repository is wanted.
    case nothingSelected(repository: String, files: [String])
    /// The disk has not enough room.
    case noSpace(folder: String, needed: Int, free: Int)
    /// Nothing may be fetched and the cache does not have it.
    case offline(String, cacheFolder: String, reason: String)
    /// The user has stopped the work; what was fetched is kept.
    case interrupted
    /// A file of the cache cannot be read or written.
    case cache(path: String, reason: String)
}

extension HubError: CustomStringConvertible, LocalizedError {
    /// The cause and the remedy.
    public var description: String {
        switch self {
        case .invalidRepository(let text):
            "'\(text)' is no model on the hub: give OWNER/NAME, letters, digits, '-', '_' and '.'"
        case .invalidRevision(let text):
            "'\(text)' is no revision: give a branch, a tag, a commit or refs/pr/N"
        case .invalidEndpoint(let text):
            "HF_ENDPOINT is '\(text)', which is no address of a web server: give one such as https://huggingface.co"
        case .noRepository(let repository, let endpoint, let hasToken):
            "there is no model '\(repository)' at \(endpoint), or it is private: check the spelling"
                + (hasToken
                    ? " and that your token may read it" : "; for a private model set HF_TOKEN to your token")
        case .noRepositoryOrRevision(let repository, let revision, let endpoint):
            "there is no model '\(repository)' with a revision '\(revision)' at \(endpoint), or it is private: check the "
                + "spelling of both; for a private model set HF_TOKEN to your token"
        case .noRevision(let repository, let revision):
            "the model '\(repository)' has no revision '\(revision)': give a branch, tag or commit that it has"
        case .noFile(let repository, let file):
            "the model '\(repository)' has no file '\(file)' in this revision: check its list of files"
        case .gated(let repository, let endpoint, let hasToken):
            "the model '\(repository)' is gated: accept its license at \(endpoint)/\(repository)"
                + (hasToken
                    ? " with the account of your token, and give the token the right to read gated models"
                    : " and set HF_TOKEN to a token of that account")
        case .unauthorized(let repository, let hasToken):
            hasToken
                ? "the hub refuses your token for '\(repository)': check HF_TOKEN (or the file of HF_TOKEN_PATH)"
                : "the model '\(repository)' does not exist or needs a token: check the spelling, or set HF_TOKEN"
        case .forbidden(let repository, let reason):
            "the hub forbids access to '\(repository)'\(reason.isEmpty ? "" : " (\(reason))"): check the rights of your token"
        case .tooManyRequests(let seconds):
            "the hub refuses more requests for now: try again \(seconds.map { "in \($0) seconds" } ?? "later")"
                + ", or set HF_TOKEN for a higher limit"
        case .status(let status, let url, let reason):
            "'\(url)' answers with status \(status)\(reason.isEmpty ? "" : " (\(reason))"): try again later"
        case .notAHub(let url, let reason):
            "'\(url)' does not answer as the hub does: \(reason); check HF_ENDPOINT and the proxy"
        case .connection(let url, let reason, let remedy):
            "cannot fetch '\(url)': \(reason); \(remedy)"
        case .certificate(let host, let reason):
            "the certificate of '\(host)' is not trusted (\(reason)): check the date of this machine; where a network "
                + "has a certificate of its own, add it to those of the system (update-ca-certificates)"
        case .wrongContents(let file, let reason):
            "'\(file)' is not what the hub lists: \(reason); the file was removed, try again"
        case .nothingSelected(let repository, let files):
            "no file of '\(repository)' is selected\(files.isEmpty ? "" : " (it has \(Self.list(files)))"): "
                + "choose others"
        case .noSpace(let folder, let needed, let free):
            "'\(folder)' has \(free) bytes free, but \(needed) are needed: free some space, or choose another cache "
                + "(HF_HUB_CACHE)"
        case .offline(let what, let cacheFolder, let reason):
            "'\(what)' is not complete in '\(cacheFolder)' (\(reason)) and HF_HUB_OFFLINE is set: fetch it before, or "
                + "unset HF_HUB_OFFLINE"
        case .interrupted:
            "stopped: the same command continues where it was"
        case .cache(let path, let reason):
            "cannot use '\(path)' of the cache: \(reason); choose another cache (HF_HUB_CACHE)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }

    private static func list(_ files: [String]) -> String {
        files.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
            + (files.count > 8 ? " and \(files.count - 8) more" : "")
    }
}
