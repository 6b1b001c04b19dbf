/// The bytes as tokens, with the special tokens and sentinels that text-to-text models need.
///
/// `<pad>` is 0, `<eos>` is 1, `<unk>` is 2 and byte b is b + 3, as in ByT5 (arXiv 2105.13626). Sentinels come last:
/// the first is 383 and they go down, as in T5's vocabularies.
public struct SentinelByteTokenizer: SentinelTokenizer, Hashable {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "byte-sentinel"
    private static let firstByte: Int32 = 3
    private static let size = 384

    /// Creates the tokenizer, of which there is only one kind.
    public init() {}

    /// The number of tokens: 384.
    public var vocabularySize: Int { Self.size }
    /// None: text-to-text models begin their targets with the padding token.
    public var beginToken: Int32? { nil }
    /// The token that ends a text: 1.
    public var endToken: Int32? { 1 }
    /// The token that fills unused places: 0.
    public var paddingToken: Int32? { 0 }
    /// The name of this tokenizer in files.
    public var identity: String { "byte-sentinel-384-v1" }
    /// The 125 sentinels in the order of their use.
    public var sentinels: [Int32] { (0..<125).map { Int32(Self.size - 1 - $0) } }

    /// The bytes, each three higher; invalid sequences are encoded as U+FFFD.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        if UTF8Validator.firstInvalidOffset(in: bytes) == nil {
            return bytes.map { Int32($0) + Self.firstByte }
        }
        return String(decoding: bytes, as: UTF8.self).utf8.map { Int32($0) + Self.firstByte }
    }

    /// The one byte of a token; none for special tokens, sentinels and numbers outside the vocabulary.
    public func bytes(of token: Int32) -> [UInt8] {
        guard token >= Self.firstByte else { return [] }
        return UInt8(exactly: token - Self.firstByte).map { [$0] } ?? []
    }

    /// Writes `tokenizer_config.json` into a folder; throws `StorageError`.
    public func save(to folder: String) throws {
        try TokenizerLoader.write(
            TokenizerConfiguration(
                kind: Self.kind, identity: identity, vocabularySize: vocabularySize, beginTokenID: nil,
                endTokenID: endToken, paddingTokenID: paddingToken, beginToken: nil),
            to: folder)
    }
}
