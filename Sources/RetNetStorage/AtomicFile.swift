import Foundation
import RetNetSystem
import SystemPackage

/// Atomic writing of files: after a crash either the old or the new version is complete.
///
/// The bytes are written to a temporary file in the folder of the target, which is flushed to the disk and
/// then renamed to the target. On failure the temporary file is removed and the target is unchanged. Symbolic
/// links are followed. A device or pipe, such as `/dev/stdout`, cannot be replaced and is written directly.
public enum AtomicFile {
    /// Writes data to the file at `path`; throws `StorageError`.
    public static func write(_ data: Data, to path: String) throws {
        try write(to: path) { try $0.write(data) }
    }

    /// Writes the bytes that `body` passes to the sink to the file at `path`.
    ///
    /// Without `replacing`, a file that is there before or after `body` is kept and `StorageError.alreadyExists` is
    /// thrown. Throws `StorageError` or the error of `body`.
    public static func write(
        to path: String, replacing: Bool = true, _ body: (FileSink) throws -> Void
    ) throws {
        switch try FileAccess.kind(of: path) {
        case .folder:
            throw StorageError.isFolder(path: path)
        case .other:
            try writeDirectly(to: path, body)
        case .file where !replacing, .link where !replacing:
            throw StorageError.alreadyExists(path: path)
        case .file, .link, nil:
            try write(to: path, replacing: replacing, opening: createTemporary, body)
        }
    }

    /// Returns true while a process writes the file or the atomic folder at `path`.
    public static func isBeingWritten(_ path: String) throws -> Bool {
        let target = try TargetPath(path)
        guard try FileAccess.kind(of: target.folder) == .folder else { return false }
        return try FileAccess.names(in: target.folder).contains {
            target.isTemporary($0) && AtomicFolder.hasLivingWriter(target.sibling($0))
        }
    }

    /// Writes atomically with a temporary file opened by `opening`, which tests replace.
    static func write(
        to path: String, replacing: Bool = true,
        opening: (_ temporaryPath: String) throws -> FileDescriptor,
        _ body: (FileSink) throws -> Void
    ) throws {
        let target = try TargetPath(resolvingLinks(path))
        let temporary = target.newTemporaryPath()
        let descriptor = try opening(temporary)
        var isOpen = true
        var isMoved = false
        defer {
            if isOpen { try? descriptor.close() }
            if !isMoved { try? FileSystem.removeFile(temporary) }
        }
        // The lock marks the temporary file as having a living writer, see `AtomicFolder.removeLeftovers`.
        _ = descriptor.tryLock()
        if let permissions = FileAccess.permissions(of: target.path) {
            try? descriptor.setPermissions(permissions)
        }
        let byteCount = try fill(descriptor, path: path, body)
        try FileAccess.synchronize(descriptor, path: path)
        isOpen = false
        do {
            try descriptor.close()
        } catch let code as Errno where code != .interrupted {
            // Network file systems may report only now that there is no space.
            throw StorageError.meansNoSpace(code)
                ? StorageError.noSpace(path: path, byteOffset: byteCount, code: code.rawValue)
                : StorageError.failed("finish writing", path, code)
        } catch {}
        if replacing {
            try FileAccess.move(temporary, to: target.path)
        } else {
            try FileAccess.moveToFreeName(temporary, target.path)
        }
        isMoved = true
        try FileAccess.synchronize(path: target.folder)
    }

    private static func createTemporary(_ path: String) throws -> FileDescriptor {
        do {
            return try FileDescriptor.open(
                path, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o666))
        } catch let code as Errno {
            throw StorageError.system(action: "create the temporary file", path: path, code: code.rawValue)
        }
    }

    private static func writeDirectly(to path: String, _ body: (FileSink) throws -> Void) throws {
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(path, .writeOnly, options: [.closeOnExec])
        } catch let code as Errno {
            throw StorageError.failed("open", path, code)
        }
        defer { try? descriptor.close() }
        _ = try fill(descriptor, path: path, body)
    }

    /// Runs `body` with a sink and returns the number of bytes written.
    private static func fill(
        _ descriptor: FileDescriptor, path: String, _ body: (FileSink) throws -> Void
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

    /// Returns the file at the end of a chain of symbolic links, so that renaming does not replace the link.
    private static func resolvingLinks(_ path: String) throws -> String {
        guard try FileAccess.kind(of: path, followingLinks: false) == .link else { return path }
        return try FileAccess.typed("follow the link", path) { () throws(Errno) in
            try FileSystem.resolvedPath(of: path)
        }
    }
}

