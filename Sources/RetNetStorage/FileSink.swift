import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file being written from front to back, with running size and checksum.
///
/// Obtained from `AtomicFile.write`; valid only inside that call's closure.
public final class FileSink {
    private static let bufferByteCount = 1 << 18
    /// The path of the file that will hold the bytes in the end.
    public let path: String
    /// The number of bytes written so far.
    public private(set) var byteCount = 0
    /// The CRC-32 of the bytes written so far.
    public private(set) var crc32: UInt32 = 0
    private let descriptor: CInt
    private let buffer: UnsafeMutableRawBufferPointer
    private var bufferedByteCount = 0
    private var flushedByteCount = 0
    private var failure: (any Error)?
    private var isFinished = false

    /// Writes through `descriptor`, which the caller keeps and closes; `path` is for messages.
    init(descriptor: CInt, path: String) {
        self.descriptor = descriptor
        self.path = path
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 16)
    }

    deinit {
        buffer.deallocate()
    }

    /// Appends bytes; throws `StorageError.noSpace` and the like, possibly on a later call.
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

    /// Sends what is buffered and refuses further writing; an earlier failure is thrown again.
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
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest)
            let count = Posix.retry { systemWrite(descriptor, piece.baseAddress, piece.count) }
            guard count > 0 else {
                let error = writeError(count == 0 ? nil : errno)
                // Kept so that a closure which swallows the error cannot make a partial file pass for whole.
                failure = error
                throw error
            }
            flushedByteCount += count
            rest = rest.dropFirst(count)
        }
    }

    private func writeError(_ code: Int32?) -> StorageError {
        guard let code else { return .shortWrite(path: path, byteOffset: flushedByteCount) }
        if StorageError.meansNoSpace(code) {
            return .noSpace(path: path, byteOffset: flushedByteCount, code: code)
        }
        return .fromErrno(code, action: "write", path: path)
    }
}

/// The system's `write`, under a name that the methods of `FileSink` do not hide.
private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ byteCount: Int) -> Int {
    write(descriptor, bytes, byteCount)
}
