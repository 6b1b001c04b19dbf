import RetNetStorage

/// The description of all endpoints in OpenAPI 3.1: requests from the declarations by which they are read.
enum OpenAPI {
    /// One method of one path.
    struct Operation: Sendable {
        let path: String
        let method: String
        let id: String
        let summary: String
        /// The fields of the body; nil without a body.
        var fields: [any DeclaredField]?
        /// The name of the answer's schema, or the type of an answer that is no JSON.
        var answer = Answer.schema("Object")
        /// Parameters besides those of the path.
        var query: [String] = []
        /// Statuses of errors besides those that all have.
        var errors: [Int] = []
        /// False for what needs no key.
        var needsKey = true
    }

    enum Answer: Sendable {
        case schema(String)
        /// A JSON object, or server-sent events with `stream`.
        case stream(String)
        case text(String)
    }

    private static let generating = [404, 408, 409, 413, 415, 429, 500, 504, 507]

    static let operations: [Operation] = [
        Operation(
            path: "/v1/completions", method: "post", id: "createCompletion", summary: "Continue texts.",
            fields: Fields.completion, answer: .stream("Completion"), errors: generating),
        Operation(
            path: "/v1/chat/completions", method: "post", id: "createChatCompletion",
            summary: "Answer a conversation.", fields: Fields.chat, answer: .stream("ChatCompletion"),
            errors: generating),
        Operation(
            path: "/v1/models", method: "get", id: "listModels", summary: "The models.",
            answer: .schema("ModelList")),
        Operation(
            path: "/v1/models/{model}", method: "get", id: "getModel", summary: "One model.",
            answer: .schema("Model"), errors: [404]),
        Operation(
            path: "/v1/states", method: "get", id: "listStates", summary: "The states with names.",
            answer: .schema("StateList"), query: ["model"], errors: [404]),
        Operation(
            path: "/v1/states", method: "post", id: "createState",
            summary: "Read a prompt, after another state or from the beginning, or copy a state.",
            fields: Fields.newState, answer: .schema("State"), errors: generating),
        Operation(
            path: "/v1/states/{state}", method: "get", id: "getState", summary: "One state.",
            answer: .schema("State"), query: ["model"], errors: [404, 409, 500, 507]),
        Operation(
            path: "/v1/states/{state}", method: "delete", id: "deleteState",
            summary: "Delete a state, its file included.", answer: .schema("Deletion"), query: ["model"],
            errors: [404, 500]),
        Operation(
            path: "/v1/states/{state}/save", method: "post", id: "saveState",
            summary: "Write a state to the server's folder.", answer: .schema("State"), query: ["model"],
            errors: [404, 409, 500, 507]),
        Operation(
            path: "/tokenize", method: "post", id: "tokenize", summary: "The tokens of a text.",
            fields: Fields.tokenization, answer: .schema("Tokens"), errors: [404, 408, 413, 415]),
        Operation(
            path: "/detokenize", method: "post", id: "detokenize", summary: "The text of tokens.",
            fields: Fields.detokenization, answer: .schema("Text"), errors: [404, 408, 413, 415]),
        Operation(
            path: "/tokenizer_info", method: "get", id: "tokenizerInfo",
            summary: "Facts about the tokenizer.",
            query: ["model"], errors: [404]),
        Operation(
            path: "/health", method: "get", id: "health",
            summary: "200 if requests are taken and the engine makes progress.", answer: .schema("Health"),
            needsKey: false),
        Operation(
            path: "/metrics", method: "get", id: "metrics", summary: "Figures in Prometheus' text format.",
            answer: .text("text/plain")),
        Operation(
            path: "/openapi.json", method: "get", id: "description", summary: "This description."),
    ]

    /// Returns the description.
    static func description(version: String) -> JSONValue {
        var paths: [JSONValue.Member] = []
        for operation in operations {
            let object = (name: operation.method, value: operation.json)
            if let index = paths.firstIndex(where: { $0.name == operation.path }) {
                guard case .object(let members) = paths[index].value else { continue }
                paths[index] = (name: operation.path, value: .object(members + [object]))
            } else {
                paths.append((name: operation.path, value: .object([object])))
            }
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "retnet-server", "version": .string(version),
                "description": "Language models of constant state over HTTP, with OpenAI's interface.",
            ],
            "paths": .object(paths),
            "components": [
                "schemas": schemas,
                "securitySchemes": ["key": ["type": "http", "scheme": "bearer"]],
            ],
        ]
    }
}

extension OpenAPI.Operation {
    var json: JSONValue {
        var members: [JSONValue.Member] = [
            (name: "operationId", value: .string(id)), (name: "summary", value: .string(summary)),
        ]
        let parameters =
            pathParameters.map { parameter($0, place: "path") } + query.map { parameter($0, place: "query") }
        if !parameters.isEmpty { members.append((name: "parameters", value: .array(parameters))) }
        if let fields {
            members.append(
                (
                    name: "requestBody",
                    value: [
                        "required": true, "content": ["application/json": ["schema": Schema.object(fields)]],
                    ]
                ))
        }
        members.append((name: "responses", value: responses))
        // A server without keys takes requests without one.
        if needsKey { members.append((name: "security", value: [["key": []], [:]])) }
        return .object(members)
    }

