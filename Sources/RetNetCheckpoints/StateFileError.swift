import Foundation

/// A state file that cannot be used.
public enum StateFileError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The file is a safetensors file of another kind.
    case notStateFile(path: String)
    /// The file was written in a format that is not known here.
    case unknownVersion(path: String, version: String)
    /// The state was made by another model.
    case wrongModel(path: String, expected: String, found: String)
    /// The state was made with another tokenizer.
    case wrongTokenizer(path: String, expected: String, found: String)
    /// Something in the file is missing, over or out of range.
    case malformed(path: String, reason: String)
    /// A tensor holds NaN or infinite values.
    case notFinite(path: String, name: String)

    /// One or two sentences for people.
    public var description: String {
        switch self {
        case .notStateFile(let path):
            "\(path) is not a state file: its metadata has no \"format\": \"\(StateFile.format)\". "
                + "Give a file written with --state-out."
        case .unknownVersion(let path, let version):
            "\(path) has the state format version \(version); only \(StateFile.version) is known. "
                + "Use the program that wrote it."
        case .wrongModel(let path, let expected, let found):
            "\(path) was saved with another model: its fingerprint is \(found), this model's is \(expected). "
                + "Use the model that it was saved with."
        case .wrongTokenizer(let path, let expected, let found):
            "\(path) was saved with the tokenizer \"\(found)\", but \"\(expected)\" is in use. "
                + "Use the model folder that it was saved with."
        case .malformed(let path, let reason):
            "\(path) is not a valid state file: \(reason). Save the state again."
        case .notFinite(let path, let name):
            "\(path) is not usable: '\(name)' holds NaN or infinite values. Save the state again."
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
