import Foundation
import RetNetStorage
import RetNetSystem
import SystemPackage

/// The folder of a model in the cache that the hub's own client shares.
///
/// `models--OWNER--NAME/` holds `blobs/` with contents named by their checksum, `snapshots/COMMIT/` with relative links
/// to them under the names of the files, and `refs/` with the commits of branches and tags; locks are in `.locks/`
/// beside. Source: huggingface_hub, file_download.py.
public struct HubCache: Sendable {
    /// Folder of all models.
    public let folder: String
    let reference: HubReference

    /// Describes the place of a model; nothing is read or written.
    public init(_ reference: HubReference, folder: String) {
        self.reference = reference
        self.folder = folder
    }

    var modelFolder: String { folder + "/" + reference.folderName }

    /// Returns the folder of a commit.
    func snapshot(_ commit: String) -> String { modelFolder + "/snapshots/" + commit }

    /// Returns the path of contents.
    func blob(_ etag: String) -> String { modelFolder + "/blobs/" + etag }

    /// Returns the path of contents that are being fetched.
    func partial(_ etag: String) -> String { blob(etag) + ".incomplete" }

    // MARK: Looking

    /// Returns the commit that the reference's revision had when it was last fetched; nil if it never was.
    public func cachedCommit() -> String? {
        if let revision = reference.revision, Self.isCommit(revision) { return revision }
        let path = modelFolder + "/refs/" + reference.revisionName
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let commit = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return Self.isCommit(commit) ? commit : nil
    }

    /// Returns the folder of the reference's revision if the cache has it with everything that a purpose needs.
    ///
    /// Otherwise the reason why it does not.
    public func lookUp(for purpose: HubPurpose) -> (folder: String?, reason: String) {
        guard let commit = cachedCommit() else { return (nil, "it was never fetched") }
        let folder = snapshot(commit)
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            return (nil, "it was never fetched")
        }
        if let missing = purpose.missing(in: folder, names: names.sorted()) { return (nil, missing) }
        return (folder, "")
    }

    // MARK: Changing

    /// Returns true if a file of a commit is there.
    func has(_ file: String, commit: String) -> Bool {
        // Follows the link: one without its contents counts for nothing.
        FileManager.default.fileExists(atPath: snapshot(commit) + "/" + file)
    }

    /// Makes the folders and marks the cache as one, for backup programs.
    func prepare() throws {
        for path in [
            folder, modelFolder + "/blobs", modelFolder + "/snapshots",
            folder + "/.locks/" + reference.folderName,
        ] {
            try makeFolder(path)
        }
        let tag = folder + "/CACHEDIR.TAG"
        guard !FileManager.default.fileExists(atPath: tag) else { return }
        let text =
            "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag.\n"
            + "# For information about cache directory tags, see:\n#\thttps://bford.info/cachedir/\n"
        try? Data(text.utf8).write(to: URL(fileURLWithPath: tag))
    }

    /// Takes the lock of contents, which other processes and the hub's own client take as well; waits for it.
    func lock(_ etag: String, stop: StopSignal, waiting: () -> Void) throws -> FileDescriptor {
        let path = folder + "/.locks/" + reference.folderName + "/" + etag + ".lock"
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(
                path, .readWrite, options: [.create, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o664))
        } catch {
            throw HubError.cache(path: path, reason: "\(error)")
        }
        var isFirst = true
        while !descriptor.tryLock() {
            if isFirst { waiting() }
            isFirst = false
            do {
                try stop.wait(seconds: 0.2)
            } catch {
                try? descriptor.close()
                throw HubError.interrupted
            }
        }
        return descriptor
    }

    /// Gives contents their final name.
    func complete(_ etag: String) throws {
        do throws(Errno) {
            try FileSystem.move(partial(etag), to: blob(etag))
        } catch {
            throw HubError.cache(path: blob(etag), reason: "\(error)")
        }
    }

    /// Makes a file of a snapshot a link to its contents.
    func link(_ file: String, commit: String, etag: String) throws {
        let path = snapshot(commit) + "/" + file
        if let slash = path.lastIndex(of: "/") { try makeFolder(String(path[..<slash])) }
        // Snapshot and commit, and each folder of the file.
        let steps = 2 + file.utf8.count { $0 == UInt8(ascii: "/") }
        let target = String(repeating: "../", count: steps) + "blobs/" + etag
        let files = FileManager.default
        try? files.removeItem(atPath: path)
        do {
            try files.createSymbolicLink(atPath: path, withDestinationPath: target)
        } catch {
            // Another process may have made it meanwhile.
            if has(file, commit: commit) { return }
            // A file system without links: the hub's client has the file itself there.
            do {
                try files.copyItem(atPath: blob(etag), toPath: path)
            } catch {
                throw HubError.cache(path: path, reason: (error as NSError).localizedDescription)
            }
        }
    }

    /// Records the commit of the reference's branch or tag, at the end, so that an earlier one stays usable until then.
    func record(_ commit: String) throws {
        let revision = reference.revisionName
        guard revision != commit else { return }
        let path = modelFolder + "/refs/" + revision
        if let slash = path.lastIndex(of: "/") { try makeFolder(String(path[..<slash])) }
        if let known = try? String(contentsOfFile: path, encoding: .utf8), known == commit { return }
        try AtomicFile.write(Data(commit.utf8), to: path)
    }

    private func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw HubError.cache(path: path, reason: (error as NSError).localizedDescription)
        }
    }

    // MARK: Names from outside

    static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40 && text.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }

    /// Returns true if a text is the name of a file in a folder and nothing else.
    static func isPlainName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 200 && !text.hasPrefix(".")
            && text.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "\\")
            }
    }

    /// Returns true if a path leads to a file inside of the folder that it is relative to.
    static func isSafePath(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return text.utf8.count <= 1000
            && !text.utf8.contains { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") }
            && parts.allSatisfy { part in
                let name = String(Substring(part))
                return !name.isEmpty && name != "." && name != ".."
            }
    }
}

