/// Encodes the text of documents and hands the tokens to a sink.
final class DocumentEncoder: DocumentConsumer {
    /// Longer documents are encoded in pieces of this size, cut after a line where there is one.
    private let pieceByteCount: Int
    private let tokenizer: any Tokenizer
    private let sink: any TokenSink
    /// Whether tokens are the bytes themselves, so that nothing needs to be encoded.
    private let passesBytes: Bool
    private var pending: [UInt8] = []
    private var isEmpty = true

    init(tokenizer: any Tokenizer, sink: any TokenSink, pieceByteCount: Int = 1 << 22) {
        self.pieceByteCount = pieceByteCount
        self.tokenizer = tokenizer
        self.sink = sink
        passesBytes = tokenizer is ByteTokenizer && sink.width == .one
    }

    func consume(_ bytes: UnsafeRawBufferPointer) throws {
        guard !bytes.isEmpty else { return }
        isEmpty = false
        if passesBytes {
            try sink.append(encoded: bytes)
            return
        }
        pending.append(contentsOf: bytes)
        while pending.count >= pieceByteCount { try encode(cut(pending)) }
    }

    func endDocument() throws {
        guard !isEmpty else { return }
        try encode(pending.count)
        try sink.endDocument()
        isEmpty = true
    }

    private func encode(_ byteCount: Int) throws {
        guard byteCount > 0 else { return }
        let tokens = pending.withUnsafeBytes {
            tokenizer.encode(utf8: UnsafeRawBufferPointer(rebasing: $0[..<byteCount]))
        }
        pending.removeFirst(byteCount)
        try sink.append(tokens)
    }

    /// Where the first piece of a long text ends: a function of the text alone, not of how it was read.
    private func cut(_ bytes: [UInt8]) -> Int {
        let piece = bytes[..<pieceByteCount]
        if let lineEnd = piece.lastIndex(of: 0x0A) { return lineEnd + 1 }
        let lead = piece.lastIndex { $0 & 0xC0 != 0x80 } ?? 0
        return lead > 0 ? lead : pieceByteCount
    }
}
