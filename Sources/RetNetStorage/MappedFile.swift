import Foundation
import RetNetSystem
import SystemPackage

/// A file mapped read-only into memory.
///
/// Pages are read on first access, so opening takes the same time for every size. The file must not be
/// truncated while it is mapped; replacing it by renaming, as `AtomicFile` does, is safe.
public final class MappedFile: @unchecked Sendable {
    // Sendable: stored values are constant, and pages are written by nobody, or by the one who was lent them for it.
    /// Path as given.
    public let path: String
    /// True for a copy of what came from a pipe or device, which cannot be read again.
    public let isCopy: Bool
    /// True if the bytes may be written without an effect on the file.
    public let copiesOnWrite: Bool
    private let bytes: UnsafeRawBufferPointer
    private var isMapped = true

    /// Maps the regular file at `path`, which may be empty; throws `StorageError`.
    ///
    /// With `copiesOnWrite`, whoever has the bytes may write them, which copies their pages and leaves the file as it is.
    public init(path: String, copiesOnWrite: Bool = false) throws {
        let descriptor = try FileAccess.openForReading(path)
        defer { try? descriptor.close() }
        let byteCount = try FileAccess.regularFileByteCount(descriptor, path: path)
        self.path = path
        isCopy = false
        self.copiesOnWrite = copiesOnWrite
        bytes = try Self.map(
            descriptor, byteCount: byteCount, path: path, copiesOnWrite: copiesOnWrite)
    }

    /// Maps the regular file at `path`, or the bytes of a pipe or device up to their end; throws `StorageError`.
    ///
    /// Waits for the writer of a pipe. What it writes is copied to a temporary file without a name, so that it may be
    /// larger than the memory.
    public init(reading path: String) throws {
        let isFile = try FileAccess.kind(of: path) != .other
        let source = try isFile ? nil : FileSource(pipe: path)
        let descriptor = try source?.copy() ?? FileAccess.openForReading(path)
        defer { try? descriptor.close() }
        let byteCount = try FileAccess.regularFileByteCount(descriptor, path: path)
        self.path = path
        isCopy = source != nil
        copiesOnWrite = false
        bytes = try Self.map(descriptor, byteCount: byteCount, path: path)
    }

    /// Copies bytes that are in memory already; `path` appears in errors.
    init(copying data: Data, path: String) {
        self.path = path
        isCopy = true
        copiesOnWrite = false
        isMapped = false
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: data.count, alignment: 64)
        data.copyBytes(to: memory)
        bytes = UnsafeRawBufferPointer(memory)
    }

    private static func map(
        _ descriptor: FileDescriptor, byteCount: Int, path: String, copiesOnWrite: Bool = false
    ) throws -> UnsafeRawBufferPointer {
        guard byteCount > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return try FileAccess.typed("map", path) { () throws(Errno) in
            try descriptor.map(byteCount: byteCount, copiesOnWrite: copiesOnWrite)
        }
    }

    deinit {
        if isMapped { FileDescriptor.unmap(bytes) } else { bytes.deallocate() }
    }

    /// Size of the file in bytes.
    public var byteCount: Int { bytes.count }

    /// Calls `body` with the bytes of the file, which are valid only during the call.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(bytes) }
    }
}

/// A reader of a file in pieces, through one buffer.
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

    /// Opens a pipe or device and waits for the writer of a pipe.
    init(pipe path: String) throws {
        try FileAccess.check(path)
        self.path = path
        do {
            descriptor = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
        } catch let code as Errno {
            throw StorageError.failed("open", path, code)
        }
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 16)
    }

    deinit {
        buffer.deallocate()
        try? descriptor.close()
    }

    /// Returns a new file without a name that holds everything up to the end.
    func copy() throws -> FileDescriptor {
        let copyPath = try TargetPath(NSTemporaryDirectory() + "/retnet-input").newTemporaryPath()
        let copy: FileDescriptor
        do {
            copy = try FileDescriptor.open(
                copyPath, .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite)
        } catch let code as Errno {
            throw StorageError.failed("create the temporary file", copyPath, code)
        }
        do {
            try FileAccess.removeFileIfPresent(copyPath)
            let sink = FileSink(descriptor: copy, path: copyPath)
            while let piece = try next() { try sink.write(piece) }
            try sink.finish()
            return copy
        } catch {
            try? copy.close()
            throw error
        }
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
