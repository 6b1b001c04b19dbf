import RetNetSampling
import RetNetServing
import RetNetStorage

/// The fields of all requests.
enum Fields {
    /// The largest values of `n` and `best_of`.
    static let choiceLimit = 128
    static let promptLimit = 2048
    static let stopLimit = 16
    static let topLimit = 20

    // MARK: Both kinds of completions

    static let model = Field.text("model", "Name of the model; the first one of the server if it is missing.")
    static let choiceCount = Field.integer("n", 1...choiceLimit, "Number of texts for each prompt.")
    static let streams = Field.flag("stream", "True to get the text piece by piece, as server-sent events.")
    static let includesUsage = Field.flag("include_usage", "True for a last chunk with the counts of tokens.")
    static let reportsUsage = Field.flag(
        "continuous_usage_stats", "True for the counts so far in every chunk; needs 'include_usage': true.")
    static let streamOptions = Field<JSONValue>.any(
        "stream_options", "Options of a stream; needs 'stream': true.",
        schema: Schema.object([includesUsage, reportsUsage], isNullable: true))
    static let user = Field.text("user", "Accepted and not used.")
    static let maxTokens = Field.integer(
        "max_tokens", 0...Int.max, "Largest number of tokens to generate; 0 only reads the prompt.")
    static let temperature = Field.number(
        "temperature", 0...100, "Divides the logits; 0 takes the most probable token.")
    static let topP = Field.number(
        "top_p", 0...1, "Keeps the most probable tokens with this probability together.", isOpenBelow: true)
    static let topK = Field.integer(
        "top_k", -1...Int.max, "Keeps so many of the most probable tokens; 0 and -1 keep all.")
    static let minP = Field.number(
        "min_p", 0...1, "Keeps tokens with this part of the probability of the most probable one.")
    static let repetitionPenalty = Field.number(
        "repetition_penalty", 0.01...100,
        "Divides positive logits of recent tokens, multiplies negative ones.")
    static let repetitionWindow = Field.integer(
        "repetition_window", 1...SamplingParameters.maximumRepetitionWindow, "Number of recent tokens.")
    static let frequencyPenalty = Field.number(
        "frequency_penalty", -2...2, "Is taken from the logit of a token for every time it was generated.")
    static let presencePenalty = Field.number(
        "presence_penalty", -2...2, "Is taken from the logits of tokens that were generated.")
    static let logitBias = Field<JSONValue>.any(
        "logit_bias", "Numbers that are added to the logits of tokens.",
        schema: [
            "type": ["object", "null"], "propertyNames": ["pattern": "^[0-9]{1,9}$"],
            "additionalProperties": ["type": "number", "minimum": -100, "maximum": 100],
        ])
    static let seed = Field.seed("seed", "Seed of the first text; text c has the seed plus c.")
    static let stop = Field.texts("stop", limit: stopLimit, "Texts at which to stop.")
    static let ignoresEnd = Field.flag("ignore_eos", "True to go on after end tokens.")
    static let cachesPrompt = Field.flag(
        "cache_prompt", "False to read the prompt from its beginning and to keep no state behind it.")
    static let savedState = Field.text(
        "save_state", "Name under which to keep the state behind the text.", pattern: Schema.stateName)
    static let replacesState = Field.flag("replace_state", "True to replace a state that has the name.")
    static let persistsState = Field.flag(
        "persist_state", "True to keep the state in the server's folder, too.")

    private static let common: [any DeclaredField] = [
        model, choiceCount, streams, streamOptions, user, maxTokens, temperature, topP, topK, minP,
        repetitionPenalty, repetitionWindow, frequencyPenalty, presencePenalty, logitBias, seed, stop,
        ignoresEnd,
        cachesPrompt, savedState, replacesState, persistsState,
    ]

    // MARK: /v1/completions

    static let prompt = Field<JSONValue>.any(
        "prompt", "A text, a list of tokens, or a list of either; may be missing if a 'state' is continued.",
        schema: [
            "anyOf": [
                ["type": "string"], ["type": "array", "items": Field<[Int32]>.token, "minItems": 1],
                [
                    "type": "array", "minItems": 1, "maxItems": .int(promptLimit),
                    "items": [
                        "anyOf": [
                            ["type": "string"],
                            ["type": "array", "items": Field<[Int32]>.token, "minItems": 1],
                        ]
                    ],
                ], ["type": "null"],
            ]
        ])
    static let candidateCount = Field.integer(
        "best_of", 1...choiceLimit, "Number of texts of which the 'n' most probable ones are returned.")
    static let echoes = Field.flag(
        "echo", "True to begin with the prompt, with its scores if 'logprobs' is there.")
    static let topCount = Field.integer(
        "logprobs", 0...topLimit, "Number of most probable tokens to report with each token.")
    static let suffix = Field<JSONValue>.any(
        "suffix", "Not supported: must be empty.", schema: ["type": ["string", "null"], "maxLength": 0])
    static let addsBeginToken = Field.flag(
        "add_special_tokens", "False to leave out the token that begins texts.")
    static let state = Field.text("state", "Name of the state to begin from.", pattern: Schema.stateName)

