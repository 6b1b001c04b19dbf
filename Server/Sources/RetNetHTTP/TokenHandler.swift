import RetNetServing
import RetNetStorage
import RetNetText

/// Carries out requests to `/tokenize`, `/detokenize` and `/tokenizer_info`, in vLLM's form.
struct TokenHandler: Sendable {
    let model: ServingModel

    func tokenize(_ body: JSONValue) throws -> JSONValue {
        var fields = try RequestFields(body)
        let prompt = try fields.read(Fields.text)
        let begin: BeginTokenChoice = try fields.read(Fields.addsBeginToken) ?? true ? .auto : .no
        let names = try fields.read(Fields.namesTokens) ?? false
        try checkModel(&fields)
        try fields.finish()
        guard let prompt else { throw APIError.invalid("prompt", "'prompt' is missing: give a text") }
        let tokens = model.tokens(of: prompt, begin: begin).tokens
        return [
            "tokens": .array(tokens.map { .int(Int($0)) }), "count": .int(tokens.count),
            "max_model_len": model.positionLimit.map { .int($0) } ?? .null,
            "token_strs": names ? .array(tokens.map { .string(model.label(of: $0)) }) : .null,
        ]
    }

    func detokenize(_ body: JSONValue) throws -> JSONValue {
        var fields = try RequestFields(body)
        let tokens = try fields.read(Fields.tokens)
        try checkModel(&fields)
        try fields.finish()
        guard let tokens else {
            throw APIError.invalid("tokens", "'tokens' is missing: give a list of tokens")
        }
        let size = model.vocabularySize
        if let index = tokens.firstIndex(where: { $0 < 0 || Int($0) >= size }) {
            throw APIError.invalid(
                "tokens",
                "token \(tokens[index]) at index \(index) is not in the vocabulary, which has the tokens from 0 to \(size - 1)"
            )
        }
        return ["prompt": .string(model.tokenizer.decode(tokens))]
    }

    func info() -> JSONValue {
        func name(_ token: Int32?) -> JSONValue {
            token.flatMap { model.tokenizer.specialName(of: $0) }.map { .string($0) } ?? .null
        }
        return [
            "tokenizer_class": .string(model.tokenizer.identity),
            "vocab_size": .int(model.tokenizer.vocabularySize),
            "bos_token": name(model.tokenizer.beginToken), "eos_token": name(model.tokenizer.endToken),
            "pad_token": name(model.tokenizer.paddingToken),
        ]
    }

    private func checkModel(_ fields: inout RequestFields) throws {
        try CompletionRequest.checkModel(&fields, model)
    }
}
