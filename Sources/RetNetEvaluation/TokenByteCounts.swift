import RetNetText

/// How many bytes of text each token of a vocabulary stands for.
public struct TokenByteCounts: Sendable {
    private let counts: [Int]

    /// Asks the tokenizer once for every token.
    public init(_ tokenizer: any Tokenizer) {
        counts = (0..<max(0, tokenizer.vocabularySize)).map { tokenizer.bytes(of: Int32(clamping: $0)).count }
    }

    /// The bytes that one token stands for; none for tokens outside the vocabulary.
    public subscript(token: Int32) -> Int {
        counts.indices.contains(Int(token)) ? counts[Int(token)] : 0
    }

    /// The bytes that several tokens stand for.
    public func total(of tokens: some Sequence<Int32>) -> Int {
        tokens.reduce(0) { $0 + self[$1] }
    }
}
