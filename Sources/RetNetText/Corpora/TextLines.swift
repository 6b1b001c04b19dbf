import Foundation
import RetNetStorage

/// A reader of the lines of text files, for files with a record on each line.
package enum TextLines {
    /// The largest number of bytes of a line that is read into memory as a whole: 16 MiB.
    package static let maximumByteCount = 1 << 24

    /// A line with more bytes than a reader takes.
    package struct TooLong: Error {
        /// The number of the line, from 1.
        package let line: Int
        /// The reason to refuse it, with the remedy.
        package let reason: String
    }

    /// Calls `body` with each line that is not blank and with its number, which counts all lines from 1.
    ///
    /// The file is UTF-8 text, plain or compressed with gzip, by its first bytes, or a pipe; a byte-order mark is skipped.
    /// Only line feeds separate lines: texts may hold other separators. Blank lines hold nothing but spaces, tabs and
    /// carriage returns. Throws ``TooLong`` for a line of more than ``maximumByteCount`` bytes, `TextError` and
    /// `StorageError`.
    package static func read(
        _ path: String, _ body: (_ line: Data, _ number: Int) throws -> Void
    ) throws {
        var line = Data()
        var number = 1
        func append(_ bytes: UnsafeRawBufferPointer) throws {
            guard line.count + bytes.count <= maximumByteCount else {
                throw TooLong(
                    line: number,
                    reason: "it is longer than \(maximumByteCount) bytes; write one record on each line")
            }
            line.append(contentsOf: bytes)
        }
        func end() throws {
            let isBlank = line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if !isBlank { try body(line, number) }
            line.removeAll(keepingCapacity: true)
            number += 1
        }
        try TextFileReader.read(CorpusFile(path: path)) { bytes in
            var start = 0
            while let feed = bytes[start...].firstIndex(of: 0x0A) {
                try append(UnsafeRawBufferPointer(rebasing: bytes[start..<feed]))
                try end()
                start = feed + 1
            }
            try append(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        }
        try end()
    }
}
