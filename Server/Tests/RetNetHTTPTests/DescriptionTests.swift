import Foundation
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// `/openapi.json`, and several models in one server.
@Suite struct DescriptionTests {
    @Test func `every operation of the description is an endpoint, and every reference has an end`()
        async throws
    {
        try await withServer { client, _ in
            let description = try await client.get("/openapi.json")
            #expect(description.status == 200 && description.json["openapi"] == "3.1.0")
            let schemas = description.json["components"]?["schemas"]
            for part in description.text.components(separatedBy: "#/components/schemas/").dropFirst() {
                let name = String(part.prefix { $0 != "\"" })
                #expect(schemas?[name] != nil, "\(name)")
            }
            for operation in OpenAPI.operations {
                let path = operation.path.replacing("{model}", with: "story").replacing(
                    "{state}", with: "none")
                let answer = try await client.send(
                    operation.method.uppercased(), path, operation.fields == nil ? nil : "{}")
                #expect(answer.status != 405 && answer.error.code != "unknown_url", "\(operation.path)")
                let documented = description.json["paths"]?[operation.path]?[operation.method]?["responses"]
                #expect(documented?["\(answer.status)"] != nil, "\(operation.path): \(answer.status)")
                let others = ["GET", "POST", "DELETE", "PUT", "PATCH"].filter { method in
                    !OpenAPI.operations.contains {
                        $0.path == operation.path && $0.method.uppercased() == method
                    }
                }
                for method in others {
                    let refused = try await client.send(method, path, method == "GET" ? nil : "{}")
                    #expect(refused.status == 405, "\(method) \(path)")
                }
            }
        }
    }

    /// Values that may stand in the fields.
    private static let values: [String: JSONValue] = [
        "model": "story", "stream_options": ["include_usage": true, "continuous_usage_stats": true],
        "logit_bias": ["65": 2], "stop": ["x"],
        "prompt": "The", "suffix": "", "messages": [["role": "user", "content": "The"]], "id": "new",
        "chat_template_kwargs": [:], "tokens": [84], "best_of": 2, "n": 2, "repetition_penalty": 1,
        "seed": -7,
    ]

    @Test func `every declared field is read, and null counts as absent`() async throws {
        try await withServer(
            .story, .testing { $0.stateFolder = NSTemporaryDirectory() + "/fields-\(UUID())" }
        ) {
            client, core in
            for operation in OpenAPI.operations {
                guard let fields = operation.fields else { continue }
                #expect(Set(fields.map(\.name)).count == fields.count)
                for field in fields {
                    var members: [String: JSONValue] = ["max_tokens": 1]
                    if !fields.contains(where: { $0.name == "max_tokens" }) { members = [:] }
                    for needed in fields where needed.isRequired || needed.name == "prompt" {
                        members[needed.name] = Self.values[needed.name]
                    }
                    switch field.name {
                    case "top_logprobs": members["logprobs"] = true
                    case "stream_options", "include_usage": members["stream"] = true
                    case "replace_state", "persist_state": members["save_state"] = "kept"
                    case "n" where fields.contains { $0.name == "best_of" }: members["best_of"] = 2
                    default: break
                    }
                    let type = field.schema["type"]?.array.first
                    let value: JSONValue? =
                        Self.values[field.name] ?? (type == "boolean" ? true : type == "string" ? "kept" : 1)
                    for value in [value, .null] {
                        var body = members
                        if value == .null, field.name == "prompt" { continue }
                        // What is required may not be absent.
                        if value == .null, field.isRequired {
                            let answer = try await client.post(operation.path, [:])
                            #expect(answer.status == 400, "\(operation.path)")
                            #expect(field.schema.withoutNull["type"]?.array.isEmpty ?? true, "\(field.name)")
                            continue
                        }
                        body[field.name] = value
                        // The names of states are used up.
                        for name in ["kept", "new"] {
                            _ = try await client.send("DELETE", "/v1/states/\(name)")
                        }
                        if ["state", "from"].contains(field.name) {
                            _ = try await client.post("/v1/states", ["id": "kept", "prompt": "The"])
                        }
                        let list = body.map { (name: $0.key, value: $0.value) }
                        let answer = try await client.post(operation.path, .object(list))
                        #expect(answer.status == 200, "\(operation.path) \(body): \(answer.text)")
                    }
                }
                let wrong = try await client.post(operation.path, ["nothing_of_the_kind": 1])
                #expect(wrong.status == 400, "\(operation.path)")
            }
            if let folder = core.configuration.stateFolder {
                try? FileManager.default.removeItem(atPath: folder)
            }
        }
    }

    @Test func `several models answer to their names`() async throws {
        try await withServer(.story, more: [.hybrid]) { client, core in
            let list = try await client.get("/v1/models").json["data"]?.array ?? []
            #expect(list.map { $0["id"] } == ["story", "hybrid"])
            for golden in GoldenText.all where golden.options == ["--temperature", "0"] {
                let body: JSONValue = [
                    "model": .string(golden.model), "prompt": .string(golden.prompt), "max_tokens": 40,
                    "temperature": 0,
                ]
                let answer = try await client.complete(body)
                #expect(answer.json.firstChoice?["text"]?.string == golden.text)
                #expect(answer.json["model"]?.string == golden.model)
            }
            let first = try await client.complete(["prompt": "The", "max_tokens": 1])
            #expect(first.json["model"] == "story")
            let unknown = try await client.complete(["model": "x", "prompt": "The"])
            #expect(unknown.status == 404 && unknown.error.message?.contains("'story', 'hybrid'") == true)
            // States belong to a model.
            let made = try await client.post("/v1/states", ["id": "s", "prompt": "The", "model": "hybrid"])
            #expect(made.status == 200)
            #expect(try await client.get("/v1/states/s").status == 404)
            #expect(try await client.get("/v1/states/s?model=hybrid").status == 200)
            #expect(try await client.complete(["state": "s", "max_tokens": 1]).status == 404)
            #expect(
                try await client.complete(["state": "s", "max_tokens": 1, "model": "hybrid"]).status == 200)
            #expect(try await client.get("/tokenizer_info?model=hybrid").status == 200)
            #expect(try await client.get("/tokenizer_info?model=x").status == 404)
            let metrics = try await client.get("/metrics").text
            #expect(metrics.components(separatedBy: "# TYPE retnet_passes_total").count == 2)
            #expect(metrics.contains("retnet_passes_total{model_name=\"hybrid\"}"))
            #expect(core.engines.count == 2)
        }
        let core = ServerCore(.testing { _ in }, logger: .init(label: "tests"))
        #expect(throws: ServerCore.ModelNameTwice(name: "story")) {
            try core.serve([Fixture.story.model(), Fixture.story.model()])
        }
    }

    @Test func `an engine that makes no progress is not healthy`() async throws {
        try await withServer(.story, .testing { $0.stallTimeout = .zero }) { client, core in
            #expect(try await client.get("/health").status == 200)
            let endless = Task {
                try await client.complete(["prompt": .string(storyText(1_000_000)), "max_tokens": 1])
            }
            while core.engine?.status.isIdle == true { try await Task.sleep(for: .milliseconds(1)) }
            let stuck = try await client.get("/health")
            #expect(stuck.status == 503 && stuck.json["status"] == "stuck")
            endless.cancel()
            _ = try? await endless.value
        }
    }
}