/// A file that is being written, with its size and checksum so far.
///
/// `AtomicFile.write` passes a sink to its closure; it is valid only inside the closure. A sink may also collect the bytes of
/// a file in memory.
public final class FileSink {
    private static let bufferByteCount = 1 << 18
    /// Path of the file that is replaced at the end.
    public let path: String
    /// Bytes written so far.
    public private(set) var byteCount = 0
    /// CRC-32 of the bytes written so far.
    public private(set) var crc32: UInt32 = 0
    /// Nil for a sink that collects.
    private let descriptor: FileDescriptor?
    private var collected = Data()
    private let buffer: UnsafeMutableRawBufferPointer
    private var bufferedByteCount = 0
    private var flushedByteCount = 0
    private var failure: (any Error)?
    private var isFinished = false

    /// Writes to `descriptor`, which the caller closes; `path` appears in errors.
    init(descriptor: FileDescriptor, path: String) {
        self.descriptor = descriptor
        self.path = path
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 16)
    }

    private init(collecting path: String) {
        descriptor = nil
        self.path = path
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 16)
    }

    deinit {
        buffer.deallocate()
    }

    /// Returns the bytes that `body` writes; `path` appears in errors.
    static func collect(path: String, _ body: (FileSink) throws -> Void) throws -> Data {
        let sink = FileSink(collecting: path)
        try body(sink)
        try sink.finish()
        return sink.collected
    }

    /// Appends bytes; throws `StorageError`, possibly only on a later call because of buffering.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        if let failure { throw failure }
        guard !isFinished else { throw StorageError.sinkClosed(path: path) }
        guard !bytes.isEmpty else { return }
        crc32 = Checksum.crc32(bytes, continuing: crc32)
        byteCount += bytes.count
        if bytes.count > buffer.count - bufferedByteCount {
            try flush()
            if bytes.count >= buffer.count {
                try send(bytes)
                return
            }
        }
        UnsafeMutableRawBufferPointer(rebasing: buffer[bufferedByteCount...]).copyMemory(from: bytes)
        bufferedByteCount += bytes.count
    }

    /// Appends data.
    public func write(_ data: Data) throws {
        try data.withUnsafeBytes { try write($0) }
    }

    /// Appends the UTF-8 bytes of a text.
    public func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes the buffered bytes and refuses further writing; throws an earlier failure again.
    func finish() throws {
        if let failure { throw failure }
        guard !isFinished else { return }
        isFinished = true
        try flush()
    }

    /// Refuses further writing, after a failure elsewhere.
    func abandon() {
        isFinished = true
    }

    private func flush() throws {
        guard bufferedByteCount > 0 else { return }
        let count = bufferedByteCount
        bufferedByteCount = 0
        try send(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }

    private func send(_ bytes: UnsafeRawBufferPointer) throws {
        guard let descriptor else {
            collected.append(contentsOf: bytes)
            return
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count: Int
            do {
                count = try descriptor.write(UnsafeRawBufferPointer(rebasing: rest))
                guard count > 0 else {
                    throw StorageError.shortWrite(path: path, byteOffset: flushedByteCount)
                }
            } catch {
                let typed = (error as? Errno).map(writeError) ?? error
                // Kept so that a closure that swallows the error cannot make a partial file look complete.
                failure = typed
                throw typed
            }
            flushedByteCount += count
            rest = rest.dropFirst(count)
        }
    }

    private func writeError(_ code: Errno) -> StorageError {
        StorageError.meansNoSpace(code)
            ? .noSpace(path: path, byteOffset: flushedByteCount, code: code.rawValue)
            : .failed("write", path, code)
    }
}
