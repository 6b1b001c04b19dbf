import RetNetSystem
import SystemPackage

/// Atomic creation of folders: a folder under its final name is always complete.
///
/// The contents are written to a hidden folder next to the target (`.name.tmp-` and 16 digits), listed with
/// sizes and checksums in `checksums.json`, flushed to the disk, and then renamed to the target. When
/// an old version is replaced, it is first renamed (`.name.old-` and 16 digits) and removed last; a
/// crash in between is undone by `recover(_:)`, which `create` and `removeLeftovers` also call.
public enum AtomicFolder {
    /// Name of the list of checksums in every folder.
    public static let checksumsFileName = "checksums.json"

    /// Creates the folder at `path` with the contents that `body` writes to a temporary folder.
    ///
    /// The parent folder must exist. `body` may create subfolders, but no links, devices or file named
    /// `checksums.json`. Throws `StorageError.alreadyExists` if the target exists and `replacing` is
    /// false, other `StorageError`s, or the error of `body`; then no temporary files remain and an old
    /// version is unchanged.
    public static func create(
        at path: String, replacing: Bool = false, _ body: (_ temporaryFolder: String) throws -> Void
    ) throws {
        let target = try TargetPath(path)
        try recover(path)
        try checkReplaceable(target, replacing: replacing)
        let temporary = target.newTemporaryPath()
        try FileAccess.makeFolder(temporary)
        var isMoved = false
        defer { if !isMoved { try? FileAccess.removeTree(temporary) } }
        let descriptor = try FileAccess.openForReading(temporary)
        defer { try? descriptor.close() }
        // The lock marks the folder as having a living writer for `recover` and `removeLeftovers`.
        _ = descriptor.tryLock()
        try body(temporary)
        try seal(temporary)
        try checkReplaceable(target, replacing: replacing)
        if try FileAccess.kind(of: target.path) == nil {
            try moveToFreePlace(temporary, target)
            isMoved = true
            try FileAccess.synchronize(path: target.folder)
        } else {
            try replace(target, with: temporary)
            isMoved = true
        }
    }

    /// Reads every file that `checksums.json` lists and compares sizes and checksums.
    ///
    /// Throws a `StorageError` with the first file that is missing, corrupt or of another size. Files that
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

    /// Returns true if the folder is finished and all its files exist with the recorded sizes.
    ///
    /// Contents are not read; use `verify(_:)` for that.
    public static func isComplete(_ path: String) -> Bool {
        guard let records = try? records(of: path) else { return false }
        return records.allSatisfy { name, record in
            (try? FileAccess.byteCount(of: path + "/" + name)) == record.byteCount
        }
    }

    private static func checkReplaceable(_ target: TargetPath, replacing: Bool) throws {
        guard let kind = try FileAccess.kind(of: target.path, followingLinks: false) else { return }
        guard replacing else { throw StorageError.alreadyExists(path: target.path) }
        guard kind == .folder else { throw StorageError.notFolder(path: target.path) }
    }

    private static func moveToFreePlace(_ temporary: String, _ target: TargetPath) throws {
        do {
            try FileAccess.move(temporary, to: target.path)
        } catch StorageError.system(_, _, let code)
            where code == Errno.directoryNotEmpty.rawValue || code == Errno.fileExists.rawValue
        {
            // Another process has created the target since the check.
            throw StorageError.alreadyExists(path: target.path)
        }
    }

    private static func replace(_ target: TargetPath, with temporary: String) throws {
        let aside = target.newAsidePath()
        try FileAccess.move(target.path, to: aside)
        do {
            try FileAccess.move(temporary, to: target.path)
        } catch {
            try FileAccess.move(aside, to: target.path)
            throw error
        }
        try FileAccess.synchronize(path: target.folder)
        // The new version is in place; parts of the old one that cannot be removed are leftovers.
        try? FileAccess.removeTree(aside)
    }

    /// Writes the list of checksums and waits until all files are on the disk.
    private static func seal(_ folder: String) throws {
        let (files, folders) = try contents(of: folder)
        let listPath = folder + "/" + checksumsFileName
        guard !files.contains(checksumsFileName), !folders.contains(checksumsFileName) else {
            throw StorageError.alreadyExists(path: listPath)
        }
        var records: [ExactString: ChecksumList.Record] = [:]
        for file in files {
            let path = folder + "/" + file
            let (byteCount, crc32) = try Checksum.measure(file: path)
            records[ExactString(file)] = ChecksumList.Record(byteCount: byteCount, crc32: crc32)
            try FileAccess.synchronize(path: path)
        }
        // Innermost first, so that a folder is flushed after its contents.
        for subfolder in folders.reversed() { try FileAccess.synchronize(path: folder + "/" + subfolder) }
        try AtomicFile.write(to: listPath) { try $0.write(ChecksumList(records: records).text) }
        try FileAccess.synchronize(path: folder)
    }

