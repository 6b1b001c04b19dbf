import Foundation
import RetNetStorage

/// The special tokens of a tokenizer by name, as `tokenizer_config.json` and `special_tokens_map.json` give them.
public struct SpecialTokenNames: Hashable, Sendable {
    /// The token before each document.
    public var begin: String?
    /// The token at the end of a text.
    public var end: String?
    /// The token at unused positions of a batch.
    public var padding: String?
    /// The token for text that the vocabulary cannot express.
    public var unknown: String?

    /// Creates names, by default none.
    public init(begin: String? = nil, end: String? = nil, padding: String? = nil, unknown: String? = nil) {
        self.begin = begin
        self.end = end
        self.padding = padding
        self.unknown = unknown
    }

    /// The names in their usual order, with the keys that they have in files.
    static let keys: [(key: String, path: any WritableKeyPath<SpecialTokenNames, String?> & Sendable)] = [
        ("bos_token", \.begin), ("eos_token", \.end), ("pad_token", \.padding), ("unk_token", \.unknown),
    ]

    /// Takes the names of an object that are not there yet: texts, or objects with a `content`.
    mutating func add(_ object: JSONNode) throws {
        let members = try object.members()
        for (key, path) in Self.keys where self[keyPath: path] == nil {
            guard let node = members[key], !node.isNull else { continue }
            let text = node.kind == .object ? try node.member("content") : node
            guard let text else { throw node.fault("lacks its 'content'") }
            let name = try text.string()
            if !name.isEmpty { self[keyPath: path] = name }
        }
    }

    /// Names that usually stand for the end and the beginning of texts.
    static let usualEnds = [
        "<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<|end▁of▁sentence|>", "<|eot_id|>", "[SEP]",
    ]
    static let usualBegins = ["<s>", "<bos>", "<|begin_of_text|>", "<|begin▁of▁sentence|>", "[CLS]"]
}

/// The numbers of a tokenizer's special tokens.
struct TokenizerRoles: Sendable {
    var begin: Int32?
    var end: Int32?
    var padding: Int32?
    var unknown: Int32?
}
