import Foundation

/// A call of a T5 model that does not fit it.
public enum T5Error: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// There are no rows, or a row has no tokens.
    case emptyBatch
    /// Lists that belong together have different lengths.
    case countMismatch(what: String, expected: Int, found: Int)
    /// A token is not in the vocabulary.
    case tokenOutOfRange(token: Int, vocabularySize: Int)
    /// A row is longer than the length that rows are filled up to.
    case rowTooLong(row: Int, length: Int, limit: Int)
    /// The stacks of encoder and decoder need embeddings of different widths.
    case embeddingSizes(encoder: Int, decoder: Int)
    /// A decoder's layer was called without the encoder's result.
    case missingMemory
    /// Layers that see every few positions would mix the examples of a packed row.
    case mixedGroup(row: Int, position: Int, stride: Int)
    /// A tensor has the wrong shape.
    case wrongShape(what: String, expected: String, found: [Int])

    /// One sentence for people.
    public var description: String {
        switch self {
        case .emptyBatch:
            "the batch is empty: give at least one row with at least one token"
        case .countMismatch(let what, let expected, let found):
            "\(what): there must be \(expected), but there are \(found)"
        case .tokenOutOfRange(let token, let size):
            "the token \(token) is not in the vocabulary of \(size): use the tokenizer of the model"
        case .rowTooLong(let row, let length, let limit):
            "row \(row) has \(length) tokens, but rows are filled up to \(limit): shorten it or raise the length"
        case .embeddingSizes(let encoder, let decoder):
            "encoder and decoder share one embedding, but their stacks need the widths \(encoder) and \(decoder)"
        case .missingMemory:
            "a layer of a decoder needs the encoder's result"
        case .mixedGroup(let row, let position, let stride):
            "position \(position) of row \(row) belongs to another example than the one its group of \(stride)"
                + " begins with: pack examples from multiples of \(stride) on (sourceAlignment)"
        case .wrongShape(let what, let expected, let found):
            "\(what) must be \(expected), found \(found)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
