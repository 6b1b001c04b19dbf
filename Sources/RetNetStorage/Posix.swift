import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The system calls of the file layer, with `EINTR` retried and errors typed.
enum Posix {
    /// What a path holds.
    enum Kind {
        case file
        case folder
        case link
        case other
    }

    /// Refuses paths that the C interface would misread.
    static func check(_ path: String) throws {
        guard !path.isEmpty else {
            throw StorageError.invalidPath(path: path, reason: "it is empty")
        }
        guard !path.utf8.contains(0) else {
            throw StorageError.invalidPath(path: path, reason: "it holds a NUL byte")
        }
    }

    /// Repeats a call for as long as signals interrupt it.
    static func retry<T: SignedInteger>(_ call: () -> T) -> T {
        while true {
            let result = call()
            if result == -1, errno == EINTR { continue }
            return result
        }
    }

    static func openForReading(_ path: String) throws -> CInt {
        try check(path)
        // Without O_NONBLOCK, opening a pipe with no writer would wait for ever.
        let descriptor = retry { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { throw StorageError.fromErrno(errno, action: "open", path: path) }
        return descriptor
    }

    static func regularFileByteCount(_ descriptor: CInt, path: String) throws -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw StorageError.fromErrno(errno, action: "examine", path: path)
        }
        switch kind(of: status) {
        case .file: return Int(status.st_size)
        case .folder: throw StorageError.isFolder(path: path)
        case .link, .other: throw StorageError.notRegularFile(path: path)
        }
    }

    /// What `path` holds, or `nil` if it holds nothing.
    static func kind(of path: String, followingLinks: Bool = true) throws -> Kind? {
        try check(path)
        var status = stat()
        let result = followingLinks ? stat(path, &status) : lstat(path, &status)
        guard result == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw StorageError.fromErrno(errno, action: "examine", path: path)
        }
        return kind(of: status)
    }

    /// The size in bytes of the regular file at `path`.
    static func byteCount(of path: String) throws -> Int {
        let descriptor = try openForReading(path)
        defer { _ = close(descriptor) }
        return try regularFileByteCount(descriptor, path: path)
    }

    /// The permission bits of `path`, or `nil` if it cannot be examined.
    static func permissions(of path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    static func makeFolder(_ path: String) throws {
        try check(path)
        guard mkdir(path, 0o777) == 0 else {
            throw StorageError.fromErrno(errno, action: "create the folder", path: path)
        }
    }

    static func move(_ source: String, to target: String) throws {
        guard rename(source, target) == 0 else {
            throw StorageError.fromErrno(errno, action: "rename \(source) to", path: target)
        }
    }

    /// Waits until a file's contents are on the disk.
    static func synchronise(_ descriptor: CInt, path: String) throws {
        guard retry({ fsync(descriptor) }) != 0 else { return }
        let code = errno
        // Some file systems and all devices do not offer fsync; they have nothing to wait for.
        if code == EINVAL || code == ENOTSUP || code == EROFS { return }
        if StorageError.meansNoSpace(code) {
            let byteCount = (try? regularFileByteCount(descriptor, path: path)) ?? 0
            throw StorageError.noSpace(path: path, byteOffset: byteCount, code: code)
        }
        throw StorageError.fromErrno(code, action: "flush to disk", path: path)
    }

    /// Waits until a file or a folder's list of names is on the disk.
    static func synchronise(path: String) throws {
        let descriptor = retry { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else {
            // A folder may permit changing its names but not listing them; then there is no way to wait.
            if errno == EACCES { return }
            throw StorageError.fromErrno(errno, action: "open", path: path)
        }
        defer { _ = close(descriptor) }
        try synchronise(descriptor, path: path)
    }

    /// Takes an exclusive lock that ends with the descriptor; false if another holds it.
    static func lock(_ descriptor: CInt) -> Bool {
        // File systems without locks report other errors: there, nothing protects and nothing refuses.
        retry { flock(descriptor, LOCK_EX | LOCK_NB) } == 0 || errno != EWOULDBLOCK
    }

    private static func kind(of status: stat) -> Kind {
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .folder
        case S_IFLNK: return .link
        default: return .other
        }
    }
}
