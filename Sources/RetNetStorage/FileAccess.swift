import RetNetSystem
import SystemPackage

/// The system calls of the file layer, with typed errors.
enum FileAccess {
    /// The kinds of entries of a folder.
    enum Kind {
        case file
        case folder
        case link
        case other

        init(_ status: Stat) {
            switch status.type {
            case .regular: self = .file
            case .directory: self = .folder
            case .symbolicLink: self = .link
            default: self = .other
            }
        }
    }

    /// Refuses paths that the C interface would misread.
    static func check(_ path: String) throws {
        guard !path.isEmpty else { throw StorageError.invalidPath(path: path, reason: "it is empty") }
        guard !path.utf8.contains(0) else {
            throw StorageError.invalidPath(path: path, reason: "it contains a NUL byte")
        }
    }

    // MARK: Opening

    static func openForReading(_ path: String) throws -> FileDescriptor {
        try check(path)
        return try typed("open", path) { () throws(Errno) in try openWithoutWaiting(path) }
    }

    /// Opens for reading; without `nonBlocking`, opening a pipe that has no writer would wait forever.
    static func openWithoutWaiting(_ path: String) throws(Errno) -> FileDescriptor {
        do {
            return try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch {
            throw error as? Errno ?? .invalidArgument
        }
    }

    static func regularFileByteCount(_ descriptor: FileDescriptor, path: String) throws -> Int {
        let status = try typed("examine", path) { () throws(Errno) in try descriptor.stat() }
        switch Kind(status) {
        case .file: return Int(status.size)
        case .folder: throw StorageError.isFolder(path: path)
        case .link, .other: throw StorageError.notRegularFile(path: path)
        }
    }

    // MARK: Entries of folders

    /// Returns the kind of an entry, or `nil` if there is none at the path.
    static func kind(of path: String, followingLinks: Bool = true) throws -> Kind? {
        try check(path)
        do throws(Errno) {
            return Kind(try Stat(path, followTargetSymlink: followingLinks))
        } catch {
            if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
            throw StorageError.failed("examine", path, error)
        }
    }

    /// Returns the size in bytes of the regular file at `path`.
    static func byteCount(of path: String) throws -> Int {
        let descriptor = try openForReading(path)
        defer { try? descriptor.close() }
        return try regularFileByteCount(descriptor, path: path)
    }

    /// Returns the permission bits of an entry, or `nil` if it cannot be examined.
    static func permissions(of path: String) -> FilePermissions? { (try? Stat(path))?.permissions }

    /// Returns the time of the last change in nanoseconds since 1970, or 0 if the entry cannot be examined.
    static func modificationTime(of path: String) -> Int { (try? Stat(path))?.modificationTime ?? 0 }

    static func makeFolder(_ path: String) throws {
        try check(path)
        try typed("create the folder", path) { () throws(Errno) in try FileSystem.makeFolder(path) }
    }

    static func move(_ source: String, to target: String) throws {
        try typed("rename '\(source)' to", target) { () throws(Errno) in
            try FileSystem.move(source, to: target)
        }
    }

    /// Renames a file unless something has the new name; throws `StorageError.alreadyExists` then.
    static func moveToFreeName(_ source: String, _ target: String) throws {
        do throws(Errno) {
            try FileSystem.moveToFreeName(source, target)
        } catch {
            if error == .fileExists { throw StorageError.alreadyExists(path: target) }
            throw StorageError.failed("rename '\(source)' to", target, error)
        }
    }

    /// Returns the names in a folder, sorted, without "." and "..".
    static func names(in folder: String) throws -> [String] {
        try check(folder)
        do throws(Errno) {
            return try FileSystem.names(in: folder).sorted()
        } catch {
            if error == .notDirectory { throw StorageError.notFolder(path: folder) }
            throw StorageError.failed("open", folder, error)
        }
    }

    /// Removes a file, or a folder with its contents; links are removed, not followed.
    static func removeTree(_ path: String) throws {
        switch try kind(of: path, followingLinks: false) {
        case nil:
            return
        case .folder:
            for name in try names(in: path) { try removeTree(path + "/" + name) }
            try remove(path, FileSystem.removeFolder)
        case .file, .link, .other:
            try remove(path, FileSystem.removeFile)
        }
    }

    /// Removes a file or link if there is one.
    static func removeFileIfPresent(_ path: String) throws {
        try check(path)
        try remove(path, FileSystem.removeFile)
    }

    private static func remove(_ path: String, _ call: (String) throws(Errno) -> Void) throws {
        do throws(Errno) {
            try call(path)
        } catch {
            guard error != .noSuchFileOrDirectory else { return }
            throw StorageError.failed("remove", path, error)
        }
    }

    // MARK: Waiting for the disk

    /// Waits until the contents of a file are on the disk.
    static func synchronize(_ descriptor: FileDescriptor, path: String) throws {
        do throws(Errno) {
            try descriptor.synchronize()
        } catch {
            // Some file systems and all devices do not offer fsync; they have nothing to wait for.
            if error == .invalidArgument || error == .notSupported || error == .readOnlyFileSystem { return }
            if StorageError.meansNoSpace(error) {
                let byteCount = (try? regularFileByteCount(descriptor, path: path)) ?? 0
                throw StorageError.noSpace(path: path, byteOffset: byteCount, code: error.rawValue)
            }
            throw StorageError.failed("flush to disk", path, error)
        }
    }

    /// Waits until the contents of a file or the names in a folder are on the disk.
    static func synchronize(path: String) throws {
        let descriptor: FileDescriptor
        do throws(Errno) {
            descriptor = try openWithoutWaiting(path)
        } catch {
            // A folder may permit changing its names but not listing them; then there is no way to wait.
            if error == .permissionDenied { return }
            throw StorageError.failed("open", path, error)
        }
        defer { try? descriptor.close() }
        try synchronize(descriptor, path: path)
    }

    /// Runs a system call and throws its failure as a `StorageError`.
    static func typed<Result>(_ action: String, _ path: String, _ call: () throws(Errno) -> Result) throws
        -> Result
    {
        do throws(Errno) {
            return try call()
        } catch {
            throw StorageError.failed(action, path, error)
        }
    }
}
