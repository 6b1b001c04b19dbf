/// Cuts the text of a file that comes in pieces into documents.
final class DocumentSplitter {
    private let consumer: any DocumentConsumer
    private let mode: Mode
    private var isAtDocumentStart = true
    /// Bytes whose fate the next piece decides.
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

    func feed(_ bytes: UnsafeRawBufferPointer) throws {
        switch mode {
        case .wholeFile: try consumer.consume(bytes)
        case .text(let separator): try feed(bytes, separator: separator)
        case .blankLines(let count): try feed(bytes, blankLineCount: count)
        }
    }

    /// The file is at its end; the splitter is then ready for another.
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
        // The tail may begin a separator, and line ends before that would be dropped.
        var keep = max(start, buffer.count - (separator.count - 1))
        while keep > start, Self.isLineEnd(buffer[keep - 1]) { keep -= 1 }
        try emitLeading(buffer[start..<keep])
        held = Array(buffer[keep...])
    }

    private func feed(_ bytes: UnsafeRawBufferPointer, blankLineCount: Int) throws {
        var textStart = 0
        var index = 0
        // Between calls, `held` is the white space after the last text; inside, it may also lie in `bytes`.
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

    /// Text follows the white space held: passes it on, or ends the document where it is a separation.
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
