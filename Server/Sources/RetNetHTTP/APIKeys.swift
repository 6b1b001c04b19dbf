import Foundation

/// The keys that clients may give.
public enum APIKeys {
    /// The variable of the environment with a key.
    public static let variable = "RETNET_API_KEY"
    private static let byteLimit = 1 << 20

    /// A file of keys that cannot be used.
    public struct Failure: Error, Equatable, CustomStringConvertible, LocalizedError {
        /// The problem and the remedy.
        public let description: String
        /// The same text as ``description``.
        public var errorDescription: String? { description }
    }

    /// Returns the keys of a file, one per line, and the one of the environment.
    ///
    /// Throws ``Failure`` for a file that cannot be read or has no keys: a server without keys would let everybody in.
    public static func read(file: String?, environment: [String: String]) throws -> [String] {
        var keys: [String] = []
        if let key = environment[variable] {
            guard !key.isEmpty else {
                throw Failure(description: "the variable \(variable) is empty: give it a key, or unset it")
            }
            keys.append(key)
        }
        guard let file else { return keys }
        guard let data = FileManager.default.contents(atPath: file), data.count <= byteLimit,
            let text = String(data: data, encoding: .utf8)
        else {
            throw Failure(
                description:
                    "cannot read the keys in '\(file)': it must be a text file of up to \(byteLimit) bytes")
        }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        let found = lines.filter { !$0.isEmpty }
        guard !found.isEmpty else {
            throw Failure(description: "'\(file)' has no keys: write one per line")
        }
        return keys + found
    }
}
