#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension AtomicFolder {
    /// Undoes a replacement that a crash interrupted, and returns whether there was one.
    ///
    /// If nothing is at `path` but an old version was moved aside from it, that is put back, the newest
    /// complete one if there are several. Nothing is done while another process is writing the folder.
    /// Throws `StorageError`.
    @discardableResult
    public static func recover(_ path: String) throws -> Bool {
        let target = try TargetPath(path)
        guard try Posix.kind(of: target.path, followingLinks: false) == nil,
            try Posix.kind(of: target.folder) == .folder
        else { return false }
        let siblings = try Posix.names(in: target.folder)
        let asides = siblings.filter(target.isAside).map(target.sibling)
        guard !asides.isEmpty,
            !siblings.contains(where: { target.isTemporary($0) && hasLivingWriter(target.sibling($0)) })
        else { return false }
        let candidates = asides.map { aside in
            let list = aside + "/" + checksumsFileName
            return (path: aside, isComplete: isComplete(aside), time: Posix.modificationTime(of: list))
        }
        let best = candidates.max { ($0.isComplete ? 1 : 0, $0.time) < ($1.isComplete ? 1 : 0, $1.time) }
        guard let best else { return false }
        try Posix.move(best.path, to: target.path)
        try Posix.synchronise(path: target.folder)
        return true
    }

    /// Removes what crashes left beside `path`, files and folders, and returns the removed paths.
    ///
    /// First calls `recover(_:)`, so that the only whole version is never removed. Temporaries that a
    /// living process is writing are kept. Throws `StorageError`.
    @discardableResult
    public static func removeLeftovers(beside path: String) throws -> [String] {
        let target = try TargetPath(path)
        try recover(path)
        let isTargetPresent = try Posix.kind(of: target.path, followingLinks: false) != nil
        var removed: [String] = []
        for name in try Posix.names(in: target.folder) {
            let leftover = target.sibling(name)
            if target.isTemporary(name) {
                guard !hasLivingWriter(leftover) else { continue }
            } else {
                // An old version is superfluous only once there is something under the final name.
                guard target.isAside(name), isTargetPresent else { continue }
            }
            try Posix.removeTree(leftover)
            removed.append(leftover)
        }
        return removed
    }

    /// Whether another open descriptor holds the lock that writers take on their temporaries.
    private static func hasLivingWriter(_ path: String) -> Bool {
        let descriptor = Posix.retry { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { return false }
        defer { _ = close(descriptor) }
        return !Posix.lock(descriptor)
    }
}