    private var pathParameters: [String] {
        path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }

    private func parameter(_ name: String, place: String) -> JSONValue {
        [
            "name": .string(name), "in": .string(place), "required": .bool(place == "path"),
            "schema": ["type": "string"],
        ]
    }

    private var responses: JSONValue {
        func content(_ type: String, _ schema: JSONValue) -> JSONValue.Member {
            (name: type, value: ["schema": schema])
        }
        let answers: [JSONValue.Member] =
            switch answer {
            case .schema(let name): [content("application/json", .reference(name))]
            case .stream(let name):
                [
                    content("application/json", .reference(name)),
                    content("text/event-stream", ["type": "string"]),
                ]
            case .text(let type): [content(type, ["type": "string"])]
            }
        var members: [JSONValue.Member] = [
            (name: "200", value: ["description": "The answer.", "content": .object(answers)])
        ]
        if id == "health" {
            let value: JSONValue = [
                "description": "No requests are taken.",
                "content": .object([content("application/json", .reference("Health"))]),
            ]
            return .object(members + [(name: "503", value: value)])
        }
        for status in Set([400, 401, 403, 503] + errors).sorted() {
            members.append(
                (
                    name: "\(status)",
                    value: [
                        "description": .string(Self.reasons[status] ?? "An error."),
                        "content": .object([content("application/json", .reference("Error"))]),
                    ]
                ))
        }
        return .object(members)
    }

    private static let reasons = [
        400: "A wrong value.", 401: "A key is missing or wrong.",
        403: "A page of another site, or a strange host.",
        404: "There is no such model or state.", 408: "The body did not arrive in time.",
        409: "There is a state of the name already, or it is of another model.",
        413: "The body is too large.", 415: "The body is not JSON.",
        429: "Too many requests wait; see Retry-After.",
        500: "The server failed.", 503: "The model is being loaded, or the server shuts down.",
        504: "The request took too long.", 507: "States with names fill their memory.",
    ]
}

extension JSONValue {
    fileprivate static func reference(_ name: String) -> JSONValue {
        ["$ref": .string("#/components/schemas/\(name)")]
    }
}

// MARK: Answers

extension OpenAPI {
    private static let number: JSONValue = ["type": "integer", "minimum": 0]
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let optionalNumber: JSONValue = ["type": ["integer", "null"]]

    private static func object(_ required: JSONValue, optional: JSONValue = [:]) -> JSONValue {
        guard case .object(let needed) = required, case .object(let more) = optional else { return required }
        return [
            "type": "object", "required": .array(needed.map { .string($0.name) }),
            "properties": .object(needed + more),
        ]
    }

    private static func list(_ element: String, more: JSONValue = [:]) -> JSONValue {
        guard case .object(let members) = more else { return more }
        return object(
            .object(
                [
                    (name: "object", value: ["const": "list"]),
                    (name: "data", value: ["type": "array", "items": .reference(element)]),
                ] + members))
    }

    private static func completion(_ kind: JSONValue, choice: JSONValue) -> JSONValue {
        object(
            [
                "id": text, "object": ["const": kind], "created": number, "model": text,
                "choices": ["type": "array", "items": choice], "usage": .reference("Usage"),
            ], optional: ["state": .reference("State")])
    }

    static let schemas: JSONValue = [
        "Object": ["type": "object"],
        "Error": object([
            "error": object(["message": text, "type": text, "param": optionalText, "code": optionalText])
        ]),
        "Usage": object([
            "prompt_tokens": number, "completion_tokens": number, "total_tokens": number,
            "prompt_tokens_details": object(["cached_tokens": number]),
        ]),
        "Completion": completion(
            "text_completion",
            choice: object([
                "index": number, "text": text, "logprobs": ["type": ["object", "null"]],
                "finish_reason": text,
            ])),
        "ChatCompletion": completion(
            "chat.completion",
            choice: object([
                "index": number,
                "message": object(["role": ["const": "assistant"], "content": text]),
                "logprobs": ["type": ["object", "null"]], "finish_reason": text,
            ])),
        "Model": object([
            "id": text, "object": ["const": "model"], "created": number, "owned_by": text,
            "max_model_len": optionalNumber, "kind": ["enum": ["language_model", "encoder_decoder"]],
            "parameters": number, "state_bytes": number, "state_bytes_per_token": number,
        ]),
        "ModelList": list("Model"),
        "State": object([
            "id": text, "object": ["const": "state"], "parent": optionalText, "tokens": optionalNumber,
            "bytes": optionalNumber, "created": optionalNumber, "loaded": ["type": "boolean"],
            "saved": ["type": "boolean"],
        ]),
        "StateList": list("State", more: ["bytes": number, "byte_limit": number]),
        "Deletion": object(["id": text, "object": ["const": "state"], "deleted": ["const": true]]),
        "Tokens": object([
            "tokens": ["type": "array", "items": number], "count": number, "max_model_len": optionalNumber,
            "token_strs": ["type": ["array", "null"], "items": text],
        ]),
        "Text": object(["prompt": text]),
        "Health": object(
            ["status": text], optional: ["waiting": number, "reading": number, "generating": number]),
    ]
}
