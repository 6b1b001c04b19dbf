/// The tokenizer whose tokens are the 256 byte values.
///
/// The special tokens are byte values that never occur in UTF-8 text: `<bos>` is 255, `<eos>` is 254 and
/// `<pad>` is 253. Of the other such values, 0xC0, 0xC1, 0xF5...0xFC are free, for example for sentinels.
public struct ByteTokenizer: Tokenizer, Hashable {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "byte"
    private static let firstSpecialToken: Int32 = 253

    /// Creates the tokenizer, of which there is only one kind.
    public init() {}

    /// The number of tokens: 256.
    public var vocabularySize: Int { 256 }
    /// The token before each document: 255.
    public var beginToken: Int32? { 255 }
    /// The token that ends a text: 254.
    public var endToken: Int32? { 254 }
    /// The token that fills unused places: 253.
    public var paddingToken: Int32? { 253 }
    /// The name of this tokenizer in files.
    public var identity: String { "byte-256-v1" }

    /// The bytes as tokens; invalid sequences are encoded as U+FFFD.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        if UTF8Validator.firstInvalidOffset(in: bytes) == nil { return bytes.map { Int32($0) } }
        return String(decoding: bytes, as: UTF8.self).utf8.map { Int32($0) }
    }

    /// The one byte of a token; none for the special tokens and numbers outside the vocabulary.
    public func bytes(of token: Int32) -> [UInt8] {
        guard token >= 0, token < Self.firstSpecialToken else { return [] }
        return [UInt8(truncatingIfNeeded: token)]
    }

    /// The text of tokens; special tokens vanish and invalid UTF-8 becomes U+FFFD.
    public func decode(_ tokens: [Int32]) -> String {
        let kept = tokens.lazy.filter { $0 >= 0 && $0 < Self.firstSpecialToken }
        return String(decoding: kept.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    /// Writes `tokenizer_config.json` into a folder; throws `StorageError`.
    public func save(to folder: String) throws {
        try TokenizerLoader.write(
            TokenizerConfiguration(
                kind: Self.kind, identity: identity, vocabularySize: vocabularySize,
                beginTokenID: beginToken, endTokenID: endToken, paddingTokenID: paddingToken),
            to: folder)
    }
}
