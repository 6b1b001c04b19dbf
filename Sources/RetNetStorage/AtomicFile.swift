import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes files so that, whatever happens, either the whole old or the whole new one is there.
///
/// The bytes go to a temporary file beside the target, which is flushed to the disk and then renamed
/// onto it. On failure the temporary file is removed and the target is untouched. A symbolic link is
/// followed. A device or pipe, such as `/dev/stdout`, cannot be replaced and is written directly.
public enum AtomicFile {
    /// Writes data to the file at `path`; throws `StorageError`.
    public static func write(_ data: Data, to path: String) throws {
        try write(to: path) { try $0.write(data) }
    }

    /// Writes what `body` gives to the sink to the file at `path`; throws `StorageError` or body's error.
    public static func write(to path: String, _ body: (FileSink) throws -> Void) throws {
        switch try Posix.kind(of: path) {
        case .folder:
            throw StorageError.isFolder(path: path)
        case .other:
            try writeDirectly(to: path, body)
        case .file, .link, nil:
            try write(to: path, opening: createTemporary, body)
        }
    }

    /// Writes as above with the temporary file opened by `opening`, which tests replace.
    static func write(
        to path: String,
        opening: (_ temporaryPath: String) throws -> CInt,
        _ body: (FileSink) throws -> Void
    ) throws {
        let target = try TargetPath(resolvingLinks(path))
        let temporary = target.newTemporaryPath()
        let descriptor = try opening(temporary)
        var isOpen = true
        var isMoved = false
        defer {
            if isOpen { _ = close(descriptor) }
            if !isMoved { _ = unlink(temporary) }
        }
        // The lock tells `Leftovers` that the temporary file has a living writer.
        _ = Posix.lock(descriptor)
        if let permissions = Posix.permissions(of: target.path) { _ = fchmod(descriptor, permissions) }
        let byteCount = try fill(descriptor, path: path, body)
        try Posix.synchronise(descriptor, path: path)
        isOpen = false
        guard close(descriptor) == 0 || errno == EINTR else {
            // Network file systems may find only now that there is no room.
            let code = errno
            throw StorageError.meansNoSpace(code)
                ? StorageError.noSpace(path: path, byteOffset: byteCount, code: code)
                : StorageError.fromErrno(code, action: "finish writing", path: path)
        }
        try Posix.move(temporary, to: target.path)
        isMoved = true
        try Posix.synchronise(path: target.folder)
    }

    private static func createTemporary(_ path: String) throws -> CInt {
        let descriptor = Posix.retry { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
        guard descriptor >= 0 else {
            throw StorageError.system(action: "create the temporary file", path: path, code: errno)
        }
        return descriptor
    }

    private static func writeDirectly(to path: String, _ body: (FileSink) throws -> Void) throws {
        let descriptor = Posix.retry { open(path, O_WRONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw StorageError.fromErrno(errno, action: "open", path: path) }
        defer { _ = close(descriptor) }
        _ = try fill(descriptor, path: path, body)
    }

    /// Runs `body` with a sink and returns how many bytes it wrote.
    private static func fill(
        _ descriptor: CInt, path: String, _ body: (FileSink) throws -> Void
    ) throws -> Int {
        let sink = FileSink(descriptor: descriptor, path: path)
        do {
            try body(sink)
        } catch {
            sink.abandon()
            throw error
        }
        try sink.finish()
        return sink.byteCount
    }

    /// The file that a chain of symbolic links leads to, so that renaming does not replace the link.
    private static func resolvingLinks(_ path: String) throws -> String {
        guard try Posix.kind(of: path, followingLinks: false) == .link else { return path }
        guard let resolved = realpath(path, nil) else {
            throw StorageError.fromErrno(errno, action: "follow the link", path: path)
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
