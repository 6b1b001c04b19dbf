import CRetNetZlib

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Expands compressed data that comes in pieces.
final class Inflater {
    private static let bufferByteCount = 1 << 18
    // zlib counts a call's input in 32 bits.
    private static let maximumPieceByteCount = 1 << 30
    private let format: CompressionFormat
    private let maximumByteCount: Int?
    private let path: String
    // On the heap because zlib remembers the address.
    private let stream: UnsafeMutablePointer<z_stream>
    private let buffer: UnsafeMutablePointer<UInt8>
    private var state = State.inMember
    private var inputByteCount = 0
    private var outputByteCount = 0

    private enum State {
        case inMember
        case afterMember
        case inPadding
    }

    init(format: CompressionFormat, maximumByteCount: Int?, path: String) throws {
        self.format = format
        self.maximumByteCount = maximumByteCount
        self.path = path
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        buffer = .allocate(capacity: Self.bufferByteCount)
        let code = inflateInit2_(
            stream, format.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else {
            throw StorageError.system(action: "prepare to expand", path: path, code: ENOMEM)
        }
    }

    deinit {
        // Harmless where the initialiser failed: zlib then finds no state.
        inflateEnd(stream)
        stream.deallocate()
        buffer.deallocate()
    }

    /// Takes a piece and hands what it expands to over to `consume`.
    func feed(
        _ bytes: UnsafeRawBufferPointer, _ consume: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch state {
            case .inMember:
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.maximumPieceByteCount))
                let used = try expand(piece, consume)
                rest = rest.dropFirst(used)
                inputByteCount += used
            case .afterMember where format == .gzip && rest.first == 0x1F:
                inflateReset(stream)
                state = .inMember
            case .afterMember, .inPadding:
                let padding = rest.prefix { $0 == 0 }
                guard !padding.isEmpty, format == .gzip else {
                    throw StorageError.compressedDataCorrupt(
                        path: path, byteOffset: inputByteCount,
                        reason: "something else follows the compressed data")
                }
                state = .inPadding
                rest = rest.dropFirst(padding.count)
                inputByteCount += padding.count
            }
        }
    }

    /// Makes sure that the data was whole.
    func finish() throws {
        guard state != .inMember else {
            throw StorageError.compressedDataTruncated(path: path, byteOffset: inputByteCount)
        }
    }

    /// Expands a piece up to its end or that of the member, and returns how many bytes were used.
    private func expand(
        _ piece: UnsafeRawBufferPointer, _ consume: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Int {
        let input = piece.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input)
        stream.pointee.avail_in = uInt(piece.count)
        defer {
            stream.pointee.next_in = nil
            stream.pointee.avail_in = 0
        }
        while true {
            stream.pointee.next_out = buffer
            stream.pointee.avail_out = uInt(Self.bufferByteCount)
            let code = CRetNetZlib.inflate(stream, Z_NO_FLUSH)
            let used = piece.count - Int(stream.pointee.avail_in)
            guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else {
                throw failure(code, byteOffset: inputByteCount + used)
            }
            try handOver(Self.bufferByteCount - Int(stream.pointee.avail_out), consume)
            if code == Z_STREAM_END {
                state = .afterMember
                return used
            }
            // A full buffer may hide more output although all input is used.
            if stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 { return used }
        }
    }

    private func handOver(
        _ byteCount: Int, _ consume: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard byteCount > 0 else { return }
        outputByteCount += byteCount
        if let maximumByteCount, outputByteCount > maximumByteCount {
            throw StorageError.decompressedTooLarge(path: path, maximumByteCount: maximumByteCount)
        }
        try consume(UnsafeRawBufferPointer(start: buffer, count: byteCount))
    }

    private func failure(_ code: Int32, byteOffset: Int) -> StorageError {
        if code == Z_MEM_ERROR { return .system(action: "expand", path: path, code: ENOMEM) }
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "zlib reports error \(code)"
        return .compressedDataCorrupt(path: path, byteOffset: byteOffset, reason: reason)
    }
}
