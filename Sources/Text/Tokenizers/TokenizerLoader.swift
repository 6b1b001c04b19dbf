import Foundation
import Storage

/// Makes the tokenizer that a model folder describes.
public enum TokenizerLoader {
    /// The name of the file that says which tokenizer a folder uses.
    public static let fileName = "tokenizer_config.json"
    private static let maximumByteCount = 1 << 24

    /// The tokenizer of a model folder; throws `TextError` or `StorageError`.
    public static func load(folder: String) throws -> any Tokenizer {
        let path = folder + "/" + fileName
        let configuration = try read(path)
        let known: [(kind: String, tokenizer: any Tokenizer)] = [
            (ByteTokenizer.kind, ByteTokenizer()), (SentinelByteTokenizer.kind, SentinelByteTokenizer()),
        ]
        guard let tokenizer = known.first(where: { $0.kind == configuration.kind })?.tokenizer else {
            throw TextError.unknownTokenizerKind(
                path: path, kind: configuration.kind, known: known.map(\.kind))
        }
        try check(configuration, describes: tokenizer, path: path)
        return tokenizer
    }

    /// Writes a configuration into a folder, in one step.
    static func write(_ configuration: TokenizerConfiguration, to folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        var data = try encoder.encode(configuration)
        data.append(0x0A)
        try AtomicFile.write(data, to: folder + "/" + fileName)
    }

    private static func read(_ path: String) throws -> TokenizerConfiguration {
        let file = try MappedFile(path: path)
        guard file.byteCount <= maximumByteCount else {
            throw TextError.invalidTokenizer(
                path: path, reason: "it is larger than \(maximumByteCount) bytes")
        }
        let data = file.withUnsafeBytes { Data($0) }
        let object: Any
        do {
            object = try JSONSerialization.jsonObject(with: data)
        } catch {
            throw TextError.invalidTokenizer(path: path, reason: "it is not JSON")
        }
        guard let fields = object as? [String: Any] else {
            throw TextError.invalidTokenizer(path: path, reason: "it is not a JSON object")
        }
        guard fields["kind"] != nil else {
            // Other tools name a class instead: say which, since the reader cannot use it.
            let name = (fields["tokenizer_class"] as? String).map { "; it names the class \"\($0)\"" } ?? ""
            throw TextError.invalidTokenizer(path: path, reason: "the key \"kind\" is missing\(name)")
        }
        do {
            return try JSONDecoder().decode(TokenizerConfiguration.self, from: data)
        } catch {
            throw TextError.invalidTokenizer(path: path, reason: "a value is of the wrong type")
        }
    }

    private static func check(
        _ configuration: TokenizerConfiguration, describes tokenizer: any Tokenizer, path: String
    ) throws {
        var faults: [String] = []
        func compare<T: Equatable>(_ key: String, _ found: T?, _ expected: T?) {
            guard let found, found != expected else { return }
            faults.append("\(key) is \(found), not \(expected.map { "\($0)" } ?? "absent")")
        }
        compare("identity", configuration.identity, tokenizer.identity)
        compare("vocab_size", configuration.vocabularySize, tokenizer.vocabularySize)
        compare("bos_token_id", configuration.beginTokenID, tokenizer.beginToken)
        compare("eos_token_id", configuration.endTokenID, tokenizer.endToken)
        compare("pad_token_id", configuration.paddingTokenID, tokenizer.paddingToken)
        guard faults.isEmpty else {
            throw TextError.invalidTokenizer(path: path, reason: faults.joined(separator: ", "))
        }
    }
}
