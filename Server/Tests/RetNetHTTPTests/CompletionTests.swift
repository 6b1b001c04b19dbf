import Foundation
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// `/v1/completions`: what it answers to requests that are right.
@Suite struct CompletionTests {
    /// The body of a request for a golden text.
    private static func body(_ golden: GoldenText, stream: Bool) -> JSONValue {
        let parameters = golden.parameters
        return [
            "model": .string(golden.model), "prompt": .string(golden.prompt), "max_tokens": 40,
            "temperature": .double(parameters.temperature), "top_k": .int(parameters.topK),
            "top_p": .double(parameters.topP), "min_p": .double(parameters.minP),
            "repetition_penalty": .double(parameters.repetitionPenalty),
            "repetition_window": .int(parameters.repetitionWindow),
            "seed": parameters.seed.map { .int(Int($0)) } ?? .null,
            "stop": .array(parameters.stopStrings.map { .string($0) }), "stream": .bool(stream),
        ]
    }

    @Test func `texts are those of the command, streamed and not, all at once`() async throws {
        try await withServer { client, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for golden in GoldenText.all where golden.model == "story" {
                    let reason = golden.finishReason == .length ? "length" : "stop"
                    group.addTask {
                        let answer = try await client.complete(Self.body(golden, stream: false))
                        #expect(answer.status == 200)
                        #expect(answer.json.firstChoice?["text"]?.string == golden.text, "\(golden)")
                        #expect(answer.json.firstChoice?["finish_reason"]?.string == reason)
                    }
                    group.addTask {
                        let answer = try await client.complete(Self.body(golden, stream: true))
                        let texts = answer.chunks.compactMap { $0.firstChoice?["text"]?.string }
                        #expect(texts.joined() == golden.text, "\(golden)")
                        #expect(answer.chunks.last?.firstChoice?["finish_reason"]?.string == reason)
                        #expect(answer.events.last == "[DONE]")
                        #expect(answer.headers["content-type"] == "text/event-stream; charset=utf-8")
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `an answer has OpenAI's fields`() async throws {
        try await withServer { client, _ in
            let answer = try await client.complete([
                "model": "story", "prompt": "The fox", "max_tokens": 5, "temperature": 0, "user": "somebody",
                "suffix": nil, "logit_bias": [:],
            ])
            let json = answer.json
            #expect(json.names == ["id", "object", "created", "model", "choices", "usage"])
            #expect(json["object"] == "text_completion" && json["model"] == "story")
            #expect(json["id"]?.string?.hasPrefix("cmpl-") == true)
            #expect(json.firstChoice?.names == ["index", "text", "logprobs", "finish_reason"])
            #expect(json.firstChoice?["logprobs"] == .some(.null))
            #expect(
                json["usage"] == [
                    "prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13,
                    "prompt_tokens_details": ["cached_tokens": 0],
                ])
            #expect(answer.headers["content-type"] == "application/json")
            #expect(answer.headers["x-request-id"]?.hasPrefix("req-") == true)
            let again = try await client.complete(["prompt": "The fox", "max_tokens": 5, "temperature": 0])
            #expect(again.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 8)
            #expect(again.json.firstChoice == json.firstChoice)
        }
    }

    @Test func `usage is streamed when it is asked for, in a last chunk without choices`() async throws {
        try await withServer { client, _ in
            var body: [(String, JSONValue)] = [
                ("prompt", "The fox"), ("max_tokens", 3), ("temperature", 0), ("stream", true),
            ]
            func object() -> JSONValue { .object(body.map { (name: $0.0, value: $0.1) }) }
            let plain = try await client.complete(object())
            #expect(plain.chunks.allSatisfy { $0["usage"] == nil && $0["choices"]?.array.count == 1 })
            #expect(Set(plain.chunks.compactMap { $0["id"]?.string }).count == 1)
            body.append(("stream_options", ["include_usage": true]))
            let counted = try await client.complete(object())
            #expect(counted.chunks.dropLast().allSatisfy { $0["usage"] == .some(.null) })
            #expect(counted.chunks.last?["choices"] == .array([]))
            #expect(counted.chunks.last?["usage"]?["completion_tokens"] == 3)
            #expect(counted.events.last == "[DONE]")
        }
    }

    @Test func `echo with log-probabilities scores the prompt as the harness asks for it`() async throws {
        try await withServer { client, _ in
            let prompts: [[Int]] = ["The cat sees the hen", "The owl"].map { $0.utf8.map(Int.init) }
            let answer = try await client.complete([
                "model": "story", "prompt": .array(prompts.map { .array($0.map { .int($0) }) }),
                "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true,
            ])
            #expect(answer.status == 200)
            let choices = answer.json["choices"]?.array ?? []
            #expect(choices.map { $0["index"]?.int } == [0, 1])
            for (choice, prompt) in zip(choices, prompts) {
                let text = String(decoding: prompt.map { UInt8($0) }, as: UTF8.self)
                #expect(choice["text"]?.string?.hasPrefix(text) == true)
                let lists = choice["logprobs"]
                let values = lists?["token_logprobs"]?.array ?? []
                let tops = lists?["top_logprobs"]?.array ?? []
                #expect(values.count == prompt.count + 1 && tops.count == values.count)
                #expect(lists?["tokens"]?.array.compactMap(\.string).joined() == choice["text"]?.string)
                #expect(lists?["text_offset"]?.array.compactMap(\.int) == Array(0...prompt.count))
                #expect(values.first == .some(.null) && tops.first == .some(.null))
                for (value, top) in zip(values, tops).dropFirst() {
                    guard case .object(let members) = top, let value = value.double else {
                        Issue.record("no alternatives")
                        continue
                    }
                    #expect(members.contains { $0.value.double == value })
                    #expect(members.compactMap(\.value.double).allSatisfy { $0 <= 0 })
                }
            }
            // A token's score depends on what is before it only.
            let longer = try await client.complete([
                "prompt": "The owl likes", "max_tokens": 0, "logprobs": 0, "echo": true,
            ])
            let shorter = try await client.complete([
                "prompt": "The owl", "max_tokens": 0, "logprobs": 0, "echo": true,
            ])
            let lists = [longer, shorter].map {
                $0.json.firstChoice?["logprobs"]?["token_logprobs"]?.array ?? []
            }
            #expect(lists[1].count == 8 && Array(lists[0].prefix(8)) == lists[1])
            #expect(longer.json.firstChoice?["text"] == "The owl likes")
            // The begin token has a name and no text.
            #expect(longer.json.firstChoice?["logprobs"]?["text_offset"]?.array.prefix(3) == [0, 0, 1])
            // Streamed, it is the same.
            let streamed = try await client.complete([
                "prompt": "The owl", "max_tokens": 2, "logprobs": 1, "echo": true, "stream": true,
                "temperature": 0,
            ])
            let texts = streamed.chunks.compactMap { $0.firstChoice?["text"]?.string }
            let counts = streamed.chunks.map { $0.firstChoice?["logprobs"]?["tokens"]?.array.count ?? 0 }
            #expect(texts.first == "The owl" && counts.first == 8 && counts.reduce(0, +) == 10)
        }
    }

    @Test func `several texts, and the best of several`() async throws {
        try await withServer { client, _ in
            let many = try await client.complete([
                "prompt": ["The fox", "The hen"], "n": 3, "max_tokens": 12, "seed": 5, "logprobs": 0,
            ])
            let choices = many.json["choices"]?.array ?? []
            #expect(choices.map { $0["index"]?.int } == [0, 1, 2, 3, 4, 5])
            #expect(many.json["usage"]?["completion_tokens"] == 72)
            func mean(_ choice: JSONValue) -> Double {
                let values = choice["logprobs"]?["token_logprobs"]?.array.compactMap(\.double) ?? []
                return values.reduce(0, +) / Double(max(1, values.count))
            }
            let best = try await client.complete([
                "prompt": ["The fox", "The hen"], "n": 1, "best_of": 3, "max_tokens": 12, "seed": 5,
            ])
            let texts = best.json["choices"]?.array.map { $0["text"]?.string } ?? []
            for prompt in 0..<2 {
                let candidates = choices[3 * prompt..<3 * prompt + 3]
                let expected = candidates.max { mean($0) < mean($1) }
                #expect(texts[prompt] == expected?["text"]?.string)
            }
            #expect(best.json["usage"]?["completion_tokens"] == 72)
            let streamed = try await client.complete([
                "prompt": ["The fox", "The hen"], "n": 3, "max_tokens": 12, "seed": 5, "stream": true,
            ])
            for index in 0..<6 {
                let text = streamed.chunks.compactMap { $0.firstChoice }
                    .filter { $0["index"]?.int == index }.compactMap { $0["text"]?.string }.joined()
                #expect(text == choices[index]["text"]?.string)
            }
        }
    }

    @Test func `states are left, continued, forked and deleted`() async throws {
        try await withServer { client, _ in
            let whole = try await client.complete(["prompt": "The cat", "max_tokens": 30, "temperature": 0])
            let text = whole.json.firstChoice?["text"]?.string ?? ""
            let first = try await client.complete([
                "prompt": "The cat", "max_tokens": 12, "temperature": 0, "save_state": "talk",
            ])
            #expect(first.json["state"]?["id"] == "talk" && first.json["state"]?["tokens"] == 20)
            let body: JSONValue = ["state": "talk", "max_tokens": 18, "temperature": 0]
            for _ in 0..<2 {
                let rest = try await client.complete(body)
                #expect(
                    (first.json.firstChoice?["text"]?.string ?? "")
                        + (rest.json.firstChoice?["text"]?.string ?? "") == text)
                #expect(rest.json["usage"]?["prompt_tokens"] == 20)
                #expect(rest.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 19)
            }
            let again: JSONValue = ["prompt": "x", "max_tokens": 1, "save_state": "talk"]
            #expect(try await client.complete(again).error.code == "state_exists")
            let fork = try await client.post("/v1/states", ["id": "branch", "from": "talk"])
            #expect(fork.json["parent"] == "talk" && fork.status == 200)
            let made = try await client.post("/v1/states", ["id": "read", "prompt": "The cat"])
            #expect(made.json["tokens"] == 8)
            let after = try await client.complete(["state": "read", "max_tokens": 30, "temperature": 0])
            #expect(after.json.firstChoice?["text"]?.string == text)
            let list = try await client.get("/v1/states").json
            #expect(list["data"]?.array.compactMap { $0["id"]?.string } == ["branch", "read", "talk"])
            #expect(try await client.send("DELETE", "/v1/states/talk").json["deleted"] == true)
            #expect(try await client.get("/v1/states/talk").status == 404)
            #expect(try await client.complete(["state": "talk"]).error.code == "state_not_found")
            #expect(try await client.complete(["state": "branch", "max_tokens": 1]).status == 200)
            let streamed = try await client.complete([
                "state": "branch", "max_tokens": 3, "stream": true, "save_state": "branch",
                "replace_state": true,
            ])
            #expect(streamed.chunks.last?["state"]?["tokens"] == 23)
        }
    }
}
