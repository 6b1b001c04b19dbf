/// What encoding does with text that spells a special token, such as `<|endoftext|>`.
///
/// Prompts recognize them, as the tokenizers of Hugging Face do. Documents of a corpus are plain text unless asked
/// otherwise: a document that happens to mention a special token must not end there.
public enum SpecialTokensInText: String, Sendable, Hashable, CaseIterable {
    /// It becomes the special token.
    case recognized
    /// It is encoded as any other text and never becomes a special token.
    case text
}

/// Whether a text that a model reads from its beginning begins with the tokenizer's begin token.
public enum BeginTokenChoice: String, Sendable, Hashable, CaseIterable {
    /// As the texts from which the model learned; see ``Tokenizer/textStart``.
    case auto
    /// The begin token.
    case yes
    /// Nothing.
    case no

    /// Returns the tokens before a text; none where the tokenizer has no begin token.
    public func tokens(_ tokenizer: any Tokenizer) -> [Int32] {
        switch self {
        case .auto: tokenizer.textStart
        case .yes: tokenizer.beginToken.map { [$0] } ?? []
        case .no: []
        }
    }

    /// Returns the tokens of a text with those before it, unless the text begins with them already.
    ///
    /// As in Transformers, a text from nothing needs a begin token even if prompts do without.
    package func beginning(_ text: [Int32], _ tokenizer: any Tokenizer) -> [Int32] {
        let start = tokens(tokenizer)
        let text = text.starts(with: start) ? text : start + text
        return text.isEmpty && self != .no ? Self.yes.tokens(tokenizer) : text
    }
}

/// A conversion of text to tokens, numbered from 0, and back.
///
/// Encoding never adds special tokens: streams, batches and prompts add them. Text that spells one is text, except for
/// tokenizers whose ``specialTokensInText`` says otherwise.
/// Decoding an encoded text returns the same text or, for tokenizers that normalize, the normalized text.
public protocol Tokenizer: Sendable {
    /// The number of different tokens.
    var vocabularySize: Int { get }
    /// The token before each document (`<bos>`), if the tokenizer has one.
    var beginToken: Int32? { get }
    /// The token at the end of a text (`<eos>`), if the tokenizer has one.
    var endToken: Int32? { get }
    /// The token at unused positions of a batch (`<pad>`), if the tokenizer has one.
    var paddingToken: Int32? { get }
    /// The token for text that the vocabulary cannot express (`<unk>`), if the tokenizer has one.
    var unknownToken: Int32? { get }
    /// A name that differs between tokenizers with different encodings; files of tokens contain it.
    var identity: String { get }

    /// True if every token of a valid text is one byte of it, so that streams of tokens need not keep byte counts.
    var isBytewise: Bool { get }

