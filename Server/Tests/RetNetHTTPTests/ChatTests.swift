import ChatTemplates
import Foundation
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// Conversations: templates, and `/v1/chat/completions`.
@Suite struct ChatTests {
    /// Renders the cases of a file of `Fixtures/make_templates.py`; returns what differs from Jinja2.
    private static func differences(_ path: String) throws -> (count: Int, differences: [String]) {
        let data = try #require(FileManager.default.contents(atPath: path))
        let cases = try JSONValue(reading: data).array
        var differences: [String] = []
        for (index, test) in cases.enumerated() {
            let template = test["template"]?.string ?? ""
            var names = TemplateDictionary()
            if case .object(let members)? = test["names"] {
                for member in members { names[member.name] = ChatFormat.value(member.value) }
            }
            let found: String?
            var reason = ""
            do {
                found = try ChatTemplate(template).render(names)
            } catch {
                found = nil
                reason = "\(error)"
            }
            if found != test["text"]?.string
                || found?.utf8.elementsEqual((test["text"]?.string ?? "").utf8) == false
            {
                differences.append(
                    "\(index) \(test["names"]?["name"]?.string ?? "") \(template.prefix(300)): '\(found ?? reason)' is not '\(test["text"]?.string ?? "an error")'"
                )
            }
        }
        return (cases.count, differences)
    }

    @Test func `templates give the text of Jinja2, or an error where it does`() throws {
        let (count, differences) = try Self.differences(Fixture.folder + "/templates.json")
        #expect(count > 50)
        #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    }

    /// Set `RETNET_TEMPLATE_CASES` to what `make_templates.py FOLDER` wrote for a folder of real templates.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["RETNET_TEMPLATE_CASES"] != nil))
    func `real templates give the text of Jinja2`() throws {
        let path = ProcessInfo.processInfo.environment["RETNET_TEMPLATE_CASES"] ?? ""
        let (_, differences) = try Self.differences(path)
        #expect(
            differences.isEmpty, "\(differences.count): \(differences.prefix(12).joined(separator: "\n"))")
    }

