import Foundation

/// A failure of tokenizers, corpora, token files or batches, with the facts needed to act on it.
public enum TextError: Error, Equatable, Sendable {
    /// A text is not UTF-8: the first bad sequence starts at `byteOffset` of the (expanded) text.
    case notUTF8(path: String, byteOffset: Int)
    /// The paths hold no text at all.
    case emptyCorpus(paths: [String])
    /// A folder holds no file of a kind that can be read as text.
    case noTextFiles(folder: String)
    /// A token file is malformed; `byteOffset` counts from its start.
    case invalidTokenFile(path: String, byteOffset: Int, reason: String)
    /// A token file was made by another tokenizer.
    case tokenizerMismatch(path: String, expected: String, found: String)
    /// A token is not in the vocabulary; `index` counts tokens from the start of the source.
    case tokenOutOfRange(path: String, index: Int, token: Int, vocabularySize: Int)
    /// A folder's tokenizer configuration cannot be understood.
    case invalidTokenizer(path: String, reason: String)
    /// A folder's tokenizer is of a kind that this version does not have.
    case unknownTokenizerKind(path: String, kind: String, known: [String])
    /// The corpus has fewer tokens than one window needs.
    case corpusTooShort(tokenCount: Int, neededTokenCount: Int)
    /// A range of tokens or documents reaches outside the stream.
    case outOfBounds(range: Range<Int>, count: Int)
    /// A saved state of a batch source belongs to other data or other settings.
    case stateMismatch(reason: String)
    /// A value given by the caller is out of range.
    case invalidArgument(name: String, reason: String)
}

extension TextError: CustomStringConvertible, LocalizedError {
    /// A sentence that says what failed, where, and what to do.
    public var description: String {
        switch self {
        case .notUTF8(let path, let byteOffset):
            return "\(path) is not UTF-8 text: the first invalid sequence starts at byte \(byteOffset). "
                + "Convert the file to UTF-8."
        case .emptyCorpus(let paths):
            return "There is no text in \(Self.list(paths)). Give files that hold text."
        case .noTextFiles(let folder):
            return "\(folder) holds no .txt, .md, .gz or .rtok files. Give the files by name."
        case .invalidTokenFile(let path, let byteOffset, let reason):
            return "\(path) is not a valid token file: \(reason) (at byte \(byteOffset)). "
                + "Make the token file again."
        case .tokenizerMismatch(let path, let expected, let found):
            return "\(path) was made with the tokenizer \"\(found)\", but \"\(expected)\" is in use. "
                + "Make the token file again or use the other tokenizer."
        case .tokenOutOfRange(let path, let index, let token, let vocabularySize):
            return "\(path) holds the token \(token) at index \(index), "
                + "outside the vocabulary of \(vocabularySize). Make the token file again."
        case .invalidTokenizer(let path, let reason):
            return "\(path) does not describe a tokenizer: \(reason). Restore it from a good copy."
        case .unknownTokenizerKind(let path, let kind, let known):
            return "\(path) names the tokenizer kind \"\(kind)\", which is unknown. "
                + "Known kinds: \(known.joined(separator: ", "))."
        case .corpusTooShort(let tokenCount, let neededTokenCount):
            return "The corpus has \(tokenCount) tokens, but one window needs \(neededTokenCount). "
                + "Use more text or a shorter window."
        case .outOfBounds(let range, let count):
            return "The range \(range.lowerBound)..<\(range.upperBound) is outside 0..<\(count). "
                + "Ask for a range inside it."
        case .stateMismatch(let reason):
            return "The saved position in the data cannot be resumed: \(reason). "
                + "Use the data and settings of the saved run."
        case .invalidArgument(let name, let reason):
            return "The value of \(name) is invalid: \(reason)."
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }

    private static func list(_ paths: [String]) -> String {
        let shown = paths.prefix(3).joined(separator: ", ")
        return paths.count > 3 ? "\(shown) and \(paths.count - 3) more" : shown
    }
}
