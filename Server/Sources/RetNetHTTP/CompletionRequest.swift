import Foundation
import RetNetSampling
import RetNetServing
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

    /// The largest values of `n` and `best_of`.
    static let choiceLimit = 128
    static let promptLimit = 2048
    static let stopLimit = 16
    /// OpenAI's default of `max_tokens` for completions.
    static let defaultMaxTokens = 16

    /// Reads the fields; throws ``APIError`` and ``ServingError`` for the first one that is wrong.
    init(_ body: JSONValue, model: ServingModel, states: StateKeeper, deadline: ContinuousClock.Instant?)
        throws
    {
        var fields = try RequestFields(body)
        try Self.checkModel(&fields, model)
        choiceCount = try fields.integer("n", 1...Self.choiceLimit) ?? 1
        candidateCount = try fields.integer("best_of", 1...Self.choiceLimit) ?? choiceCount
        echoes = try fields.bool("echo") ?? false
        try readStreaming(&fields)
        topCount = try fields.integer("logprobs", 0...20)
        if let suffix = try fields.string("suffix"), !suffix.isEmpty {
            throw APIError.invalid(
                "suffix", "'suffix' is not supported: the model reads texts from front to back")
        }
        _ = try fields.string("user")
        var template = ServingRequest(tokens: [])
        template.sampling = try Self.sampling(&fields, model, maxTokens: Self.defaultMaxTokens)
        template.adjustments = try Self.adjustments(&fields, model)
        template.choiceCount = candidateCount
        template.topCount = topCount ?? (candidateCount > choiceCount ? 0 : nil)
        template.scoresPrompt = echoes && topCount != nil
        template.usesCache = try fields.bool("cache_prompt") ?? true
        template.deadline = deadline
        try readStates(&fields, &template, states)
        let begin: BeginTokenChoice = try fields.bool("add_special_tokens") ?? true ? .auto : .no
        guard let prompt = fields.take("prompt") ?? (template.start == nil ? JSONValue?.none : .string(""))
        else {
            throw APIError.invalid("prompt", "'prompt' is missing: give a text or a list of tokens")
        }
        try fields.finish()
        try readPrompts(prompt, template, model, begin)
        try checkCombinations()
    }

    mutating func readStreaming(_ fields: inout RequestFields) throws {
        streams = try fields.bool("stream") ?? false
        guard let options = fields.take("stream_options") else { return }
        guard streams else {
            throw APIError.invalid("stream_options", "'stream_options' needs 'stream': true")
        }
        var inner = try RequestFields(options)
        includesUsage = try inner.bool("include_usage") ?? false
        reportsUsage = try inner.bool("continuous_usage_stats") ?? false
        guard includesUsage || !reportsUsage else {
            throw APIError.invalid(
                "stream_options", "'stream_options.continuous_usage_stats' needs 'include_usage': true")
        }
        try inner.finish()
    }

    mutating func readStates(
        _ fields: inout RequestFields, _ template: inout ServingRequest, _ states: StateKeeper
    ) throws {
        if let name = try fields.string("state") {
            template.start = try states.state(named: name).snapshot
        }
        savedName = try fields.string("save_state")
        replacesState = try fields.bool("replace_state") ?? false
        persistsState = try fields.bool("persist_state") ?? false
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
        guard let name = try fields.string("model"), name != model.name else { return }
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
        guard (1...Self.promptLimit).contains(elements.count) else {
            throw APIError.invalid(
                "prompt", "'prompt' must have 1 to \(Self.promptLimit) prompts, but it has \(elements.count)")
        }
        for element in elements {
            var request = template
            if case .string(let text) = element {
                let place = template.start?.place
                (request.tokens, request.place) = model.tokens(of: text, begin: begin, continuing: place)
                prompts.append(Prompt(request: request, text: text))
            } else if let tokens = RequestFields.tokens(element) {
                request.tokens = tokens
                request.place = model.tokenizer.place(
                    after: tokens, from: template.start?.place ?? .beginning)
                let valid = tokens.filter { $0 >= 0 && Int($0) < model.vocabularySize }
                prompts.append(Prompt(request: request, text: model.tokenizer.decode(valid)))
            } else {
                throw APIError.invalid(
                    "prompt",
                    "'prompt' must be a text, a list of tokens, or a list of texts or of lists of tokens")
            }
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
            try fields.integer("max_tokens", 0...Int.max) ?? model.defaultMaxTokens ?? maxTokens
        result.temperature = try fields.number("temperature", 0...100) ?? result.temperature
        result.topP = try fields.number("top_p", 0...1) ?? result.topP
        if result.topP == 0 {
            throw APIError.invalid("top_p", "'top_p' must be a number above 0 and at most 1, but it is 0")
        }
        // Other servers write -1 for all.
        result.topK = max(0, try fields.integer("top_k", -1...Int.max) ?? result.topK)
        result.minP = try fields.number("min_p", 0...1) ?? result.minP
        result.repetitionPenalty =
            try fields.number("repetition_penalty", 0.01...100) ?? result.repetitionPenalty
        result.repetitionWindow =
            try fields.integer("repetition_window", 1...SamplingParameters.maximumRepetitionWindow)
            ?? result.repetitionWindow
        result.seed = try fields.seed("seed")
        result.stopStrings = try fields.strings("stop", limit: Self.stopLimit) ?? []
        result.stopsAtEndToken = !(try fields.bool("ignore_eos") ?? false)
        return result
    }

    static func adjustments(_ fields: inout RequestFields, _ model: ServingModel) throws
        -> LogitAdjustments
    {
        var result = LogitAdjustments()
        result.frequencyPenalty = try fields.number("frequency_penalty", -2...2) ?? 0
        result.presencePenalty = try fields.number("presence_penalty", -2...2) ?? 0
        guard let bias = fields.take("logit_bias") else { return result }
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
