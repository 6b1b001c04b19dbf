#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension Posix {
    /// The names in a folder, sorted, without "." and "..".
    static func names(in folder: String) throws -> [String] {
        try check(folder)
        guard let stream = opendir(folder) else {
            if errno == ENOTDIR { throw StorageError.notFolder(path: folder) }
            throw StorageError.fromErrno(errno, action: "open", path: folder)
        }
        defer { _ = closedir(stream) }
        let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            // Not through a copy: the system gives only as many bytes as the name has.
            let name = UnsafeRawPointer(entry).advanced(by: nameOffset).assumingMemoryBound(to: CChar.self)
            names.append(String(cString: name))
        }
        guard errno == 0 else { throw StorageError.fromErrno(errno, action: "list", path: folder) }
        return names.filter { $0 != "." && $0 != ".." }.sorted()
    }

    /// Removes a file, or a folder with all it holds; links are removed, not followed.
    static func removeTree(_ path: String) throws {
        switch try kind(of: path, followingLinks: false) {
        case nil:
            return
        case .folder:
            for name in try names(in: path) { try removeTree(path + "/" + name) }
            guard rmdir(path) == 0 || errno == ENOENT else {
                throw StorageError.fromErrno(errno, action: "remove", path: path)
            }
        case .file, .link, .other:
            try removeFileIfPresent(path)
        }
    }

    /// Removes a file or link; nothing happens if there is none.
    static func removeFileIfPresent(_ path: String) throws {
        try check(path)
        guard unlink(path) == 0 || errno == ENOENT else {
            throw StorageError.fromErrno(errno, action: "remove", path: path)
        }
    }

    /// When `path` was last changed, in nanoseconds since 1970, or 0 if it cannot be examined.
    static func modificationTime(of path: String) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        #if canImport(Darwin)
            let time = status.st_mtimespec
        #else
            let time = status.st_mtim
        #endif
        let (nanoseconds, overflows) = Int(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflows ? 0 : nanoseconds &+ Int(time.tv_nsec)
    }
}
