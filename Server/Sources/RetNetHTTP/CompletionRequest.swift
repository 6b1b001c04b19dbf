import Foundation
import RetNetSampling
import RetNetServing
import RetNetStorage
import RetNetText

/// A request to `/v1/completions`: OpenAI's fields, and those that begin with this server.
struct CompletionRequest: Sendable {
    /// A prompt with its tokens.
    struct Prompt: Sendable {
        let request: ServingRequest
        /// The text that `echo` repeats.
        let text: String
    }

    var prompts: [Prompt] = []
    /// Number of texts to return for each prompt.
    var choiceCount = 1
    /// Number of texts to generate for each prompt, of which the most probable ones are returned.
    var candidateCount = 1
    var echoes = false
    var streams = false
    var includesUsage = false
    /// True if every chunk of a stream reports the counts so far.
    var reportsUsage = false
    /// Number of alternatives to report for each token; nil for no log-probabilities.
    var topCount: Int?
    /// The name under which to keep the state behind the text.
    var savedName: String?
    var replacesState = false
    var persistsState = false
    /// True for `/v1/chat/completions`, whose answers have messages.
    var isChat = false

    /// OpenAI's default of `max_tokens` for completions.
    static let defaultMaxTokens = 16

    /// Reads the fields; throws ``APIError`` and ``ServingError`` for the first one that is wrong.
    init(_ body: JSONValue, model: ServingModel, states: StateKeeper, deadline: ContinuousClock.Instant?)
        throws
    {
        var fields = try RequestFields(body)
        try Self.checkModel(&fields, model)
        choiceCount = try fields.read(Fields.choiceCount) ?? 1
        candidateCount = try fields.read(Fields.candidateCount) ?? choiceCount
        echoes = try fields.read(Fields.echoes) ?? false
        try readStreaming(&fields)
        topCount = try fields.read(Fields.topCount)
        if let suffix = try fields.read(Fields.suffix), suffix != "" {
            throw APIError.invalid(
                "suffix", "'suffix' is not supported: the model reads texts from front to back")
        }
        _ = try fields.read(Fields.user)
        var template = ServingRequest(tokens: [])
        template.sampling = try Self.sampling(&fields, model, maxTokens: Self.defaultMaxTokens)
        template.adjustments = try Self.adjustments(&fields, model)
        template.choiceCount = candidateCount
        template.topCount = topCount ?? (candidateCount > choiceCount ? 0 : nil)
        template.scoresPrompt = echoes && topCount != nil
        template.usesCache = try fields.read(Fields.cachesPrompt) ?? !model.isEncoderDecoder
        template.deadline = deadline
        try readStates(&fields, &template, states, model)
        let begin: BeginTokenChoice = try fields.read(Fields.addsBeginToken) ?? true ? .auto : .no
        guard
            let prompt = try fields.read(Fields.prompt)
                ?? (template.start == nil ? JSONValue?.none : .string(""))
        else {
            throw APIError.invalid("prompt", "'prompt' is missing: give a text or a list of tokens")
        }
        try fields.finish()
        if model.isEncoderDecoder { try checkEncoderDecoder(template, model) }
        try readPrompts(prompt, template, model, begin)
        try checkCombinations()
    }

    mutating func readStreaming(_ fields: inout RequestFields) throws {
        streams = try fields.read(Fields.streams) ?? false
        guard let options = try fields.read(Fields.streamOptions) else { return }
        guard streams else {
            throw APIError.invalid("stream_options", "'stream_options' needs 'stream': true")
        }
        var inner = try RequestFields(options)
        includesUsage = try inner.read(Fields.includesUsage) ?? false
        reportsUsage = try inner.read(Fields.reportsUsage) ?? false
        guard includesUsage || !reportsUsage else {
            throw APIError.invalid(
                "stream_options", "'stream_options.continuous_usage_stats' needs 'include_usage': true")
        }
        try inner.finish()
    }

    mutating func readStates(
        _ fields: inout RequestFields, _ template: inout ServingRequest, _ states: StateKeeper,
        _ model: ServingModel
    ) throws {
        let name = try fields.read(Fields.state)
        if model.isEncoderDecoder {
            let saved = try fields.read(Fields.savedState)
            guard name == nil, saved == nil else {
                let field = name == nil ? "save_state" : "state"
                throw APIError.invalid(
                    field,
                    "'\(field)' is not for '\(model.name)': it is an encoder-decoder, which reads every prompt anew and keeps no"
                        + " states", code: "encoder_decoder")
            }
        } else if let name {
            template.start = try states.state(named: name).snapshot
        }
        savedName = model.isEncoderDecoder ? nil : try fields.read(Fields.savedState)
        replacesState = try fields.read(Fields.replacesState) ?? false
        persistsState = try fields.read(Fields.persistsState) ?? false
        guard let savedName else {
            guard !replacesState, !persistsState else {
                throw APIError.invalid(
                    "save_state", "'save_state' is missing: give the name of the state to keep")
            }
            return
        }
        // Said before anything is generated.
        guard StateStore.isName(savedName) else { throw ServingError.invalidStateName(savedName) }
        if !replacesState, states.contains(savedName) { throw ServingError.stateExists(savedName) }
        if persistsState, states.folder == nil { throw ServingError.noStateFolder }
        template.keepsState = true
    }

    /// A request without prompts.
    init() {}

    /// Refuses the name of another model.
    static func checkModel(_ fields: inout RequestFields, _ model: ServingModel) throws {
        guard let name = try fields.read(Fields.model), name != model.name else { return }
        throw APIError.notFound(
            "there is no model '\(name)': this server has '\(model.name)'", code: "model_not_found")
    }

