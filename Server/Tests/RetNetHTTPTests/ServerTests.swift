import Foundation
import NIOCore
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// The server as a whole: phases, clients that go, figures.
@Suite struct ServerTests {
    @Test func `health tells loading, ready and draining apart`() async throws {
        try await withServer(nil) { client, core in
            let loading = try await client.get("/health")
            #expect(loading.status == 503 && loading.json["status"] == "loading")
            let early = try await client.complete(["prompt": "a"])
            #expect(early.status == 503 && early.headers["retry-after"] == "1")
            #expect(throws: (any Error).self) { try core.load([("/nowhere", nil)]) }
            #expect(try await client.get("/health").json["status"] == "failed")
            try core.load([(Fixture.story.path, "name")])
            #expect(try await client.get("/health").json["status"] == "ok")
            #expect(try await client.get("/v1/models").json["data"]?.array.first?["id"] == "name")
            let drain = Task { await core.drain() }
            await drain.value
            let draining = try await client.get("/health")
            #expect(draining.status == 503 && draining.json["status"] == "draining")
            #expect(try await client.complete(["prompt": "a"]).status == 503)
        }
    }

    @Test func `draining finishes what runs, and ends what takes too long`() async throws {
        try await withServer(.story, .testing { $0.drainTimeout = .milliseconds(600) }) { client, core in
            async let short = client.complete(["prompt": "The fox", "max_tokens": 100, "temperature": 0])
            async let long = client.complete(["prompt": "The", "max_tokens": 10_000_000, "ignore_eos": true])
            let engine = try #require(core.engine)
            while engine.status.generating < 2, engine.metrics.current.finished.isEmpty {
                try await Task.sleep(for: .milliseconds(1))
            }
            await core.drain()
            #expect(try await short.status == 200)
            #expect(try await long.status == 503)
        }
    }

    @Test func `a client that goes takes its request with it`() async throws {
        try await withServer { client, core in
            let engine = try #require(core.engine)
            for stream in ["true", "false"] {
                for prompt in ["The", storyText(100_000)] {
                    let body =
                        #"{"prompt": "\#(prompt.replacing("\n", with: "\\n"))", "max_tokens": 100000000, "ignore_eos": true, "stream": \#(stream)}"#
                    let head = TestClient.head("POST", "/v1/completions", [:], length: body.utf8.count)
                    try await client.connect { _, outbound in
                        try await outbound.write(ByteBuffer(string: head + body))
                        while engine.status.isIdle { try await Task.sleep(for: .milliseconds(1)) }
                    }
                    #expect(await engine.becomesIdle(), "stream \(stream), \(prompt.count) bytes")
                }
            }
            // A busy machine may notice that too many events wait before it notices that the client has gone.
            let finished = engine.metrics.current.finished
            #expect(finished["cancelled", default: 0] + finished["error", default: 0] == 4, "\(finished)")
            #expect(finished["cancelled", default: 0] > 0)
        }
    }

    @Test func `a full queue answers 429 with the time to wait`() async throws {
        try await withServer(.story, .testing { ($0.engine.rowLimit, $0.engine.queueLimit) = (1, 1) }) {
            client, core in
            let engine = try #require(core.engine)
            // A prompt that takes long: unlike a text it has no events that a slow machine could not take.
            let running = Task {
                try await client.complete(["prompt": .string(storyText(1_000_000)), "max_tokens": 1])
            }
            while engine.status.reading == 0 { try await Task.sleep(for: .milliseconds(1)) }
            let waiting = Task { try await client.complete(["prompt": "The", "max_tokens": 1]) }
            while engine.status.waiting == 0 { try await Task.sleep(for: .milliseconds(1)) }
            let refused = try await client.complete(["prompt": "The", "max_tokens": 1])
            #expect(refused.status == 429 && refused.headers["retry-after"] == "1")
            #expect(refused.error.code == "queue_full")
            #expect(try await client.get("/health").status == 200)
            running.cancel()
            #expect(try await waiting.value.status == 200)
            _ = try? await running.value
        }
    }

    @Test func `more prompts than the queue holds are carried out one after another`() async throws {
        try await withServer(.story, .testing { ($0.engine.rowLimit, $0.engine.queueLimit) = (2, 1) }) {
            client, _ in
            let prompts = (0..<12).map { JSONValue.string("The fox \($0)") }
            let answer = try await client.complete([
                "prompt": .array(prompts), "max_tokens": 4, "temperature": 0,
            ])
            #expect(answer.json["choices"]?.array.count == 12)
        }
    }