/// Contents that are being fetched: bytes are appended, and their checksum is kept.
final class PartialFile: ContentsSink {
    private(set) var byteCount = 0
    private let path: String
    private let name: String
    private let descriptor: FileDescriptor
    private let kind: ContentDigest.Kind?
    private let expectedByteCount: Int?
    private var digest: ContentDigest?
    private let progress: @Sendable (Int) -> Void
    private var isOpen = true

    /// Opens or creates a partial file and reads what it holds; `progress` is told of bytes added, negative for those lost.
    init(
        _ path: String, of name: String, etag: String, byteCount: Int?,
        progress: @escaping @Sendable (Int) -> Void
    ) throws {
        self.path = path
        self.name = name
        self.progress = progress
        expectedByteCount = byteCount
        kind = ContentDigest.Kind(etag: etag)
        do {
            descriptor = try FileDescriptor.open(
                path, .readWrite, options: [.create, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o666))
        } catch {
            throw HubError.cache(path: path, reason: "\(error)")
        }
        do {
            begin()
            try readWhatIsThere()
        } catch {
            try? descriptor.close()
            throw HubError.cache(path: path, reason: "\(error)")
        }
    }

    deinit { if isOpen { try? descriptor.close() } }

    private func begin() {
        byteCount = 0
        // Git's checksum begins with the size; without it nothing can be checked.
        digest = kind.flatMap { kind in
            kind == .gitBlob && expectedByteCount == nil
                ? nil : ContentDigest(kind, byteCount: expectedByteCount ?? 0)
        }
    }

    private func readWhatIsThere() throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try descriptor.read(into: buffer)
            guard count > 0 else { break }
            digest?.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            byteCount += count
        }
        progress(byteCount)
    }

    /// Appends bytes; throws ``HubError`` if there are more than the file has, or no room.
    func append(_ data: Data, notBeyond limit: Int?) throws {
        if let limit, data.count > limit - byteCount {
            throw HubError.wrongContents(
                file: name,
                reason: "the server sends more than its \(limit) bytes")
        }
        do {
            _ = try data.withUnsafeBytes { try descriptor.writeAll($0) }
        } catch let code as Errno where code == .noSpace || code == .diskQuotaExceeded {
            throw HubError.noSpace(
                folder: (path as NSString).deletingLastPathComponent, needed: data.count, free: 0)
        } catch {
            throw HubError.cache(path: path, reason: "\(error)")
        }
        digest?.update(data)
        byteCount += data.count
        progress(data.count)
    }

    /// Throws away what is there.
    func restart() throws {
        progress(-byteCount)
        do {
            try descriptor.resize(to: 0)
            try descriptor.seek(offset: 0, from: .start)
        } catch {
            throw HubError.cache(path: path, reason: "\(error)")
        }
        begin()
    }

    /// Returns the reason why the contents are not those of an etag; nil if they are.
    func fault(etag: String) -> String? {
        if let expectedByteCount, byteCount != expectedByteCount {
            return "it has \(byteCount) bytes instead of \(expectedByteCount)"
        }
        guard let digest else { return nil }
        let found = digest.hexadecimal()
        return found == etag ? nil : "its checksum is \(found) instead of \(etag)"
    }

    /// Waits until the contents are on the disk and closes the file.
    func close() throws {
        defer { isOpen = false }
        do {
            try? descriptor.synchronize()
            try descriptor.close()
        } catch {
            throw HubError.cache(path: path, reason: "\(error)")
        }
    }
}
