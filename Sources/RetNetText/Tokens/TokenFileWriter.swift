import RetNetStorage

/// Writes a token file from front to back.
final class TokenFileWriter: TokenSink {
    let width: TokenWidth
    private let sink: FileSink
    private let identity: String
    private let vocabularySize: Int
    private let sourceSignature: UInt32
    private var dataByteCount = 0
    private var dataChecksum: UInt32 = 0
    private var lead: [UInt8] = []
    private var starts: [UInt64] = [0]

    private init(sink: FileSink, tokenizer: any Tokenizer, sourceSignature: UInt32) throws {
        self.sink = sink
        self.sourceSignature = sourceSignature
        identity = tokenizer.identity
        vocabularySize = tokenizer.vocabularySize
        width = TokenWidth(vocabularySize: vocabularySize)
        lead = TokenFile.magic
        Self.append(TokenFile.version, to: &lead)
        Self.append(UInt32(width.rawValue), to: &lead)
        Self.append(UInt32(0), to: &lead)
        try lead.withUnsafeBytes { try sink.write($0) }
    }

    /// Writes the file at `path` in one step with the tokens that `body` gives to the writer.
    static func write(
        to path: String, tokenizer: any Tokenizer, sourceSignature: UInt32 = 0,
        _ body: (TokenFileWriter) throws -> Void
    ) throws {
        let size = tokenizer.vocabularySize
        guard size > 0, size <= TokenFile.maximumVocabularySize else {
            throw TextError.invalidArgument(name: "tokenizer", reason: "its vocabulary has \(size) tokens")
        }
        guard tokenizer.identity.utf8.count <= TokenFile.maximumIdentityByteCount else {
            throw TextError.invalidArgument(name: "tokenizer", reason: "its identity is too long")
        }
        try AtomicFile.write(to: path) { sink in
            let writer = try TokenFileWriter(
                sink: sink, tokenizer: tokenizer, sourceSignature: sourceSignature)
            try body(writer)
            try writer.finish()
        }
    }

    private var tokenCount: Int { dataByteCount / width.rawValue }

    func append(_ tokens: [Int32]) throws {
        let bytes = try encode(
            tokens, vocabularySize: vocabularySize, path: sink.path, firstIndex: tokenCount)
        try bytes.withUnsafeBytes { try append(encoded: $0) }
    }

    func append(encoded bytes: UnsafeRawBufferPointer) throws {
        try sink.write(bytes)
        dataChecksum = Checksum.crc32(bytes, continuing: dataChecksum)
        dataByteCount += bytes.count
    }

    func endDocument() {
        let count = UInt64(tokenCount)
        if count > starts[starts.count - 1] { starts.append(count) }
    }

    private func finish() throws {
        endDocument()
        guard tokenCount > 0 else { throw TextError.emptyCorpus(paths: [sink.path]) }
        var table: [UInt8] = []
        for start in starts.dropLast() { Self.append(start, to: &table) }
        table.append(contentsOf: identity.utf8)
        var trailer: [UInt8] = []
        Self.append(UInt64(tokenCount), to: &trailer)
        Self.append(UInt64(starts.count - 1), to: &trailer)
        Self.append(UInt64(vocabularySize), to: &trailer)
        Self.append(UInt32(identity.utf8.count), to: &trailer)
        Self.append(dataChecksum, to: &trailer)
        Self.append(table.withUnsafeBytes { Checksum.crc32($0) }, to: &trailer)
        Self.append(sourceSignature, to: &trailer)
        Self.append(UInt64(0), to: &trailer)
        Self.append(UInt64(0), to: &trailer)
        let leadChecksum = lead.withUnsafeBytes { Checksum.crc32($0) }
        Self.append(
            trailer.withUnsafeBytes { Checksum.crc32($0, continuing: leadChecksum) }, to: &trailer)
        trailer += TokenFile.endMagic
        let padding = [UInt8](repeating: 0, count: (8 - dataByteCount % 8) % 8)
        for part in [padding, table, trailer] { try part.withUnsafeBytes { try sink.write($0) } }
    }

    private static func append<Number: FixedWidthInteger>(_ number: Number, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
