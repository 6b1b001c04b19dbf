import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Reads a regular file piece by piece through one buffer.
final class FileSource {
    private static let bufferByteCount = 1 << 18
    let path: String
    private let descriptor: CInt
    private let buffer: UnsafeMutableRawBufferPointer

    init(path: String) throws {
        let descriptor = try Posix.openForReading(path)
        do {
            _ = try Posix.regularFileByteCount(descriptor, path: path)
        } catch {
            _ = close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 16)
    }

    deinit {
        buffer.deallocate()
        _ = close(descriptor)
    }

    /// The next piece, valid until the next call, or `nil` at the end of the file.
    func next() throws -> UnsafeRawBufferPointer? {
        let count = Posix.retry { read(descriptor, buffer.baseAddress, buffer.count) }
        guard count >= 0 else { throw StorageError.fromErrno(errno, action: "read", path: path) }
        return count == 0 ? nil : UnsafeRawBufferPointer(rebasing: buffer[..<count])
    }
}
