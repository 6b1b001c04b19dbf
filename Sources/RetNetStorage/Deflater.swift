import CRetNetZlib
import Foundation

/// Compresses whole data.
enum Deflater {
    private static let bufferByteCount = 1 << 18
    // zlib counts a call's input in 32 bits.
    private static let maximumPieceByteCount = 1 << 30

    static func compress(_ data: Data, format: CompressionFormat) -> Data {
        // zlib can fail only for want of memory; storing uncompressed needs none of its own.
        deflated(data, format: format) ?? stored(data, format: format)
    }

    /// The data in blocks that are not compressed, valid in the given format.
    static func stored(_ data: Data, format: CompressionFormat) -> Data {
        var result: Data
        switch format {
        case .gzip: result = Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])
        case .zlib: result = Data([0x78, 0x01])
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
            // Without bytes zlib answers the initial value, which is right for empty data too.
            appendInteger(UInt32(truncatingIfNeeded: checksum).bigEndian, to: &result)
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
