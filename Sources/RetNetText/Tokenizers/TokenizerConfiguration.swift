/// What `tokenizer_config.json` says about a tokenizer of this package.
struct TokenizerConfiguration: Codable, Equatable {
    var kind: String
    var identity: String?
    var vocabularySize: Int?
    var beginTokenID: Int32?
    var endTokenID: Int32?
    var paddingTokenID: Int32?
    // The names that other tools of the field look for.
    var beginToken: String? = "<bos>"
    var endToken: String? = "<eos>"
    var paddingToken: String? = "<pad>"
    var unknownToken: String?
    var className: String?
    /// Sentinels added above a SentencePiece model.
    var sentinelCount: Int?

    private enum CodingKeys: String, CodingKey {
        case kind
        case identity
        case vocabularySize = "vocab_size"
        case beginTokenID = "bos_token_id"
        case endTokenID = "eos_token_id"
        case paddingTokenID = "pad_token_id"
        case beginToken = "bos_token"
        case endToken = "eos_token"
        case paddingToken = "pad_token"
        case unknownToken = "unk_token"
        case className = "tokenizer_class"
        case sentinelCount = "extra_ids"
    }
}
