import Foundation
import RetNetSampling
import RetNetServing
import RetNetStorage
import RetNetText

extension CompletionRequest {
    private static let messageLimit = 100_000

    /// Reads the fields of `/v1/chat/completions`; throws ``APIError`` and ``ServingError`` for the first one that is wrong.
    init(
        chat body: JSONValue, format: ChatFormat, model: ServingModel, states: StateKeeper,
        deadline: ContinuousClock.Instant?
    ) throws {
        self.init()
        var fields = try RequestFields(body)
        try Self.checkModel(&fields, model)
        guard !model.isEncoderDecoder || !format.isPlain else {
            throw APIError.invalid(
                "messages",
                "'\(model.name)' is an encoder-decoder without a chat template: use '/v1/completions', whose prompt it reads, or put"
                    + " chat_template.jinja into its folder", code: "encoder_decoder")
        }
        choiceCount = try fields.read(Fields.choiceCount) ?? 1
        candidateCount = choiceCount
        try readStreaming(&fields)
        let reports = try fields.read(Fields.reportsScores) ?? false
        let count = try fields.read(Fields.topScores)
        guard reports || count == nil else {
            throw APIError.invalid("top_logprobs", "'top_logprobs' needs 'logprobs': true")
        }
        topCount = reports ? count ?? 0 : nil
        _ = try fields.read(Fields.user)
        var template = ServingRequest(tokens: [])
        let limit = try fields.read(Fields.maxCompletionTokens)
        template.sampling = try Self.sampling(&fields, model, maxTokens: Self.defaultChatTokens)
        if let limit { template.sampling.maxTokens = limit }
        template.adjustments = try Self.adjustments(&fields, model)
        template.choiceCount = choiceCount
        template.topCount = topCount
        template.usesCache = try fields.read(Fields.cachesPrompt) ?? !model.isEncoderDecoder
        template.deadline = deadline
        try readStates(&fields, &template, states, model)
        guard template.start == nil else {
            throw APIError.invalid(
                "state",
                "a conversation is read from its beginning: use '/v1/completions' to continue a state")
        }
        let addsPrompt = try fields.read(Fields.addsPrompt) ?? true
        var more: [JSONValue.Member] = []
        if let names = try fields.read(Fields.templateNames) {
            guard case .object(let members) = names else {
                throw APIError.invalid("chat_template_kwargs", "'chat_template_kwargs' must be an object")
            }
            more = members
        }
        let messages = try Self.messages(try fields.read(Fields.messages))
        try fields.finish()
        if model.isEncoderDecoder { try checkEncoderDecoder(template, model) }
        let conversation = try format.text(messages, addsPrompt: addsPrompt, more)
        var request = template
        if format.isPlain { request.sampling.stopStrings += ChatFormat.plainStops }
        // A template writes the begin token itself.
        (request.tokens, request.place, request.marks) = model.tokens(
            of: conversation.text, begin: format.isPlain ? .auto : .no, marks: conversation.marks)
        prompts = [Prompt(request: request, text: conversation.text)]
        isChat = true
        try checkCombinations()
    }

    /// OpenAI leaves the length of an answer to the model; this is what it may be at most unless the request says otherwise.
    static let defaultChatTokens = 1024

    /// Checks messages, and makes texts of lists of texts.
    private static func messages(_ value: JSONValue?) throws -> [JSONValue] {
        guard case .array(let list)? = value, (1...messageLimit).contains(list.count) else {
            throw APIError.invalid("messages", "'messages' must be a list of 1 to \(messageLimit) messages")
        }
        return try list.enumerated().map { index, message in
            let place = "messages[\(index)]"
            guard case .object(let members) = message, case .string? = message["role"] else {
                throw APIError.invalid(place, "'\(place)' must be an object with a 'role'")
            }
            return .object(
                try members.map { member in
                    guard member.name == "content" else { return member }
                    return (name: member.name, value: try content(member.value, place))
                })
        }
    }

    private static func content(_ value: JSONValue, _ place: String) throws -> JSONValue {
        switch value {
        case .string, .null: return value
        case .array(let parts):
            let texts = try parts.map { part -> String in
                guard part["type"] == "text", case .string(let text)? = part["text"] else {
                    throw APIError.invalid(
                        place, "'\(place).content' has a part that is no text: this model reads texts only")
                }
                return text
            }
            return .string(texts.joined())
        default: throw APIError.invalid(place, "'\(place).content' must be a text or a list of texts")
        }
    }
}