    @Test func `a request ends at its time limit`() async throws {
        try await withServer(.story, .testing { $0.requestTimeout = .milliseconds(200) }) { client, _ in
            let whole = try await client.complete([
                "prompt": "The", "max_tokens": 100_000_000, "ignore_eos": true,
            ])
            #expect(whole.status == 504 && whole.error.code == "timeout")
            let stream = try await client.complete([
                "prompt": "The", "max_tokens": 100_000_000, "ignore_eos": true, "stream": true,
            ])
            #expect(stream.status == 200 && stream.chunks.last?["error"]?["code"] == "timeout")
            #expect(stream.events.last != "[DONE]")
        }
    }

    @Test func `a stream without events shows that it lives`() async throws {
        try await withServer(.story, .testing { $0.pingInterval = .milliseconds(5) }) { client, _ in
            let answer = try await client.complete([
                "prompt": .string(storyText(200_000)), "max_tokens": 1, "stream": true,
            ])
            #expect(answer.text.hasPrefix(": ping\n\n"))
            #expect(answer.events.last == "[DONE]")
        }
    }

    @Test func `one connection carries several requests`() async throws {
        try await withServer { client, _ in
            let body = #"{"prompt": "The", "max_tokens": 2}"#
            let headers = ["Connection": "keep-alive", "X-Request-Id": "mine"]
            let request = TestClient.head("POST", "/v1/completions", headers, length: body.utf8.count) + body
            let last = TestClient.head("GET", "/health", [:], length: nil)
            let bytes = try await client.raw(request + request + last)
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 4)
            #expect(text.lowercased().components(separatedBy: "x-request-id: mine").count == 3)
        }
    }

    @Test func `tokens and texts are turned into each other`() async throws {
        try await withServer { client, _ in
            let tokens = try await client.post("/tokenize", ["prompt": "aé", "return_token_strs": true]).json
            #expect(tokens["tokens"] == [255, 97, 195, 169] && tokens["count"] == 4)
            #expect(tokens["token_strs"]?.array.dropFirst() == ["a", "bytes:\\xc3", "bytes:\\xa9"])
            let bare = try await client.post("/tokenize", ["prompt": "aé", "add_special_tokens": false]).json
            #expect(bare["tokens"] == [97, 195, 169])
            let text = try await client.post("/detokenize", ["tokens": [255, 97, 195, 169]]).json
            #expect(text["prompt"] == "aé")
            #expect(try await client.post("/detokenize", ["tokens": [256]]).status == 400)
            #expect(try await client.post("/tokenize", [:]).status == 400)
            #expect(try await client.get("/tokenizer_info").json["tokenizer_class"] == "byte-256-v1")
            #expect(try await client.get("/v1/models/story").json["state_bytes"]?.int ?? 0 > 0)
            #expect(try await client.get("/v1/models/other").status == 404)
        }
    }

    @Test func `metrics are well formed, and their histograms add up`() async throws {
        try await withServer { client, _ in
            for _ in 0..<3 {
                _ = try await client.complete(["prompt": "The fox sees", "max_tokens": 6, "temperature": 0])
            }
            let answer = try await client.get("/metrics")
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            var values: [String: Double] = [:]
            var kinds: [String: String] = [:]
            for line in answer.text.split(separator: "\n") {
                let words = line.split(separator: " ")
                if line.hasPrefix("# TYPE") { kinds[String(words[2])] = String(words[3]) }
                guard !line.hasPrefix("#") else { continue }
                let place = try #require(line.lastIndex(of: " "))
                let name = String(line[..<place])
                #expect(
                    name.wholeMatch(of: /retnet_[a-z0-9_]+\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\}/) != nil,
                    "\(line)")
                #expect(
                    values.updateValue(try #require(Double(line[line.index(after: place)...])), forKey: name)
                        == nil)
            }
            let label = "{model_name=\"story\"}"
            #expect(values["retnet_generation_tokens_total" + label] == 18)
            #expect(values["retnet_prompt_tokens_total" + label] == 39)
            #expect(values["retnet_prefix_cache_hit_tokens_total" + label] == 26)
            #expect(
                values["retnet_texts_finished_total{model_name=\"story\",finished_reason=\"length\"}"] == 3)
            #expect(values["retnet_time_to_first_token_seconds_count" + label] == 3)
            #expect(values["retnet_inter_token_latency_seconds_count" + label] == 15)
            #expect(
                values["retnet_inter_token_latency_seconds_bucket{model_name=\"story\",le=\"+Inf\"}"] == 15)
            #expect(kinds["retnet_inter_token_latency_seconds"] == "histogram")
            #expect(values["retnet_requests_running" + label] == 0)
        }
    }
}
