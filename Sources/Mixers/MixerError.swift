import Foundation

/// A request that a mixer cannot honour.
public enum MixerError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case unsupportedForm(mixer: String, form: MixerForm, reason: String)
    case emptySequence
    case wrongState(expected: String, found: String)
    case wrongBatch(expected: Int, found: Int)

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
        }
    }
    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
