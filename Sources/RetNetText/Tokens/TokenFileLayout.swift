import RetNetStorage

/// What a token file says about itself, fully checked against the size of the file.
struct TokenFileLayout {
    let width: TokenWidth
    let tokenCount: Int
    let vocabularySize: Int
    let identity: String
    let dataChecksum: UInt32
    let sourceSignature: UInt32
    let bounds: [Int]

    init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
        func fail(_ byteOffset: Int, _ reason: String) -> TextError {
            .invalidTokenFile(path: path, byteOffset: byteOffset, reason: reason)
        }
        func number32(_ byteOffset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: byteOffset, as: UInt32.self))
        }
        func number64(_ byteOffset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: byteOffset, as: UInt64.self))
        }
        let lead = TokenFile.leadByteCount
        guard bytes.starts(with: TokenFile.magic) else {
            throw fail(0, "it does not begin with the mark of token files")
        }
        guard bytes.count >= lead + TokenFile.trailerByteCount else { throw fail(0, "it is truncated") }
        let trailer = bytes.count - TokenFile.trailerByteCount
        guard bytes[(bytes.count - 4)...].elementsEqual(TokenFile.endMagic) else {
            throw fail(bytes.count - 4, "the end mark is missing, so it is probably truncated")
        }
        guard number32(4) == TokenFile.version else {
            throw fail(4, "its version is \(number32(4)), only \(TokenFile.version) is known")
        }
        let leadChecksum = Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[..<lead]))
        let checksum = Checksum.crc32(
            UnsafeRawBufferPointer(rebasing: bytes[trailer..<(trailer + 56)]), continuing: leadChecksum)
        guard checksum == number32(trailer + 56) else {
            throw fail(trailer + 56, "the checksum of its header is wrong")
        }
        guard let width = TokenWidth(rawValue: Int(number32(8))) else {
            throw fail(8, "\(number32(8)) bytes per token are not 1, 2 or 4")
        }
        // From here on the sizes are what some writer meant; they must still fit the file.
        let available = UInt64(trailer - lead)
        let tokens = number64(trailer)
        let documents = number64(trailer + 8)
        let identityByteCount = UInt64(number32(trailer + 24))
        guard tokens > 0, tokens <= available / UInt64(width.rawValue) else {
            throw fail(trailer, "\(tokens) tokens do not fit the file")
        }
        guard documents > 0, documents <= tokens, documents <= available / 8 else {
            throw fail(trailer + 8, "\(documents) documents do not fit the file")
        }
        guard identityByteCount <= TokenFile.maximumIdentityByteCount else {
            throw fail(trailer + 24, "the name of the tokenizer is too long")
        }
        let dataByteCount = (tokens * UInt64(width.rawValue) + 7) / 8 * 8
        guard dataByteCount + documents * 8 + identityByteCount == available else {
            throw fail(trailer, "its parts do not add up to its size")
        }
        let vocabulary = number64(trailer + 16)
        guard vocabulary > 0, vocabulary <= UInt64(TokenFile.maximumVocabularySize) else {
            throw fail(trailer + 16, "a vocabulary of \(vocabulary) is not possible")
        }
        let table = lead + Int(dataByteCount)
        guard
            Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[table..<trailer])) == number32(trailer + 32)
        else { throw fail(table, "the checksum of its table of documents is wrong") }
        var bounds: [Int] = []
        bounds.reserveCapacity(Int(documents) + 1)
        for index in 0..<Int(documents) {
            let start = number64(table + 8 * index)
            let isInOrder = bounds.last.map { start > UInt64($0) } ?? (start == 0)
            guard isInOrder, start < tokens else {
                throw fail(table + 8 * index, "the starts of documents are out of order")
            }
            bounds.append(Int(start))
        }
        bounds.append(Int(tokens))
        let name = UnsafeRawBufferPointer(rebasing: bytes[(table + 8 * Int(documents))..<trailer])
        guard UTF8Validator.firstInvalidOffset(in: name) == nil else {
            throw fail(table + 8 * Int(documents), "the name of the tokenizer is not UTF-8")
        }
        self.width = width
        self.bounds = bounds
        tokenCount = Int(tokens)
        vocabularySize = Int(vocabulary)
        identity = String(decoding: name, as: UTF8.self)
        dataChecksum = number32(trailer + 28)
        sourceSignature = number32(trailer + 36)
    }
}
