/// A tokenizer whose tokens are the 256 byte values.
///
/// The special tokens are byte values that never occur in UTF-8 text: `<bos>` is 255, `<eos>` is 254 and
/// `<pad>` is 253. Of the other such values, 0xC0, 0xC1, 0xF5...0xFC are unused.
public struct ByteTokenizer: Tokenizer, Hashable {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "byte"
    private static let firstSpecialToken: Int32 = 253

    /// Creates the tokenizer.
    public init() {}

    /// The number of tokens: 256.
    public var vocabularySize: Int { 256 }
    /// The token before each document: 255.
    public var beginToken: Int32? { 255 }
    /// The token at the end of a text: 254.
    public var endToken: Int32? { 254 }
    /// The token at unused positions: 253.
    public var paddingToken: Int32? { 253 }
    /// The name of this tokenizer in files of tokens.
    public var identity: String { "byte-256-v1" }
    /// True.
    public var isBytewise: Bool { true }

    /// Returns the bytes as tokens; invalid sequences are encoded as U+FFFD.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        EncodedText(bytesOf: bytes, firstByte: 0).tokens
    }

    /// Returns the bytes as tokens, of one byte each; of U+FFFD, the first token stands for the invalid sequence.
    public func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> EncodedText
    {
        place = place.after(bytes, isEnd: false)
        return EncodedText(bytesOf: bytes, firstByte: 0)
    }

    /// Returns the byte of a token; none for the special tokens and numbers outside the vocabulary.
    public func bytes(of token: Int32) -> [UInt8] {
        guard token >= 0, token < Self.firstSpecialToken else { return [] }
        return [UInt8(truncatingIfNeeded: token)]
    }

    /// Returns the text of tokens, without special tokens; invalid UTF-8 becomes U+FFFD.
    public func decode(_ tokens: [Int32]) -> String {
        let kept = tokens.lazy.filter { $0 >= 0 && $0 < Self.firstSpecialToken }
        return String(decoding: kept.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    /// Writes `tokenizer_config.json` into a folder; throws `StorageError`.
    public func save(to folder: String) throws {
        try TokenizerCompanions().save(
            TokenizerConfiguration(
                kind: Self.kind, identity: identity, vocabularySize: vocabularySize,
                beginTokenID: beginToken, endTokenID: endToken, paddingTokenID: paddingToken),
            to: folder)
    }
}

/// A byte tokenizer with the special tokens and sentinels of text-to-text models.
///
/// `<pad>` is 0, `<eos>` is 1, `<unk>` is 2 and byte b is b + 3, as in ByT5 (arXiv 2105.13626). Sentinels come last:
/// the first is 383 and they count down, as in T5's vocabularies.
public struct SentinelByteTokenizer: SentinelTokenizer, Hashable {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "byte-sentinel"
    private static let firstByte: Int32 = 3
    private static let size = 384

    /// Creates the tokenizer.
    public init() {}

    /// The number of tokens: 384.
    public var vocabularySize: Int { Self.size }
    /// No token: text-to-text models begin their targets with the padding token.
    public var beginToken: Int32? { nil }
    /// The token at the end of a text: 1.
    public var endToken: Int32? { 1 }
    /// The token at unused positions: 0.
    public var paddingToken: Int32? { 0 }
    /// The token 2, which no text has.
    public var unknownToken: Int32? { 2 }
    /// The name of this tokenizer in files of tokens.
    public var identity: String { "byte-sentinel-384-v1" }
    /// The 125 sentinels in the order of their use.
    public var sentinels: [Int32] { (0..<125).map { Int32(Self.size - 1 - $0) } }

    /// True.
    public var isBytewise: Bool { true }

    /// Returns the bytes plus 3; invalid sequences are encoded as U+FFFD.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        EncodedText(bytesOf: bytes, firstByte: Self.firstByte).tokens
    }

    /// Returns the bytes plus 3, of one byte each; of U+FFFD, the first token stands for the invalid sequence.
    public func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> EncodedText
    {
        place = place.after(bytes, isEnd: false)
        return EncodedText(bytesOf: bytes, firstByte: Self.firstByte)
    }

    /// Returns the byte of a token; none for special tokens, sentinels and numbers outside the vocabulary.
    public func bytes(of token: Int32) -> [UInt8] {
        guard token >= Self.firstByte else { return [] }
        return UInt8(exactly: token - Self.firstByte).map { [$0] } ?? []
    }

    /// Writes `tokenizer_config.json` into a folder; throws `StorageError`.
    public func save(to folder: String) throws {
        try TokenizerCompanions().save(
            TokenizerConfiguration(
                kind: Self.kind, identity: identity, vocabularySize: vocabularySize, beginTokenID: nil,
                endTokenID: endToken, paddingTokenID: paddingToken, beginToken: nil),
            to: folder)
    }
}

extension EncodedText {
    /// Encodes bytes as tokens from `firstByte`; each invalid sequence becomes U+FFFD, as in the decoding of strings.
    fileprivate init(bytesOf bytes: UnsafeRawBufferPointer, firstByte: Int32) {
        guard UTF8Validator.firstInvalidOffset(in: bytes) != nil else {
            self.init(
                tokens: bytes.map { Int32($0) + firstByte },
                byteCounts: Array(repeating: 1, count: bytes.count))
            return
        }
        self.init()
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid(let character):
                tokens.append(contentsOf: character.lazy.map { Int32($0) + firstByte })
                byteCounts.append(contentsOf: repeatElement(1, count: character.count))
            case .error(let length):
                tokens.append(contentsOf: "\u{FFFD}".utf8.lazy.map { Int32($0) + firstByte })
                byteCounts.append(contentsOf: [length, 0, 0])
            case .emptyInput: return
            }
        }
    }
}