    private mutating func readPrompts(
        _ value: JSONValue, _ template: ServingRequest, _ model: ServingModel, _ begin: BeginTokenChoice
    ) throws {
        let elements: [JSONValue]
        switch value {
        case .array(let list):
            // A list of numbers is one prompt of tokens.
            if case .int = list.first { elements = [value] } else { elements = list }
        default: elements = [value]
        }
        guard (1...Fields.promptLimit).contains(elements.count) else {
            throw APIError.invalid(
                "prompt",
                "'prompt' must have 1 to \(Fields.promptLimit) prompts, but it has \(elements.count)")
        }
        for element in elements {
            var request = template
            if case .string(let text) = element {
                let place = template.start?.place
                (request.tokens, request.place) = model.tokens(of: text, begin: begin, continuing: place)
                prompts.append(Prompt(request: request, text: text))
            } else if let tokens = Field<[Int32]>.tokens(element) {
                request.tokens = tokens
                request.place = model.place(after: tokens, from: template.start?.place ?? .beginning)
                let valid = tokens.filter { $0 >= 0 && Int($0) < model.vocabularySize }
                prompts.append(Prompt(request: request, text: model.tokenizer.decode(valid)))
            } else {
                throw APIError.invalid(
                    "prompt",
                    "'prompt' must be a text, a list of tokens, or a list of texts or of lists of tokens")
            }
        }
    }

    /// Refuses what an encoder-decoder cannot do, each with the reason.
    func checkEncoderDecoder(_ template: ServingRequest, _ model: ServingModel) throws {
        if template.scoresPrompt {
            throw APIError.invalid(
                "echo",
                "'echo' with 'logprobs' scores the tokens of a prompt, but '\(model.name)' is an encoder-decoder, which reads"
                    + " prompts in both directions and gives their tokens no probabilities: leave one of them out",
                code: "encoder_decoder")
        }
        if template.usesCache {
            throw APIError.invalid(
                "cache_prompt",
                "'cache_prompt' is not for '\(model.name)': it is an encoder-decoder, which reads prompts in both directions, so"
                    + " that what it makes of a beginning depends on the end", code: "encoder_decoder")
        }
    }

    func checkCombinations() throws {
        func refuse(_ name: String, _ message: String) throws { throw APIError.invalid(name, message) }
        if candidateCount < choiceCount {
            try refuse(
                "best_of",
                "'best_of' is \(candidateCount), but must not be less than 'n', which is \(choiceCount)")
        }
        if streams, candidateCount > choiceCount {
            try refuse(
                "best_of", "'best_of' above 'n' cannot be streamed: the best texts are known at the end only")
        }
        let count = prompts.count * candidateCount
        if savedName != nil, count != 1 {
            try refuse(
                "save_state",
                "'save_state' needs exactly one prompt and one text, but this request has \(count)")
        }
        if echoes, topCount != nil, prompts.contains(where: { $0.request.start != nil }) {
            try refuse(
                "echo",
                "'echo' with 'logprobs' scores a prompt from its beginning: it cannot continue a 'state'")
        }
    }

    // MARK: Choice of tokens

    /// Reads the fields of sampling; the model folder has the values of those that are missing.
    static func sampling(_ fields: inout RequestFields, _ model: ServingModel, maxTokens: Int) throws
        -> SamplingParameters
    {
        var result = model.defaults
        result.maxTokens =
            try fields.read(Fields.maxTokens) ?? model.defaultMaxTokens ?? maxTokens
        result.temperature = try fields.read(Fields.temperature) ?? result.temperature
        result.topP = try fields.read(Fields.topP) ?? result.topP
        // Other servers write -1 for all.
        result.topK = max(0, try fields.read(Fields.topK) ?? result.topK)
        result.minP = try fields.read(Fields.minP) ?? result.minP
        result.repetitionPenalty =
            try fields.read(Fields.repetitionPenalty) ?? result.repetitionPenalty
        result.repetitionWindow =
            try fields.read(Fields.repetitionWindow)
            ?? result.repetitionWindow
        result.seed = try fields.read(Fields.seed)
        result.stopStrings = try fields.read(Fields.stop) ?? []
        result.stopsAtEndToken = !(try fields.read(Fields.ignoresEnd) ?? false)
        return result
    }

    static func adjustments(_ fields: inout RequestFields, _ model: ServingModel) throws
        -> LogitAdjustments
    {
        var result = LogitAdjustments()
        result.frequencyPenalty = try fields.read(Fields.frequencyPenalty) ?? 0
        result.presencePenalty = try fields.read(Fields.presencePenalty) ?? 0
        guard let bias = try fields.read(Fields.logitBias) else { return result }
        guard case .object(let members) = bias else {
            throw APIError.invalid("logit_bias", "'logit_bias' must be an object of tokens and numbers")
        }
        for member in members {
            guard let token = Int32(member.name), token >= 0, Int(token) < model.vocabularySize else {
                throw APIError.invalid(
                    "logit_bias",
                    "'logit_bias' has '\(member.name)', which is no token from 0 to \(model.vocabularySize - 1)"
                )
            }
            let value: Double? =
                switch member.value {
                case .int(let number): Double(number)
                case .double(let number): number
                default: nil
                }
            guard let value, (-100.0...100).contains(value) else {
                throw APIError.invalid(
                    "logit_bias", "'logit_bias' of the token \(token) must be a number from -100 to 100")
            }
            result.bias[token] = value
        }
        return result
    }
}
