/// Turns text into numbered tokens and back.
///
/// Encoding never adds special tokens, and no text encodes to one: they are put in by whoever packs
/// documents or prompts. Decoding what was encoded gives the same text, or what a tokenizer that normalizes
/// makes of it.
public protocol Tokenizer: Sendable {
    /// The number of different tokens; they are numbered from 0.
    var vocabularySize: Int { get }
    /// The token put before each document (`<bos>`), if the tokenizer has one.
    var beginToken: Int32? { get }
    /// The token that ends a text (`<eos>`), if the tokenizer has one.
    var endToken: Int32? { get }
    /// The token that fills unused places of a batch (`<pad>`), if the tokenizer has one.
    var paddingToken: Int32? { get }
    /// A name that differs between tokenizers that encode differently; kept in files made with it.
    var identity: String { get }

    /// The tokens of UTF-8 text; invalid sequences are encoded as U+FFFD.
    func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32]

    /// The bytes that a token stands for: none for special tokens and numbers outside the vocabulary.
    ///
    /// A token may hold a part of a character, so decode streams with `UTF8StreamDecoder`.
    func bytes(of token: Int32) -> [UInt8]

    /// The text of tokens; special tokens vanish and invalid UTF-8 becomes U+FFFD.
    func decode(_ tokens: [Int32]) -> String

    /// Writes the files from which `TokenizerLoader` makes the same tokenizer again into a folder.
    func save(to folder: String) throws
}

extension Tokenizer {
    /// The tokens of a text.
    public func encode(_ text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { encode(utf8: UnsafeRawBufferPointer($0)) }
    }

    /// The text of tokens; special tokens vanish and invalid UTF-8 becomes U+FFFD.
    public func decode(_ tokens: [Int32]) -> String {
        var utf8: [UInt8] = []
        utf8.reserveCapacity(tokens.count)
        for token in tokens { utf8.append(contentsOf: bytes(of: token)) }
        return String(decoding: utf8, as: UTF8.self)
    }

    /// The number of UTF-8 bytes that the tokens stand for, as needed for bits per byte.
    public func byteCount(of tokens: [Int32]) -> Int {
        tokens.reduce(0) { $0 + bytes(of: $1).count }
    }
}
