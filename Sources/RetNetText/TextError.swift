import Foundation

/// A failure of tokenizers, corpora, token files or batches, with its facts.
public enum TextError: Error, Equatable, Sendable {
    /// A text is not UTF-8: its first invalid sequence starts at `byteOffset` of the decompressed text.
    case notUTF8(path: String, byteOffset: Int)
    /// The files contain no text; without paths, the texts in memory are empty.
    case emptyCorpus(paths: [String])
    /// A folder contains no file of a kind that can be read as text.
    case noTextFiles(folder: String)
    /// A token file is malformed; `byteOffset` counts from its start.
    case invalidTokenFile(path: String, byteOffset: Int, reason: String)
    /// The byte counts of a range of tokens of a token file contradict each other.
    case damagedByteCounts(path: String, range: Range<Int>)
    /// A token file was made with another tokenizer.
    case tokenizerMismatch(path: String, expected: String, found: String)
    /// A token is not in the vocabulary; `index` counts tokens from the start of the source.
    case tokenOutOfRange(path: String, index: Int, token: Int, vocabularySize: Int)
    /// A tokenizer file is malformed or contradicts itself.
    case invalidTokenizer(path: String, reason: String)
    /// A folder has a tokenizer of another project in a form that is not supported; `found` names its file and class.
    case unsupportedTokenizer(folder: String, found: String)
    /// A folder has no files of a tokenizer.
    case noTokenizer(folder: String)
    /// A part or an option of a tokenizer's files, at a place in them, is not supported.
    case unsupportedTokenizerPart(path: String, place: String, reason: String)
    /// A tokenizer configuration names an unknown kind.
    case unknownTokenizerKind(path: String, kind: String, known: [String])
    /// The corpus has fewer tokens than one window needs.
    case corpusTooShort(tokenCount: Int, neededTokenCount: Int)
    /// A range of tokens or documents reaches outside the stream.
    case outOfBounds(range: Range<Int>, count: Int)
    /// A saved state of a batch source belongs to other data or other settings.
    case stateMismatch(reason: String)
    /// An argument is out of range.
    case invalidArgument(name: String, reason: String)
}

extension TextError: CustomStringConvertible, LocalizedError {
    /// The failure, its place and the remedy.
    public var description: String {
        switch self {
        case .notUTF8(let path, let byteOffset):
            return "'\(path)' is not UTF-8 text: the first invalid sequence starts at byte \(byteOffset); "
                + "convert the file to UTF-8"
        case .emptyCorpus(let paths):
            return paths.isEmpty
                ? "no text: all texts are empty"
                : "no text in \(Self.list(paths)): use files that contain text"
        case .noTextFiles(let folder):
            return "no .txt, .md, .gz or .rtok files in '\(folder)': give the files by name"
        case .invalidTokenFile(let path, let byteOffset, let reason):
            return "'\(path)' is not a valid token file: \(reason) (at byte \(byteOffset)); "
                + "make the token file again"
        case .damagedByteCounts(let path, let range):
            return
                "'\(path)' is damaged: its byte counts of the tokens \(range.lowerBound)..<\(range.upperBound) "
                + "contradict each other; make the token file again"
        case .tokenizerMismatch(let path, let expected, let found):
            return "'\(path)' was made with the tokenizer '\(found)', but '\(expected)' is in use: "
                + "make the token file again or use the other tokenizer"
        case .tokenOutOfRange(let path, let index, let token, let vocabularySize):
            return "'\(path)' contains the token \(token) at index \(index), outside the vocabulary of "
                + "\(vocabularySize) tokens: make the token file again"
        case .invalidTokenizer(let path, let reason):
            return "'\(path)' does not describe a tokenizer: \(reason); restore it from a good copy"
        case .unsupportedTokenizer(let folder, let found):
            return
                "the tokenizer in '\(folder)' (\(found)) has a form that is not supported: add its tokenizer.json, its "
                + "vocab.json with merges.txt, or its SentencePiece file (spiece.model or tokenizer.model) to the folder"
        case .noTokenizer(let folder):
            return
                "'\(folder)' holds no tokenizer: add its tokenizer.json, its vocab.json with merges.txt, its vocab.txt or its "
                + "SentencePiece file (spiece.model or tokenizer.model) to the folder"
        case .unsupportedTokenizerPart(let path, let place, let reason):
            return "the tokenizer in '\(path)' cannot be used: \(place.isEmpty ? "it" : place) \(reason)"
        case .unknownTokenizerKind(let path, let kind, let known):
            return "'\(path)' names the unknown tokenizer kind '\(kind)': the known kinds are "
                + known.map { "'\($0)'" }.joined(separator: ", ")
        case .corpusTooShort(let tokenCount, let neededTokenCount):
            return "the text has \(tokenCount) tokens, but one window needs \(neededTokenCount): "
                + "use more text or shorter windows"
        case .outOfBounds(let range, let count):
            return "the range \(range.lowerBound)..<\(range.upperBound) is outside 0..<\(count): "
                + "use a range inside it"
        case .stateMismatch(let reason):
            return "cannot resume at the saved position in the data: \(reason); "
                + "use the data and settings of the saved run"
        case .invalidArgument(let name, let reason):
            return "invalid \(name): \(reason)"
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }

    private static func list(_ paths: [String]) -> String {
        let shown = paths.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
        return paths.count > 3 ? "\(shown) and \(paths.count - 3) more" : shown
    }
}
