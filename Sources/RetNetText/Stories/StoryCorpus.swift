/// Many stories as one text, separated by blank lines.
///
/// Stories hold no blank lines themselves, so `DocumentSeparator.blankLines(1)` finds them again.
public struct StoryCorpus: Hashable, Sendable {
    /// The text of all stories, with a line end after the last.
    public let text: String
    /// The recalls of all stories, with ranges that count from the start of `text`.
    public let recalls: [Recall]
    /// The bytes of each story in the UTF-8 text.
    public let documentRanges: [Range<Int>]

    /// The stories as tokens, one document each; throws `TextError`.
    public func tokenStream(tokenizer: any Tokenizer) throws -> TokenStream {
        var text = text
        return try text.withUTF8 { bytes in
            try TokenStream(
                texts: documentRanges.lazy.map { String(decoding: bytes[$0], as: UTF8.self) },
                tokenizer: tokenizer)
        }
    }
}
