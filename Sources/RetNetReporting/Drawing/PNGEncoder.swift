import Foundation
import RetNetStorage

/// Writes PNG files with three eight-bit channels (ISO/IEC 15948).
enum PNGEncoder {
    private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// Encodes rows of red, green and blue bytes, from the top left pixel on.
    static func encode(width: Int, height: Int, rgb: [UInt8]) -> Data {
        var header = Data()
        header.appendBigEndian(UInt32(clamping: width))
        header.appendBigEndian(UInt32(clamping: height))
        // Bit depth 8, colour type 2 (RGB), and the only compression, filter and interlace methods.
        header.append(contentsOf: [8, 2, 0, 0, 0])
        var file = Data(signature)
        append(chunk: "IHDR", header, to: &file)
        append(chunk: "IDAT", Gzip.deflate(filtered(rgb, rowLength: width * 3)), to: &file)
        append(chunk: "IEND", Data(), to: &file)
        return file
    }

    /// Stores each row as its difference from the row above (filter type 2), which suits flat areas.
    private static func filtered(_ rgb: [UInt8], rowLength: Int) -> Data {
        guard rowLength > 0 else { return Data() }
        var bytes = [UInt8]()
        bytes.reserveCapacity(rgb.count + rgb.count / rowLength)
        for start in stride(from: 0, to: rgb.count, by: rowLength) {
            bytes.append(2)
            for index in start..<(start + rowLength) {
                bytes.append(index >= rowLength ? rgb[index] &- rgb[index - rowLength] : rgb[index])
            }
        }
        return Data(bytes)
    }

    private static func append(chunk type: String, _ body: Data, to file: inout Data) {
        file.appendBigEndian(UInt32(clamping: body.count))
        let checked = Data(type.utf8) + body
        file.append(checked)
        file.appendBigEndian(Checksum.crc32(checked))
    }
}