    /// Returns the tokens of UTF-8 text; invalid sequences are encoded as U+FFFD.
    func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32]

    /// Returns the tokens of a part of a text, and moves the place to its end.
    func encode(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> [Int32]

    /// Returns the same tokens with the number of bytes of the given text that each stands for.
    ///
    /// These are bytes of the text as it was given, before it is normalized: what a token decodes to does not count.
    func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> EncodedText

    /// Returns the same tokens with the range of the given text, in bytes, that each stands for.
    ///
    /// Ranges are of whole characters: tokens of parts of a character share its range.
    func encodeWithOffsets(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> LocatedText

    /// What encoding does with text that spells a special token.
    var specialTokensInText: SpecialTokensInText { get }

    /// Returns the same tokenizer with another choice for text that spells a special token.
    ///
    /// Tokenizers that never recognize special tokens in text return themselves.
    func with(_ choice: SpecialTokensInText) -> any Tokenizer

    /// The tokens that the tokenizer's files put before and after a single text where special tokens are asked for.
    var tokensAround: (before: [Int32], after: [Int32]) { get }

    /// The tokens with which texts begin that the tokenizer's model reads.
    ///
    /// For tokenizers of other projects these are the tokens that their files put before a text, often none: GPT-2 has a
    /// begin token and no prompt begins with it. Models that are trained here read the begin token before each document.
    var textStart: [Int32] { get }

    /// Returns the same tokenizer for a model whose texts begin with the begin token, as those of all that are trained here.
    ///
    /// Its folder remembers this. Tokenizers whose texts always do return themselves.
    func beginningTexts() -> any Tokenizer

    /// Returns the name of a special token in the tokenizer's files, such as `</s>`; nil for other tokens.
    func specialName(of token: Int32) -> String?

    /// Returns the bytes of a token: none for special tokens and numbers outside the vocabulary.
    ///
    /// A token may contain a part of a character; `UTF8StreamDecoder` decodes streams of tokens.
    func bytes(of token: Int32) -> [UInt8]

    /// Returns the bytes that a token adds to a text, and moves the place behind it.
    ///
    /// The bytes of all tokens from the beginning on are those of the decoded text.
    func bytes(of token: Int32, at place: inout TextPlace) -> [UInt8]

    /// Returns the text of tokens, without special tokens; invalid UTF-8 becomes U+FFFD.
    func decode(_ tokens: [Int32]) -> String

    /// Writes the files from which `TokenizerLoader` creates an equal tokenizer into a folder.
    func save(to folder: String) throws
}

/// The tokens of a text with the number of its bytes that each of them stands for.
///
/// Where tokens are not substrings of the text, each byte still counts for one token: a replaced character for the token
/// with its replacement, dropped white space for a token next to it, a space that only encoding adds for none.
public struct EncodedText: Hashable, Sendable {
    /// The tokens.
    public var tokens: [Int32]
    /// The bytes of each token; together all bytes of the text, unless there are no tokens.
    public var byteCounts: [Int]

    /// Creates a text of tokens and as many byte counts, by default none.
    public init(tokens: [Int32] = [], byteCounts: [Int] = []) {
        self.tokens = tokens
        self.byteCounts = byteCounts
    }
}

/// The tokens of a text with the range of it that each of them stands for.
public struct LocatedText: Hashable, Sendable {
    /// The tokens.
    public var tokens: [Int32]
    /// The range of each token in the UTF-8 bytes of the text; empty for what only encoding adds.
    public var ranges: [Range<Int>]

    /// Creates a text of tokens and as many ranges, by default none.
    public init(tokens: [Int32] = [], ranges: [Range<Int>] = []) {
        self.tokens = tokens
        self.ranges = ranges
    }
}

extension Tokenizer {
    /// None.
    public var unknownToken: Int32? { nil }
    /// Plain text.
    public var specialTokensInText: SpecialTokensInText { .text }
    /// None.
    public var tokensAround: (before: [Int32], after: [Int32]) { ([], []) }

    /// None.
    public func specialName(of token: Int32) -> String? { nil }

    /// The begin token.
    public var textStart: [Int32] { beginToken.map { [$0] } ?? [] }

    /// Returns the tokenizer itself.
    public func beginningTexts() -> any Tokenizer { self }

    /// Returns the tokenizer itself.
    public func with(_ choice: SpecialTokensInText) -> any Tokenizer { self }

    /// False.
    public var isBytewise: Bool { false }

    /// Returns the tokens, each with as many bytes as it decodes to; the last has the rest of the text.
    ///
    /// Right for tokenizers whose tokens spell the text; those that normalize it or have unknowns need their own method.
    public func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> EncodedText
    {
        let tokens = encode(utf8: bytes, at: &place)
        var rest = bytes.count
        var counts = tokens.map { token in
            let count = min(self.bytes(of: token).count, rest)
            rest -= count
            return count
        }
        if !counts.isEmpty { counts[counts.count - 1] += rest }
        return EncodedText(tokens: tokens, byteCounts: counts)
    }

    /// Returns the tokens with the ranges that their byte counts give, widened to whole characters.
    public func encodeWithOffsets(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> LocatedText
    {
        let text = encodeCountingBytes(utf8: bytes, at: &place)
        var (ranges, end) = ([Range<Int>](), 0)
        ranges.reserveCapacity(text.tokens.count)
        for count in text.byteCounts {
            var (start, stop) = (end, min(end + count, bytes.count))
            end = stop
            if count > 0 {
                while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
                while stop < bytes.count, bytes[stop] & 0xC0 == 0x80 { stop += 1 }
            }
            ranges.append(start..<stop)
        }
        return LocatedText(tokens: text.tokens, ranges: ranges)
    }

    /// Returns the tokens of a text with the range of its UTF-8 bytes that each stands for.
    public func encodeWithOffsets(_ text: String) -> LocatedText {
        var (text, place) = (text, TextPlace.beginning)
        return text.withUTF8 { encodeWithOffsets(utf8: UnsafeRawBufferPointer($0), at: &place) }
    }

    /// Returns the tokens of a text.
    public func encode(_ text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { encode(utf8: UnsafeRawBufferPointer($0)) }
    }

    /// Returns the tokens of a text with the number of its bytes that each stands for.
    public func encodeCountingBytes(_ text: String) -> EncodedText {
        var (text, place) = (text, TextPlace.beginning)
        return text.withUTF8 { encodeCountingBytes(utf8: UnsafeRawBufferPointer($0), at: &place) }
    }

    /// Encodes a part of a valid text for a stream; bytewise tokenizers give no byte counts.
    ///
    /// Throws `TextError.invalidArgument` for a tokenizer whose byte counts are not those of the text.
    func encodeForStream(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) throws -> EncodedText
    {
        guard !isBytewise else { return EncodedText(tokens: encode(utf8: bytes, at: &place)) }
        let text = encodeCountingBytes(utf8: bytes, at: &place)
        let isSound = text.byteCounts.count == text.tokens.count && text.byteCounts.allSatisfy { $0 >= 0 }
        guard isSound, text.tokens.isEmpty || text.byteCounts.reduce(0, &+) == bytes.count else {
            throw TextError.invalidArgument(
                name: "tokenizer",
                reason:
                    "'\(identity)' gives \(text.byteCounts.count) byte counts for \(text.tokens.count) tokens that do"
                    + " not add up to the \(bytes.count) bytes of the text")
        }
        return text
    }

    /// Returns the text of tokens, without special tokens; invalid UTF-8 becomes U+FFFD.
    public func decode(_ tokens: [Int32]) -> String {
        var utf8: [UInt8] = []
        utf8.reserveCapacity(tokens.count)
        for token in tokens { utf8.append(contentsOf: bytes(of: token)) }
        return String(decoding: utf8, as: UTF8.self)
    }
}