    /// Returns the relative paths of all files and folders in `folder`, outer folders before inner ones.
    private static func contents(of folder: String) throws -> (files: [String], folders: [String]) {
        var files: [String] = []
        var folders: [String] = []
        var pending = [""]
        while let prefix = pending.popLast() {
            for name in try FileAccess.names(in: folder + "/" + prefix) {
                let relative = prefix + name
                let path = folder + "/" + relative
                switch try FileAccess.kind(of: path, followingLinks: false) {
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

    /// Returns the recorded files of a folder, sorted by path.
    private static func records(of path: String) throws -> [(key: String, value: ChecksumList.Record)] {
        guard let kind = try FileAccess.kind(of: path) else { throw StorageError.notFound(path: path) }
        guard kind == .folder else { throw StorageError.notFolder(path: path) }
        let listPath = path + "/" + checksumsFileName
        guard try FileAccess.kind(of: listPath) != nil else {
            throw StorageError.incompleteFolder(path: path)
        }
        do {
            return try MappedFile(path: listPath).withUnsafeBytes { try ChecksumList.parse($0) }
                .records.sorted { $0.key < $1.key }.map { ($0.key.text, $0.value) }
        } catch let fault as ChecksumList.Fault {
            throw StorageError.invalidChecksums(
                path: listPath, byteOffset: fault.byteOffset, reason: fault.reason)
        }
    }

    private static func checkPresent(_ file: String) throws {
        guard try FileAccess.kind(of: file) != nil else { throw StorageError.listedFileMissing(path: file) }
    }
}

extension AtomicFolder {
    /// Undoes a replacement that a crash interrupted; returns true if there was one.
    ///
    /// If there is no folder at `path` but a renamed old version of it, that version is restored, the newest
    /// complete one if there are several. Does nothing while another process is writing the folder.
    /// Throws `StorageError`.
    @discardableResult
    public static func recover(_ path: String) throws -> Bool {
        let target = try TargetPath(path)
        guard try FileAccess.kind(of: target.path, followingLinks: false) == nil,
            try FileAccess.kind(of: target.folder) == .folder
        else { return false }
        let siblings = try FileAccess.names(in: target.folder)
        let asides = siblings.filter(target.isAside).map(target.sibling)
        guard !asides.isEmpty,
            !siblings.contains(where: { target.isTemporary($0) && hasLivingWriter(target.sibling($0)) })
        else { return false }
        let candidates = asides.map { aside in
            let list = aside + "/" + checksumsFileName
            return (path: aside, isComplete: isComplete(aside), time: FileAccess.modificationTime(of: list))
        }
        let best = candidates.max { ($0.isComplete ? 1 : 0, $0.time) < ($1.isComplete ? 1 : 0, $1.time) }
        guard let best else { return false }
        try FileAccess.move(best.path, to: target.path)
        try FileAccess.synchronize(path: target.folder)
        return true
    }

    /// Removes temporary files and folders that crashes left next to `path`; returns the removed paths.
    ///
    /// Calls `recover(_:)` first, so that the only complete version is never removed. Temporaries that a
    /// living process is writing are kept. Throws `StorageError`.
    @discardableResult
    public static func removeLeftovers(beside path: String) throws -> [String] {
        let target = try TargetPath(path)
        try recover(path)
        let isTargetPresent = try FileAccess.kind(of: target.path, followingLinks: false) != nil
        var removed: [String] = []
        for name in try FileAccess.names(in: target.folder) {
            let leftover = target.sibling(name)
            if target.isTemporary(name) {
                guard !hasLivingWriter(leftover) else { continue }
            } else {
                // An old version is superfluous only if there is a folder under the final name.
                guard target.isAside(name), isTargetPresent else { continue }
            }
            try FileAccess.removeTree(leftover)
            removed.append(leftover)
        }
        return removed
    }

    /// Returns true if another descriptor holds the lock that writers take on their temporaries.
    static func hasLivingWriter(_ path: String) -> Bool {
        guard let descriptor = try? FileAccess.openWithoutWaiting(path) else { return false }
        defer { try? descriptor.close() }
        return !descriptor.tryLock()
    }
}
