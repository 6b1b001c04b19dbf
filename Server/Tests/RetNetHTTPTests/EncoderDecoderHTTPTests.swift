import Foundation
import RetNetSampling
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// An encoder-decoder over HTTP: the prompt is the source, and the completion is the decoder's text.
@Suite struct EncoderDecoderHTTPTests {
    private static func parameters(_ count: Int) -> SamplingParameters {
        var parameters = SamplingParameters.greedy(maxTokens: count)
        parameters.endTokens = [1]
        return parameters
    }

    @Test func `completions, streamed and not, with seeds, stops, scores and usage`() async throws {
        let folder = try SmallT5()
        let model = try folder.model()
        let prompt = "The fox <extra_id_0> the hill"
        let expected = try folder.expected(prompt, Self.parameters(12))
        try await withServer([model]) { client, _ in
            let answer = try await client.complete([
                "model": "t5", "prompt": .string(prompt), "max_tokens": 12, "logprobs": 2,
            ])
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json.firstChoice?["text"]?.string == expected.text)
            let usage = answer.json["usage"]
            #expect(usage?["prompt_tokens"]?.int == model.tokens(of: prompt).tokens.count)
            #expect(usage?["completion_tokens"]?.int == expected.tokens.count)
            #expect(usage?["prompt_tokens_details"]?["cached_tokens"] == 0)
            let scores = answer.json.firstChoice?["logprobs"]?["token_logprobs"]?.array ?? []
            #expect(!scores.isEmpty && scores.allSatisfy { ($0.double ?? 1) <= 0 })
            // Tokens are taken as they are; the end token is the client's.
            let tokens = model.tokens(of: prompt).tokens.map { JSONValue.int(Int($0)) }
            let again = try await client.complete(["prompt": .array(tokens), "max_tokens": 12])
            #expect(again.json.firstChoice?["text"]?.string == expected.text)
            let open = try await client.complete([
                "prompt": .string(prompt), "max_tokens": 12, "add_special_tokens": false,
            ])
            #expect(open.json["usage"]?["prompt_tokens"]?.int == tokens.count - 1)
            let stream = try await client.complete([
                "prompt": [.string(prompt), "x"], "max_tokens": 12, "stream": true,
                "stream_options": ["include_usage": true],
            ])
            let texts = stream.chunks.flatMap { $0["choices"]?.array ?? [] }
            #expect(
                texts.filter { $0["index"] == 0 }.compactMap { $0["text"]?.string }.joined() == expected.text)
            #expect(stream.chunks.last?["usage"]?["prompt_tokens"]?.int == tokens.count + 2)
            // Seeds of choices, one by one.
            func drawn(_ more: (String, JSONValue)...) async throws -> [String] {
                let fields: [(String, JSONValue)] = [
                    ("prompt", .string(prompt)), ("max_tokens", 8), ("temperature", 1), ("ignore_eos", true),
                ]
                let list = (fields + more).map { JSONValue.Member(name: $0.0, value: $0.1) }
                return try await client.complete(.object(list)).json["choices"]?.array.compactMap {
                    $0["text"]?.string
                } ?? []
            }
            let three = try await drawn(("n", 3), ("seed", 5))
            #expect(Set(three).count == 3)
            #expect(try await drawn(("seed", 7)) == [three[2]])
            let stop = try #require(three[2].dropFirst(2).first.map(String.init))
            let stopped = try await drawn(("seed", 7), ("stop", .string(stop)))
            #expect(stopped == [String(three[2].prefix { String($0) != stop })])
            let echoed = try await client.complete([
                "prompt": .string(prompt), "max_tokens": 12, "echo": true,
            ])
            #expect(echoed.json.firstChoice?["text"]?.string == prompt + expected.text)
        }
    }

    @Test func `what makes no sense for it is refused with the reason`() async throws {
        let folder = try SmallT5()
        defer { withExtendedLifetime(folder) {} }
        let model = try folder.model()
        try await withServer([model]) { client, _ in
            func refused(_ path: String, _ body: JSONValue, _ parameter: String?, _ text: String) async throws
            {
                let answer = try await client.post(path, body)
                #expect(answer.status == 400, "\(answer.text)")
                #expect(answer.error.parameter == parameter && answer.error.code == "encoder_decoder")
                #expect(answer.error.message?.contains(text) == true, "\(answer.text)")
            }
            let path = "/v1/completions"
            try await refused(path, ["prompt": "x", "echo": true, "logprobs": 1], "echo", "no probabilities")
            try await refused(path, ["prompt": "x", "state": "a"], "state", "keeps no states")
            try await refused(path, ["prompt": "x", "save_state": "a"], "save_state", "keeps no states")
            try await refused(path, ["prompt": "x", "cache_prompt": true], "cache_prompt", "both directions")
            try await refused("/v1/states", ["id": "a", "prompt": "x"], nil, "keeps no states")
            let chat: JSONValue = ["messages": [["role": "user", "content": "x"]]]
            try await refused("/v1/chat/completions", chat, "messages", "chat template")
            #expect(try await client.complete(["prompt": "x", "cache_prompt": false]).status == 200)
            let long = try await client.complete(["prompt": .string(storyText(5000))])
            #expect(long.status == 400 && long.error.code == "context_length_exceeded")
        }
    }

    @Test func `models, metrics, tokens and the page tell what it is, beside a language model`() async throws
    {
        let folder = try SmallT5()
        defer { withExtendedLifetime(folder) {} }
        let model = try folder.model()
        try await withServer([model, Fixture.story.model()]) { client, _ in
            let list = try await client.get("/v1/models").json["data"]?.array ?? []
            #expect(list.map { $0["kind"] } == ["encoder_decoder", "language_model"])
            #expect(list[0]["max_model_len"] == 4096 && list[0]["state_bytes"] == 0)
            // Two layers, keys and values of three heads of eight channels, in float32.
            #expect(list[0]["state_bytes_per_token"] == .int(2 * 2 * 24 * 4))
            let tokens = try await client.post("/tokenize", ["prompt": "ab <extra_id_1>"])
            #expect(tokens.json["tokens"]?.array.last == 1 && tokens.json["count"] == 5)
            #expect(try await client.complete(["prompt": "x", "max_tokens": 3]).status == 200)
            let other = try await client.complete(["model": "story", "prompt": "The", "max_tokens": 3])
            #expect(other.status == 200)
            let metrics = try await client.get("/metrics").text
            #expect(metrics.contains("retnet_prompt_tokens_total{model_name=\"t5\"} 2\n"))
            #expect(metrics.contains("retnet_kept_states{model_name=\"t5\"} 0\n"))
            let info = try await client.get("/page/info").json
            #expect(info["kind"] == "encoder_decoder" && info["modes"] == ["completion"])
            #expect(try await client.get("/v1/states").json["data"]?.array.isEmpty == true)
        }
    }

    @Test func `with a template it takes part in conversations, and a folder of states is not its`()
        async throws
    {
        let folder = try SmallT5(
            template: "{% for message in messages %}{{ message.content }}{% endfor %}")
        defer { withExtendedLifetime(folder) {} }
        let model = try folder.model()
        let states = NSTemporaryDirectory() + "/states-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: states) }
        let expected = try folder.expected("The hen", Self.parameters(9))
        try await withServer([model], .testing { $0.stateFolder = states }) { client, core in
            let answer = try await client.post(
                "/v1/chat/completions",
                ["messages": [["role": "user", "content": "The hen"]], "max_tokens": 9])
            #expect(answer.json.firstChoice?["message"]?["content"]?.string == expected.text)
            #expect(answer.json["usage"]?["prompt_tokens"] == 8)
            await core.drain()
        }
        #expect(!FileManager.default.fileExists(atPath: states))
    }
}
