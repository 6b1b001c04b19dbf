import RetNetStorage

/// A reader of text files, plain or compressed, that checks their UTF-8.
package enum TextFileReader {
    static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Reads a file in pieces, without its byte-order mark; throws `TextError.notUTF8` or `StorageError`.
    static func read(_ file: CorpusFile, _ consume: (UnsafeRawBufferPointer) throws -> Void) throws {
        var checker = Checker(path: file.path)
        try file.read { try checker.feed($0, consume) }
        try checker.finish(consume)
    }

    /// Returns the whole text of a file or pipe; throws `TextError.notUTF8` or `StorageError`.
    package static func text(of path: String) throws -> String {
        var bytes: [UInt8] = []
        try read(CorpusFile(path: path)) { bytes.append(contentsOf: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private struct Checker {
        let path: String
        var validator = UTF8Validator()
        /// The first bytes until there are enough to recognize a byte-order mark, then `nil`.
        var head: [UInt8]? = []

        init(path: String) {
            self.path = path
        }

        mutating func feed(
            _ bytes: UnsafeRawBufferPointer, _ consume: (UnsafeRawBufferPointer) throws -> Void
        ) throws {
            if let byteOffset = validator.feed(bytes) {
                throw TextError.notUTF8(path: path, byteOffset: byteOffset)
            }
            guard var start = head else { return try consume(bytes) }
            let used = min(byteOrderMark.count - start.count, bytes.count)
            start.append(contentsOf: bytes[..<used])
            head = start
            guard start.count == byteOrderMark.count else { return }
            head = nil
            if start != byteOrderMark { try start.withUnsafeBytes(consume) }
            try consume(UnsafeRawBufferPointer(rebasing: bytes[used...]))
        }

        mutating func finish(_ consume: (UnsafeRawBufferPointer) throws -> Void) throws {
            if let byteOffset = validator.finish() {
                throw TextError.notUTF8(path: path, byteOffset: byteOffset)
            }
            try head?.withUnsafeBytes(consume)
        }
    }
}