    @Test func `templates without an end are stopped`() {
        let names = TemplateDictionary()
        for text in [
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ 'x' * 9999999999 }}",
            "{{ range(999999999999) }}",
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            String(repeating: "(", count: 100_000), "{{ " + String(repeating: "(", count: 100_000),
            "{{ " + String(repeating: "not ", count: 100_000) + "1 }}",
            String(repeating: "{% if 1 %}", count: 100_000),
            "{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 2 ** 64 }}",
            "{{ 7 ** 99999999 }}",
            "{{ (-9223372036854775807 - 1) // -1 }}",
        ] {
            if text.hasPrefix("((") { continue }
            #expect(throws: TemplateError.self) { try ChatTemplate(text).render(names) }
        }
    }

    private static let messages: JSONValue = [["role": "user", "content": "The fox"]]

    @Test func `an answer is a message, whole and streamed`() async throws {
        try await withServer { client, _ in
            let answer = try await client.post(
                "/v1/chat/completions",
                [
                    "messages": Self.messages, "max_tokens": 12, "temperature": 0, "logprobs": true,
                    "top_logprobs": 2,
                ])
            let json = answer.json
            #expect(answer.status == 200 && json["object"] == "chat.completion")
            let message = json.firstChoice?["message"]
            #expect(message?["role"] == "assistant")
            let text = message?["content"]?.string ?? ""
            // The plain form is a prompt like any other.
            let plain = try await client.complete([
                "prompt": "User: The fox\nAssistant:", "max_tokens": 12, "temperature": 0,
                "stop": ["\nUser:", "\nSystem:"],
            ])
            #expect(text == plain.json.firstChoice?["text"]?.string && !text.isEmpty)
            let scores = json.firstChoice?["logprobs"]?["content"]?.array ?? []
            #expect(scores.compactMap { $0["token"]?.string }.joined() == text)
            #expect(
                scores.allSatisfy {
                    $0["top_logprobs"]?.array.count == 2 && ($0["logprob"]?.double ?? 1) <= 0
                })
            let streamed = try await client.post(
                "/v1/chat/completions",
                [
                    "messages": [
                        [
                            "role": "user",
                            "content": [["type": "text", "text": "The "], ["type": "text", "text": "fox"]],
                        ]
                    ],
                    "max_completion_tokens": 12, "temperature": 0, "stream": true,
                    "stream_options": ["include_usage": true],
                ])
            let chunks = streamed.chunks
            #expect(chunks.first?.firstChoice?["delta"] == ["role": "assistant", "content": ""])
            #expect(chunks.compactMap { $0.firstChoice?["delta"]?["content"]?.string }.joined() == text)
            #expect(chunks.dropLast().last?.firstChoice?["delta"] == .object([]))
            #expect(chunks.dropLast().last?.firstChoice?["finish_reason"] == "length")
            #expect(
                chunks.last?["choices"] == .array([]) && chunks.last?["usage"]?["completion_tokens"] == 12)
            #expect(chunks.allSatisfy { $0["object"] == "chat.completion.chunk" })
            #expect(streamed.events.last == "[DONE]")
            // The second turn reads what is new.
            let turns: JSONValue = [
                ["role": "user", "content": "The fox"], ["role": "assistant", "content": .string(text)],
                ["role": "user", "content": "And?"],
            ]
            let second = try await client.post("/v1/chat/completions", ["messages": turns, "max_tokens": 2])
            let usage = second.json["usage"]
            #expect((usage?["prompt_tokens_details"]?["cached_tokens"]?.int ?? 0) >= 25)
        }
    }

    @Test func `conversations with one system message share it, and an edited message is read alone`()
        async throws
    {
        try await withServer { client, _ in
            let system: JSONValue = ["role": "system", "content": .string(storyText(200))]
            func cached(_ messages: [JSONValue]) async throws -> Int? {
                let body: JSONValue = [
                    "messages": .array([system] + messages), "max_tokens": 2, "temperature": 0,
                ]
                let answer = try await client.post("/v1/chat/completions", body)
                return answer.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.int
            }
            func user(_ text: String) -> JSONValue { ["role": "user", "content": .string(text)] }
            let first = try await cached([user("The fox")])
            #expect(first == 0)
            // Behind the system message are 1 + 8 + 200 tokens, of which whole blocks of 64 are known.
            #expect(try await cached([user("An owl")]) == 192)
            let talk: [JSONValue] = [
                user(storyText(90)), ["role": "assistant", "content": .string(storyText(80))],
            ]
            #expect(try await cached(talk + [user("The fox")]) == 192)
            #expect(try await cached(talk + [user("The hen")]) == 384)
        }
    }

    @Test func `a template of a file is used, and what it refuses is an answer`() async throws {
        let path = NSTemporaryDirectory() + "/template-\(UInt64.random(in: .min ... .max)).jinja"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let text =
            "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}{{ m.content }}{{ extra }}{% endfor %}"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try await withServer(.story, .testing { $0.chatTemplate = path }) { client, _ in
            func chat(_ body: JSONValue) async throws -> TestClient.Answer {
                try await client.post("/v1/chat/completions", body)
            }
            let answer = try await chat([
                "messages": Self.messages, "max_tokens": 12, "temperature": 0,
                "chat_template_kwargs": ["extra": " sees"],
            ])
            let plain = try await client.complete([
                "prompt": "The fox sees", "max_tokens": 12, "temperature": 0, "add_special_tokens": false,
            ])
            #expect(answer.json.firstChoice?["message"]?["content"] == plain.json.firstChoice?["text"])
            let refused = try await chat(["messages": [["role": "tool", "content": "x"]]])
            #expect(
                refused.status == 400 && refused.error.message == "no tools here"
                    && refused.error.code == "chat_template")
            for (body, parameter) in [
                ([:], "messages"), (["messages": []], "messages"), (["messages": ["a"]], "messages[0]"),
                (["messages": [["role": "user", "content": 3]]], "messages[0]"),
                (["messages": [["role": "user", "content": [["type": "image_url"]]]]], "messages[0]"),
                (["messages": Self.messages, "tools": []], "tools"),
                (["messages": Self.messages, "top_logprobs": 2], "top_logprobs"),
                (["messages": Self.messages, "prompt": "a"], "prompt"),
            ] as [(JSONValue, String)] {
                let wrong = try await chat(body)
                #expect(wrong.status == 400 && wrong.error.parameter == parameter, "\(body)")
            }
        }
        #expect(throws: ChatFormat.Failure.self) {
            try ChatFormat(
                folder: Fixture.story.path, file: "/nowhere", tokenizer: Fixture.story.model().tokenizer)
        }
    }
}
