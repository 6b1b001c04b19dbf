#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The exclusive right to write a run folder; ends with the object or the process, however that ends.
final class RunLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock of a run folder; throws ``TrainingError/runInUse(path:)`` when another holds it.
    init(folder: RunFolder) throws {
        let path = folder.lockPath
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw TrainingError.fileOperation(
                "open the lock", path: path, reason: String(cString: strerror(errno)))
        }
        // File systems without locks report other errors: there, nothing protects and nothing refuses.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
            close(descriptor)
            throw TrainingError.runInUse(path: folder.path)
        }
    }

    deinit { close(descriptor) }
}
