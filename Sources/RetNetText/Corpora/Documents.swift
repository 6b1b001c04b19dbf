import RetNetStorage

/// The separator of documents in a text file.
///
/// Its text form is `file`, `blank_lines:N` or `text:SEPARATOR`.
public enum DocumentSeparator: Hashable, Sendable, LosslessStringConvertible {
    /// No separator: one file is one document, byte for byte.
    case wholeFile
    /// A text, for example `<|endoftext|>`; line ends before and after it are dropped.
    case text(String)
    /// At least this many blank lines (one or more) in a row.
    ///
    /// Lines of only spaces, tabs or a carriage return count as blank. White space at the end of each document
    /// and blank lines before it are dropped.
    case blankLines(Int)

    /// Reads the text form; `nil` if it is malformed.
    public init?(_ description: String) {
        if description == "file" {
            self = .wholeFile
        } else if let text = description.dropping(exactPrefix: "text:"), !text.isEmpty {
            self = .text(text)
        } else if description.hasPrefix("blank_lines:"), let count = Int(description.dropFirst(12)), count > 0
        {
            self = .blankLines(count)
        } else {
            return nil
        }
    }

    /// The text form.
    public var description: String {
        switch self {
        case .wholeFile: "file"
        case .text(let text): "text:" + text
        case .blankLines(let count): "blank_lines:\(count)"
        }
    }

    /// The form in the signatures of caches, which must not change.
    var identity: String {
        switch self {
        case .wholeFile: "file"
        case .text(let text): "text:\(text)"
        case .blankLines(let count): "blank:\(count)"
        }
    }

    /// Throws `TextError.invalidArgument` for an empty text or fewer than one blank line.
    func validate() throws {
        switch self {
        case .wholeFile: break
        case .text(let text):
            if text.isEmpty {
                throw TextError.invalidArgument(
                    name: "separator", reason: "the text is empty; give at least one character")
            }
        case .blankLines(let count):
            if count < 1 {
                throw TextError.invalidArgument(
                    name: "separator", reason: "\(count) blank lines are too few; use 1 or more")
            }
        }
    }
}

/// A consumer of the text of documents, piece by piece.
protocol DocumentConsumer: AnyObject {
    /// Takes the next piece of the document, which is valid only during the call.
    func consume(_ bytes: UnsafeRawBufferPointer) throws
    /// Ends the document; without text since the last end, there is none.
    func endDocument() throws
}

/// A splitter of the text of a file, which comes in pieces, into documents.
final class DocumentSplitter {
    private let consumer: any DocumentConsumer
    private let mode: Mode
    private var isAtDocumentStart = true
    /// Bytes that the next piece decides about: the possible start of a separator.
    private var held: [UInt8] = []

    private enum Mode {
        case wholeFile
        case text([UInt8])
        case blankLines(Int)
    }

    init(separator: DocumentSeparator, consumer: any DocumentConsumer) {
        self.consumer = consumer
        mode =
            switch separator {
            case .wholeFile: .wholeFile
            case .text(let text): .text(Array(text.utf8))
            case .blankLines(let count): .blankLines(count)
            }
    }

    /// Takes the next piece of the file.
    func feed(_ bytes: UnsafeRawBufferPointer) throws {
        switch mode {
        case .wholeFile: try consumer.consume(bytes)
        case .text(let separator): try feed(bytes, separator: separator)
        case .blankLines(let count): try feed(bytes, blankLineCount: count)
        }
    }

    /// Ends the last document of the file; the splitter is then ready for another file.
    func finish() throws {
        switch mode {
        case .wholeFile: break
        case .text: try emitTrimmed(held[...])
        case .blankLines: break
        }
        held = []
        try consumer.endDocument()
        isAtDocumentStart = true
    }

    private func feed(_ bytes: UnsafeRawBufferPointer, separator: [UInt8]) throws {
        var buffer = held
        buffer.append(contentsOf: bytes)
        var start = 0
        while let match = Self.find(separator, in: buffer, from: start) {
            try emitTrimmed(buffer[start..<match])
            try consumer.endDocument()
            isAtDocumentStart = true
            start = match + separator.count
        }
        // The tail may begin a separator, and line ends before a separator are dropped.
        var keep = max(start, buffer.count - (separator.count - 1))
        while keep > start, Self.isLineEnd(buffer[keep - 1]) { keep -= 1 }
        try emitLeading(buffer[start..<keep])
        held = Array(buffer[keep...])
    }

    private func feed(_ bytes: UnsafeRawBufferPointer, blankLineCount: Int) throws {
        var textStart = 0
        var index = 0
        // Between calls, `held` is the white space after the last text.
        while index < bytes.count {
            guard Self.isSpace(bytes[index]) else {
                index += 1
                continue
            }
            var spaceEnd = index
            var lineEndCount = 0
            while spaceEnd < bytes.count, Self.isSpace(bytes[spaceEnd]) {
                if bytes[spaceEnd] == 0x0A { lineEndCount += 1 }
                spaceEnd += 1
            }
            if index > textStart, spaceEnd < bytes.count, lineEndCount <= blankLineCount {
                // Space inside a document, by far the most frequent case: part of the text.
                index = spaceEnd
                continue
            }
            try emit(bytes, textStart..<index)
            held.append(contentsOf: bytes[index..<spaceEnd])
            if spaceEnd < bytes.count { try settleSpace(blankLineCount) }
            (textStart, index) = (spaceEnd, spaceEnd)
        }
        try emit(bytes, textStart..<bytes.count)

        func emit(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws {
            guard !range.isEmpty else { return }
            if !held.isEmpty { try settleSpace(blankLineCount) }
            try consumer.consume(UnsafeRawBufferPointer(rebasing: bytes[range]))
            isAtDocumentStart = false
        }
    }

    /// Ends the document if the held white space, now followed by text, separates; otherwise passes it on.
    private func settleSpace(_ blankLineCount: Int) throws {
        defer { held.removeAll(keepingCapacity: true) }
        let lineEndCount = held.reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) }
        let separates = lineEndCount > blankLineCount
        if separates, !isAtDocumentStart { try consumer.endDocument() }
        if separates || isAtDocumentStart {
            // What remains of the white space is the indentation of the first line.
            let indentation = held.lastIndex(of: 0x0A).map { held[($0 + 1)...] } ?? held[...]
            try pass(indentation)
        } else {
            try pass(held[...])
        }
        isAtDocumentStart = false
    }

    private func emitTrimmed(_ bytes: ArraySlice<UInt8>) throws {
        var rest = bytes
        while let last = rest.last, Self.isLineEnd(last) { rest.removeLast() }
        try emitLeading(rest)
    }

    private func emitLeading(_ bytes: ArraySlice<UInt8>) throws {
        var rest = bytes
        if isAtDocumentStart { rest = rest.drop { Self.isLineEnd($0) } }
        guard !rest.isEmpty else { return }
        isAtDocumentStart = false
        try pass(rest)
    }

    private func pass(_ bytes: ArraySlice<UInt8>) throws {
        guard !bytes.isEmpty else { return }
        try bytes.withUnsafeBytes { try consumer.consume($0) }
    }

    private static func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }
    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard let first = needle.first, bytes.count - start >= needle.count else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            var index = start
            let last = bytes.count - needle.count
            while index <= last {
                if bytes[index] == first, bytes[index..<(index + needle.count)].elementsEqual(needle) {
                    return index
                }
                index += 1
            }
            return nil
        }
    }
}
