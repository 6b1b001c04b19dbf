import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Creates folders so that, whatever happens, one under its final name is whole.
///
/// The contents are made in a hidden folder beside the target (`.name.tmp-` and 16 digits), listed with
/// sizes and checksums in `checksums.json`, flushed to the disk, and then renamed onto the target. When
/// an old version is replaced, it is first moved aside (`.name.old-` and 16 digits) and removed last; a
/// crash in between is undone by `recover(_:)`, which `create` and `removeLeftovers` also call.
public enum AtomicFolder {
    /// The name of the list of checksums in every folder made here.
    public static let checksumsFileName = "checksums.json"

    /// Makes the folder at `path` from what `body` puts into the temporary folder it is given.
    ///
    /// The folder above must exist. `body` may make subfolders but no links, devices or file named
    /// `checksums.json`. Throws `StorageError.alreadyExists` if the target exists and `replacing` is
    /// false, other `StorageError`s, or what `body` throws; then nothing is left behind and an old
    /// version is untouched.
    public static func create(
        at path: String, replacing: Bool = false, _ body: (_ temporaryFolder: String) throws -> Void
    ) throws {
        let target = try TargetPath(path)
        try recover(path)
        try checkReplaceable(target, replacing: replacing)
        let temporary = target.newTemporaryPath()
        try Posix.makeFolder(temporary)
        var isMoved = false
        defer { if !isMoved { try? Posix.removeTree(temporary) } }
        let descriptor = try Posix.openForReading(temporary)
        defer { _ = close(descriptor) }
        // The lock tells `recover` and `removeLeftovers` that the folder has a living writer.
        _ = Posix.lock(descriptor)
        try body(temporary)
        try seal(temporary)
        try checkReplaceable(target, replacing: replacing)
        if try Posix.kind(of: target.path) == nil {
            try moveToFreePlace(temporary, target)
            isMoved = true
            try Posix.synchronise(path: target.folder)
        } else {
            try replace(target, with: temporary)
            isMoved = true
        }
    }

    /// Reads every file that `checksums.json` lists and compares sizes and checksums.
    ///
    /// Throws `StorageError` that names the first file found missing, short, long or corrupt. Files that
    /// are not listed are ignored.
    public static func verify(_ path: String) throws {
        for (name, record) in try records(of: path) {
            let file = path + "/" + name
            try checkPresent(file)
            let (byteCount, crc32) = try Checksum.measure(file: file)
            guard byteCount == record.byteCount else {
                throw StorageError.wrongByteCount(path: file, expected: record.byteCount, found: byteCount)
            }
            guard crc32 == record.crc32 else {
                throw StorageError.checksumMismatch(path: file, expected: record.crc32, found: crc32)
            }
        }
    }

    /// Whether the folder was finished and all its files are there with the recorded sizes.
    ///
    /// Contents are not read; use `verify(_:)` for that.
    public static func isComplete(_ path: String) -> Bool {
        guard let records = try? records(of: path) else { return false }
        return records.allSatisfy { name, record in
            (try? Posix.byteCount(of: path + "/" + name)) == record.byteCount
        }
    }

    private static func checkReplaceable(_ target: TargetPath, replacing: Bool) throws {
        guard let kind = try Posix.kind(of: target.path, followingLinks: false) else { return }
        guard replacing else { throw StorageError.alreadyExists(path: target.path) }
        guard kind == .folder else { throw StorageError.notFolder(path: target.path) }
    }

    private static func moveToFreePlace(_ temporary: String, _ target: TargetPath) throws {
        do {
            try Posix.move(temporary, to: target.path)
        } catch StorageError.system(_, _, let code) where code == ENOTEMPTY || code == EEXIST {
            // Another process made the target since it was looked for.
            throw StorageError.alreadyExists(path: target.path)
        }
    }

    private static func replace(_ target: TargetPath, with temporary: String) throws {
        let aside = target.newAsidePath()
        try Posix.move(target.path, to: aside)
        do {
            try Posix.move(temporary, to: target.path)
        } catch {
            try Posix.move(aside, to: target.path)
            throw error
        }
        try Posix.synchronise(path: target.folder)
        // The new version is in place; what cannot be removed of the old one is a leftover.
        try? Posix.removeTree(aside)
    }

    /// Lists the checksums of all files and waits until everything is on the disk.
    private static func seal(_ folder: String) throws {
        let (files, folders) = try contents(of: folder)
        let listPath = folder + "/" + checksumsFileName
        guard !files.contains(checksumsFileName), !folders.contains(checksumsFileName) else {
            throw StorageError.alreadyExists(path: listPath)
        }
        var records: [String: ChecksumList.Record] = [:]
        for file in files {
            let path = folder + "/" + file
            let (byteCount, crc32) = try Checksum.measure(file: path)
            records[file] = ChecksumList.Record(byteCount: byteCount, crc32: crc32)
            try Posix.synchronise(path: path)
        }
        // Innermost first, so that a folder is flushed after all it holds.
        for subfolder in folders.reversed() { try Posix.synchronise(path: folder + "/" + subfolder) }
        try AtomicFile.write(to: listPath) { try $0.write(ChecksumList(records: records).text) }
        try Posix.synchronise(path: folder)
    }

    /// All files and folders below `folder`, outer folders before inner ones, by relative path.
    private static func contents(of folder: String) throws -> (files: [String], folders: [String]) {
        var files: [String] = []
        var folders: [String] = []
        var pending = [""]
        while let prefix = pending.popLast() {
            for name in try Posix.names(in: folder + "/" + prefix) {
                let relative = prefix + name
                let path = folder + "/" + relative
                switch try Posix.kind(of: path, followingLinks: false) {
                case .file: files.append(relative)
                case .folder:
                    folders.append(relative)
                    pending.append(relative + "/")
                case .link, .other: throw StorageError.notRegularFile(path: path)
                case nil: throw StorageError.notFound(path: path)
                }
            }
        }
        return (files, folders)
    }

    /// The folder's recorded files, sorted by path.
    private static func records(of path: String) throws -> [(key: String, value: ChecksumList.Record)] {
        guard let kind = try Posix.kind(of: path) else { throw StorageError.notFound(path: path) }
        guard kind == .folder else { throw StorageError.notFolder(path: path) }
        let listPath = path + "/" + checksumsFileName
        guard try Posix.kind(of: listPath) != nil else { throw StorageError.incompleteFolder(path: path) }
        do {
            return try MappedFile(path: listPath).withUnsafeBytes { try ChecksumList.parse($0) }
                .records.sorted { $0.key < $1.key }
        } catch let fault as ChecksumList.Fault {
            throw StorageError.invalidChecksums(
                path: listPath, byteOffset: fault.byteOffset, reason: fault.reason)
        }
    }

    private static func checkPresent(_ file: String) throws {
        guard try Posix.kind(of: file) != nil else { throw StorageError.listedFileMissing(path: file) }
    }
}
