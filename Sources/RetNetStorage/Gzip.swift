import CRetNetZlib
import Foundation
import SystemPackage

/// Compression in the gzip (RFC 1952) and zlib (RFC 1950) formats.
public enum Gzip {
    /// Returns true if the bytes begin with the signature of gzip data.
    public static func isGzip(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
    }

    /// Returns true if the data begins with the signature of gzip data.
    public static func isGzip(_ data: Data) -> Bool {
        data.withUnsafeBytes { isGzip($0) }
    }

    /// Returns true if the file begins with the signature of gzip data; throws `StorageError`.
    public static func isGzip(file path: String) throws -> Bool {
        let source = try FileSource(path: path)
        guard let bytes = try source.next() else { return false }
        return isGzip(bytes)
    }

    /// Decompresses all members of a gzip file in pieces.
    ///
    /// Each piece is valid only during the call of `consume`, which precedes the check of the checksum at
    /// the end of the member: use the result only after this function returns. Zero bytes after
    /// the last member are ignored. Throws `StorageError` if the file is unreadable, corrupt or truncated, or
    /// expands to more than `maximumByteCount` bytes.
    public static func decompress(
        file path: String, maximumByteCount: Int? = nil, _ consume: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let source = try FileSource(path: path)
        let inflater = try Inflater(format: .gzip, maximumByteCount: maximumByteCount, path: path)
        while let piece = try source.next() { try inflater.feed(piece, consume) }
        try inflater.finish()
    }

    /// Decompresses the content of a gzip file in pieces.
    ///
    /// `path` appears in errors, which are those of the decompression of files.
    public static func decompress(
        _ bytes: UnsafeRawBufferPointer, of path: String, maximumByteCount: Int? = nil,
        _ consume: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let inflater = try Inflater(format: .gzip, maximumByteCount: maximumByteCount, path: path)
        try inflater.feed(bytes, consume)
        try inflater.finish()
    }

    /// Decompresses gzip data in memory; throws like the decompression of files.
    public static func decompress(_ data: Data, maximumByteCount: Int? = nil) throws -> Data {
        try expand(data, format: .gzip, maximumByteCount: maximumByteCount)
    }

    /// Compresses data to one gzip member without name and time, so that equal data gives equal bytes.
    public static func compress(_ data: Data) -> Data {
        Deflater.compress(data, format: .gzip)
    }

    /// Compresses data in the zlib format, which PNG uses.
    public static func deflate(_ data: Data) -> Data {
        Deflater.compress(data, format: .zlib)
    }

    /// Decompresses data in the zlib format; throws like the decompression of files.
    public static func inflate(_ data: Data, maximumByteCount: Int? = nil) throws -> Data {
        try expand(data, format: .zlib, maximumByteCount: maximumByteCount)
    }

    private static func expand(
        _ data: Data, format: CompressionFormat, maximumByteCount: Int?
    ) throws -> Data {
        let inflater = try Inflater(
            format: format, maximumByteCount: maximumByteCount, path: "compressed data")
        var result = Data()
        try data.withUnsafeBytes { bytes in
            try inflater.feed(bytes) { result.append(contentsOf: $0) }
        }
        try inflater.finish()
        return result
    }
}

/// The container format of deflated data.
enum CompressionFormat {
    case gzip
    case zlib
    /// Without header and checksum, as in zip archives.
    case raw

    /// Value of zlib's `windowBits` for the format with the largest window.
    var windowBits: Int32 {
        switch self {
        case .gzip: return 16 + 15
        case .zlib: return 15
        case .raw: return -15
        }
    }
}

/// Compression of data in memory.
enum Deflater {
    private static let bufferByteCount = 1 << 18
    // zlib counts a call's input in 32 bits.
    private static let maximumPieceByteCount = 1 << 30

    static func compress(_ data: Data, format: CompressionFormat) -> Data {
        // zlib fails only without memory; uncompressed blocks need none of zlib's.
        deflated(data, format: format) ?? stored(data, format: format)
    }

