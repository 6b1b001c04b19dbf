import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file which only grows; every write reaches the system at once.
struct AppendingFile: ~Copyable {
    let path: String
    private let descriptor: Int32

    /// Opens the file at `path`, creating it when it is missing.
    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw ReportingError.system("open", path: path) }
    }

    deinit {
        close(descriptor)
    }

    func append(_ data: Data) throws {
        try data.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let written = write(
                    descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
                if written < 0 {
                    if errno == EINTR { continue }
                    throw ReportingError.system("append to", path: path)
                }
                offset += written
            }
        }
    }

    /// Waits until everything written is on the storage device.
    func synchronize() throws {
        // Pipes and some special files cannot be synchronised, which is no loss.
        if fsync(descriptor) != 0 && errno != EINVAL && errno != EROFS {
            throw ReportingError.system("synchronise", path: path)
        }
    }
}
