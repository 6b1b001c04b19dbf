import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A whole file mapped read-only into memory.
///
/// Pages are read when first touched, so opening is cheap whatever the size. The file must not be
/// truncated by anybody while it is mapped; replacing it by renaming, as `AtomicFile` does, is safe.
public final class MappedFile: @unchecked Sendable {
    // Sendable: both stored values are constant and the pages are never written.
    /// The path as given.
    public let path: String
    private let bytes: UnsafeRawBufferPointer

    /// Maps the regular file at `path`, which may be empty; throws `StorageError`.
    public init(path: String) throws {
        let descriptor = try Posix.openForReading(path)
        defer { _ = close(descriptor) }
        let byteCount = try Posix.regularFileByteCount(descriptor, path: path)
        self.path = path
        guard byteCount > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw StorageError.fromErrno(errno, action: "map", path: path)
        }
        bytes = UnsafeRawBufferPointer(start: address, count: byteCount)
    }

    deinit {
        if let address = bytes.baseAddress {
            _ = munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
        }
    }

    /// The size of the file in bytes.
    public var byteCount: Int { bytes.count }

    /// Calls `body` with the file's bytes, which are valid only during the call.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(bytes) }
    }
}