    /// Returns the data in uncompressed blocks of the given format.
    static func stored(_ data: Data, format: CompressionFormat) -> Data {
        var result: Data
        switch format {
        case .gzip: result = Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])
        case .zlib: result = Data([0x78, 0x01])
        case .raw: result = Data()
        }
        var rest = data[...]
        repeat {
            let block = rest.prefix(0xFFFF)
            rest = rest.dropFirst(block.count)
            let count = UInt16(block.count)
            result.append(rest.isEmpty ? 1 : 0)
            result.append(contentsOf: [UInt8(truncatingIfNeeded: count), UInt8(count >> 8)])
            result.append(contentsOf: [UInt8(truncatingIfNeeded: ~count), UInt8(~count >> 8)])
            result.append(block)
        } while !rest.isEmpty
        switch format {
        case .gzip:
            appendInteger(Checksum.crc32(data).littleEndian, to: &result)
            appendInteger(UInt32(truncatingIfNeeded: data.count).littleEndian, to: &result)
        case .zlib:
            let checksum = data.withUnsafeBytes { bytes in
                adler32_z(1, bytes.baseAddress?.assumingMemoryBound(to: Bytef.self), z_size_t(bytes.count))
            }
            // Without bytes zlib returns the initial value, which is the checksum of empty data.
            appendInteger(UInt32(truncatingIfNeeded: checksum).bigEndian, to: &result)
        case .raw: break
        }
        return result
    }

    private static func deflated(_ data: Data, format: CompressionFormat) -> Data? {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        let code = deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, format.windowBits, 8, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { return nil }
        defer { deflateEnd(stream) }
        let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: bufferByteCount)
        defer { buffer.deallocate() }
        return data.withUnsafeBytes { bytes in
            var result = Data()
            var rest = bytes[...]
            repeat {
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(maximumPieceByteCount))
                rest = rest.dropFirst(piece.count)
                let flush = rest.isEmpty ? Z_FINISH : Z_NO_FLUSH
                guard run(stream, piece, flush: flush, buffer: buffer, into: &result) else { return nil }
            } while !rest.isEmpty
            return result
        }
    }

    private static func run(
        _ stream: UnsafeMutablePointer<z_stream>, _ piece: UnsafeRawBufferPointer, flush: Int32,
        buffer: UnsafeMutablePointer<UInt8>, into result: inout Data
    ) -> Bool {
        let input = piece.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input)
        stream.pointee.avail_in = uInt(piece.count)
        repeat {
            stream.pointee.next_out = buffer
            stream.pointee.avail_out = uInt(bufferByteCount)
            guard CRetNetZlib.deflate(stream, flush) != Z_STREAM_ERROR else { return false }
            result.append(buffer, count: bufferByteCount - Int(stream.pointee.avail_out))
        } while stream.pointee.avail_out == 0
        return true
    }

    private static func appendInteger(_ value: UInt32, to data: inout Data) {
        withUnsafeBytes(of: value) { data.append(contentsOf: $0) }
    }
}

/// Decompression of data in pieces.
final class Inflater {
    private static let bufferByteCount = 1 << 18
    // zlib counts a call's input in 32 bits.
    private static let maximumPieceByteCount = 1 << 30
    private let format: CompressionFormat
    private let maximumByteCount: Int?
    private let path: String
    // On the heap because zlib keeps the address.
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
            throw StorageError.system(action: "prepare to expand", path: path, code: Errno.noMemory.rawValue)
        }
    }

    deinit {
        // Without effect if the initializer failed: there is no state.
        inflateEnd(stream)
        stream.deallocate()
        buffer.deallocate()
    }

    /// Decompresses a piece and passes the result to `consume`.
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

    /// Checks that the data was complete.
    func finish() throws {
        guard state != .inMember else {
            throw StorageError.compressedDataTruncated(path: path, byteOffset: inputByteCount)
        }
    }

    /// Decompresses a piece up to its end or that of the member; returns the number of bytes used.
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
            // With a full buffer there may be more output although all input is used.
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
        if code == Z_MEM_ERROR { return .system(action: "expand", path: path, code: Errno.noMemory.rawValue) }
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "zlib reports error \(code)"
        return .compressedDataCorrupt(path: path, byteOffset: byteOffset, reason: reason)
    }
}
