/// How the text of one file is cut into documents.
public enum DocumentSeparator: Hashable, Sendable {
    /// One file is one document, byte for byte.
    case wholeFile
    /// Documents are separated by this text, for example `<|endoftext|>`; line ends beside it are dropped.
    case text(String)
    /// Documents are separated by at least this many blank lines (one or more) in a row.
    ///
    /// Lines that hold only spaces, tabs or a carriage return count as blank. White space at the end of
    /// each document and blank lines before it are dropped.
    case blankLines(Int)

    /// A name that differs between separators that cut differently.
    var identity: String {
        switch self {
        case .wholeFile: "file"
        case .text(let text): "text:\(text)"
        case .blankLines(let count): "blank:\(count)"
        }
    }

    /// Throws `TextError.invalidArgument` for an empty text or fewer than one line.
    func validate() throws {
        switch self {
        case .wholeFile: break
        case .text(let text):
            if text.isEmpty {
                throw TextError.invalidArgument(name: "separator", reason: "the text is empty")
            }
        case .blankLines(let count):
            if count < 1 {
                throw TextError.invalidArgument(
                    name: "separator", reason: "\(count) blank lines cannot separate; use 1 or more")
            }
        }
    }
}