    static let completion =
        common + [prompt, candidateCount, echoes, topCount, suffix, addsBeginToken, state]

    // MARK: /v1/chat/completions

    static let messages = Field<JSONValue>.any(
        "messages", "The conversation.",
        schema: [
            "type": "array", "minItems": 1,
            "items": [
                "type": "object", "required": ["role"],
                "properties": [
                    "role": ["type": "string"],
                    "content": [
                        "anyOf": [
                            ["type": "string"], ["type": "null"],
                            [
                                "type": "array",
                                "items": [
                                    "type": "object", "required": ["type", "text"],
                                    "properties": ["type": ["const": "text"], "text": ["type": "string"]],
                                ],
                            ],
                        ]
                    ],
                ],
            ],
        ]
    ).required
    static let reportsScores = Field.flag("logprobs", "True to report the log-probabilities of tokens.")
    static let topScores = Field.integer(
        "top_logprobs", 0...topLimit, "Number of most probable tokens to report; needs 'logprobs': true.")
    static let maxCompletionTokens = Field.integer(
        "max_completion_tokens", 0...Int.max, "The newer name of 'max_tokens'; it counts if both are there.")
    static let addsPrompt = Field.flag(
        "add_generation_prompt", "False to leave out what the template puts before an answer.")
    static let templateNames = Field<JSONValue>.any(
        "chat_template_kwargs", "Further names for the chat template.", schema: ["type": ["object", "null"]])

    static let chat =
        common + [messages, reportsScores, topScores, maxCompletionTokens, addsPrompt, templateNames]

    // MARK: States and tokens

    static let id = Field.text("id", "Name of the new state.", pattern: Schema.stateName).required
    static let parent = Field.text(
        "from", "Name of the state that it continues, or copies without a 'prompt'.",
        pattern: Schema.stateName)
    static let statePrompt = Field<JSONValue>.any(
        "prompt", "What is read: a text or a list of tokens.",
        schema: [
            "anyOf": [
                ["type": "string"], ["type": "array", "items": Field<[Int32]>.token, "minItems": 1],
                ["type": "null"],
            ]
        ])
    static let persists = Field.flag("persist", "True to keep the state in the server's folder, too.")

    static let newState: [any DeclaredField] = [model, id, parent, statePrompt, persists]

    static let text = Field.text("prompt", "A text.").required
    static let namesTokens = Field.flag("return_token_strs", "True to get the tokens' names, too.")
    static let tokenization: [any DeclaredField] = [model, text, addsBeginToken, namesTokens]

    static let tokens = Field.tokens("tokens", "Tokens.").required
    static let detokenization: [any DeclaredField] = [model, tokens]
}

/// Parts of JSON Schema.
enum Schema {
    static let stateName = #"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$"#

    /// The schema of an object with exactly these fields.
    static func object(_ fields: [any DeclaredField], isNullable: Bool = false) -> JSONValue {
        let properties = fields.map { field in
            (
                name: field.name,
                value: (field.isRequired ? field.schema.withoutNull : field.schema)
                    .adding("description", .string(field.summary))
            )
        }
        let required = fields.filter(\.isRequired).map { JSONValue.string($0.name) }
        var schema: [JSONValue.Member] = [
            (name: "type", value: isNullable ? ["object", "null"] : "object"),
            (name: "properties", value: .object(properties)),
            (name: "additionalProperties", value: false),
        ]
        if !required.isEmpty { schema.append((name: "required", value: .array(required))) }
        return .object(schema)
    }
}

extension JSONValue {
    /// A schema that does not allow null.
    var withoutNull: JSONValue {
        guard case .object(let members) = self else { return self }
        return .object(
            members.map { member in
                guard case .array(let choices) = member.value else { return member }
                let left = choices.filter { $0 != "null" && $0 != ["type": "null"] }
                return (
                    name: member.name,
                    value: member.name == "type" && left.count == 1 ? left[0] : .array(left)
                )
            })
    }

    /// An object with one member more; other values stay as they are.
    func adding(_ name: String, _ value: JSONValue) -> JSONValue {
        guard case .object(let members) = self else { return self }
        return .object(members + [(name: name, value: value)])
    }
}
