extension Corpus {
    /// Returns the number of words of the text by the rule of lm-evaluation-harness; nil with token files, which have no text.
    ///
    /// It is the number of parts into which white space divides each document, `len(re.split(r"\s+", document))` in Python: white
    /// space at an end of a document makes an empty part there. Throws `TextError` or `StorageError`.
    public func wordCount() throws -> Int? {
        guard !files.contains(where: { $0.content == .tokens }) else { return nil }
        let counter = SpaceCounter()
        for file in files {
            let splitter = DocumentSplitter(separator: separator, consumer: counter)
            try TextFileReader.read(file) { try splitter.feed($0) }
            try splitter.finish()
        }
        return counter.count
    }
}

/// A consumer of documents that counts the parts between their white space.
private final class SpaceCounter: DocumentConsumer {
    private(set) var count = 0
    private var isEmpty = true
    private var follows = false
    /// The first bytes of a character that may be white space, and how many more it has.
    private var pending: UInt32 = 0
    private var missing = 0

    func consume(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        if isEmpty {
            isEmpty = false
            count += 1
        }
        for byte in bytes {
            if missing > 0 {
                pending = pending << 8 | UInt32(byte)
                missing -= 1
                if missing == 0 { add(Self.isWideSpace(pending)) }
            } else if byte < 0x80 {
                add(byte == 0x20 || (0x09...0x0D).contains(byte) || (0x1C...0x1F).contains(byte))
            } else if byte == 0xC2 || (0xE1...0xE3).contains(byte) {
                pending = UInt32(byte)
                missing = byte == 0xC2 ? 1 : 2
            } else {
                add(false)
            }
        }
    }

    func endDocument() {
        (isEmpty, follows, missing) = (true, false, 0)
    }

    /// Adds a character; a run of white space begins another part.
    private func add(_ isSpace: Bool) {
        if isSpace, !follows { count += 1 }
        follows = isSpace
    }

    /// Returns true for the UTF-8 bytes of U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
    private static func isWideSpace(_ bytes: UInt32) -> Bool {
        switch bytes {
        case 0xC285, 0xC2A0, 0xE19A80, 0xE28080...0xE2808A, 0xE280A8, 0xE280A9, 0xE280AF, 0xE2819F, 0xE38080:
            true
        default: false
        }
    }
}
