import RetNetSystem
import SystemPackage

/// A file mapped read-only into memory.
///
/// Pages are read on first access, so opening takes the same time for every size. The file must not be
/// truncated while it is mapped; replacing it by renaming, as `AtomicFile` does, is safe.
public final class MappedFile: @unchecked Sendable {
    // Sendable: both stored values are constant and the pages are never written.
    /// Path as given.
    public let path: String
    private let bytes: UnsafeRawBufferPointer

    /// Maps the regular file at `path`, which may be empty; throws `StorageError`.
    public init(path: String) throws {
        let descriptor = try FileAccess.openForReading(path)
        defer { try? descriptor.close() }
        let byteCount = try FileAccess.regularFileByteCount(descriptor, path: path)
        self.path = path
        guard byteCount > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        bytes = try FileAccess.typed("map", path) { () throws(Errno) in
            try descriptor.map(byteCount: byteCount)
        }
    }

    deinit { FileDescriptor.unmap(bytes) }

    /// Size of the file in bytes.
    public var byteCount: Int { bytes.count }

    /// Calls `body` with the bytes of the file, which are valid only during the call.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(bytes) }
    }
}

/// A reader of a regular file in pieces, through one buffer.
final class FileSource {
    private static let bufferByteCount = 1 << 18
    let path: String
    private let descriptor: FileDescriptor
    private let buffer: UnsafeMutableRawBufferPointer

    init(path: String) throws {
        let descriptor = try FileAccess.openForReading(path)
        do {
            _ = try FileAccess.regularFileByteCount(descriptor, path: path)
        } catch {
            try? descriptor.close()
            throw error
        }
        self.path = path
        self.descriptor = descriptor
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 16)
    }

    deinit {
        buffer.deallocate()
        try? descriptor.close()
    }

    /// Returns the next piece, valid until the next call, or `nil` at the end of the file.
    func next() throws -> UnsafeRawBufferPointer? {
        do {
            let count = try descriptor.read(into: buffer)
            return count == 0 ? nil : UnsafeRawBufferPointer(rebasing: buffer[..<count])
        } catch let code as Errno {
            throw StorageError.failed("read", path, code)
        }
    }
}
