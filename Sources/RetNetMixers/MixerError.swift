import Foundation

/// A request that a mixer cannot honour.
public enum MixerError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case unsupportedForm(mixer: String, form: MixerForm, reason: String)
    case emptySequence
    case wrongState(expected: String, found: String)
    case wrongBatch(expected: Int, found: Int)
    case tooLong(mixer: String, length: Int, limit: Int, remedy: String)
    case cannotRebase(reason: String)
    case wrongWidth(mixer: String, expected: Int, found: Int)

    /// One sentence for people.
    public var description: String {
        switch self {
        case .unsupportedForm(let mixer, let form, let reason):
            "\(mixer) cannot run in the form '\(form)': \(reason)"
        case .emptySequence:
            "the sequence is empty: at least one token is needed"
        case .wrongState(let expected, let found):
            "the state does not belong to this model: expected \(expected), found \(found)"
        case .wrongBatch(let expected, let found):
            "the state holds \(found) rows but the batch has \(expected)"
        case .tooLong(let mixer, let length, let limit, let remedy):
            "\(mixer) reaches position \(length) but was made for \(limit) positions: \(remedy)"
        case .cannotRebase(let reason):
            "the state cannot be moved to position 0: \(reason)"
        case .wrongWidth(let mixer, let expected, let found):
            "\(mixer) is configured for \(expected) channels but the model's hidden size is \(found):"
                + " make both the same"
        }
    }
    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
