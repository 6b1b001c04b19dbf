import Foundation
import NIOCore
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// Requests that are wrong, and clients that behave badly.
@Suite struct ErrorTests {
    struct Case: Sendable, CustomStringConvertible {
        let body: String
        var status = 400
        var parameter: String?
        var code: String?
        let message: String

        var description: String { body }

        init(
            _ body: String, _ status: Int = 400, _ parameter: String? = nil, code: String? = nil,
            _ message: String
        ) {
            (self.body, self.status, self.parameter) = (body, status, parameter)
            (self.code, self.message) = (code, message)
        }
    }

    static let cases: [Case] = [
        Case(#"{"prompt": "a", "model": "gpt-4"}"#, 404, code: "model_not_found", "this server has 'story'"),
        Case(#"{}"#, 400, "prompt", "'prompt' is missing"),
        Case(#"[1]"#, 400, nil, "the body must be a JSON object, but it is a list"),
        Case(#"{"prompt": "a", "top_kk": 3}"#, 400, "top_kk", code: "unknown_field", "no field 'top_kk'"),
        Case(
            #"{"prompt": "a", "x": 1, "tools": []}"#, 400, "tools", code: "unknown_field",
            "none of the fields 'tools', 'x'"),
        Case(#"{"prompt": "a", "max_tokens": -1}"#, 400, "max_tokens", "a whole number from 0, but it is -1"),
        Case(#"{"prompt": "a", "max_tokens": 1.5}"#, 400, "max_tokens", "but it is 1.5"),
        Case(#"{"prompt": "a", "max_tokens": "3"}"#, 400, "max_tokens", "but it is a text"),
        Case(#"{"prompt": "a", "temperature": -0.5}"#, 400, "temperature", "from 0.0 to 100.0"),
        Case(#"{"prompt": "a", "temperature": 1e999}"#, 400, code: "invalid_json", "outside the range"),
        Case(#"{"prompt": "a", "top_p": 0}"#, 400, "top_p", "above 0"),
        Case(#"{"prompt": "a", "n": 0}"#, 400, "n", "from 1 to 128"),
        Case(#"{"prompt": "a", "n": 3, "best_of": 2}"#, 400, "best_of", "must not be less than 'n'"),
        Case(#"{"prompt": "a", "best_of": 2, "stream": true}"#, 400, "best_of", "cannot be streamed"),
        Case(#"{"prompt": "a", "logprobs": 21}"#, 400, "logprobs", "from 0 to 20"),
        Case(#"{"prompt": "a", "stream": 1}"#, 400, "stream", "true or false"),
        Case(#"{"prompt": "a", "stream_options": {}}"#, 400, "stream_options", "needs 'stream': true"),
        Case(#"{"prompt": "a", "stop": ["a", ""]}"#, 400, "stop", "not empty"),
        Case(#"{"prompt": "a", "stop": 7}"#, 400, "stop", "but it is 7"),
        Case(#"{"prompt": "a", "seed": 1.5}"#, 400, "seed", "64 bits"),
        Case(#"{"prompt": "a", "logit_bias": {"x": 1}}"#, 400, "logit_bias", "'x', which is no token"),
        Case(#"{"prompt": "a", "logit_bias": {"1": 101}}"#, 400, "logit_bias", "from -100 to 100"),
        Case(#"{"prompt": "a", "suffix": "b"}"#, 400, "suffix", "not supported"),
        Case(#"{"prompt": 5}"#, 400, "prompt", "must be a text"),
        Case(#"{"prompt": []}"#, 400, "prompt", "1 to 2048 prompts"),
        Case(#"{"prompt": [1, "a"]}"#, 400, "prompt", "must be a text"),
        Case(#"{"prompt": [1, 256]}"#, 400, "prompt", "token 256 at index 1"),
        Case(#"{"prompt": [[1], [-3]]}"#, 400, "prompt", "token -3 at index 0"),
        Case(#"{"prompt": [[]]}"#, 400, "prompt", "the prompt is empty"),
        Case(#"{"prompt": "", "add_special_tokens": false}"#, 400, "prompt", "the prompt is empty"),
        Case(#"{"prompt": "a", "state": "none"}"#, 404, code: "state_not_found", "no state 'none'"),
        Case(#"{"prompt": "a", "save_state": "../x"}"#, 400, "name", "'../x' cannot be the name"),
        Case(#"{"prompt": ["a", "b"], "save_state": "x"}"#, 400, "save_state", "exactly one prompt"),
        Case(#"{"prompt": "a", "prompt": "b"}"#, 400, code: "invalid_json", "'prompt' occurs twice"),
        Case(#"{"prompt": "a""#, 400, code: "invalid_json", "byte 14"),
        Case(#"{"prompt": "\ud800"}"#, 400, code: "invalid_json", "surrogate"),
        Case("{\"prompt\": \"a\u{1}\"}", 400, code: "invalid_json", "control character"),
        Case("", 400, code: "invalid_json", "ends where a value should be"),
        Case(String(repeating: "[", count: 100_000), 400, code: "invalid_json", "nested more than 32 deep"),
    ]

    @Test func `every wrong request gets its status, parameter and message`() async throws {
        try await withServer { client, core in
            for wrong in Self.cases {
                let answer = try await client.send("POST", "/v1/completions", wrong.body)
                let error = answer.error
                #expect(answer.status == wrong.status, "\(wrong): \(answer.text)")
                #expect(error.parameter == wrong.parameter, "\(wrong): \(answer.text)")
                #expect(error.message?.contains(wrong.message) == true, "\(wrong): \(answer.text)")
                if let code = wrong.code { #expect(error.code == code, "\(wrong): \(answer.text)") }
            }
            #expect(core.engine?.status.isIdle == true)
            #expect(try await client.complete(["prompt": "a"]).status == 200)
        }
    }

    @Test func `texts beyond the positions of a model are refused`() async throws {
        try await withServer(.limited) { client, _ in
            let long = try await client.complete(["prompt": .string(storyText(60)), "max_tokens": 4])
            #expect(long.status == 400 && long.error.code == "context_length_exceeded")
            let fits = try await client.complete(["prompt": .string(storyText(60)), "max_tokens": 3])
            #expect(fits.status == 200)
        }
    }

    @Test func `bytes that are no UTF-8 are refused`() async throws {
        try await withServer { client, _ in
            let head = TestClient.head("POST", "/v1/completions", [:], length: 15)
            let answer = try await client.connect { inbound, outbound in
                var (iterator, bytes) = (inbound, [UInt8]())
                let body = Array("{\"prompt\": \"".utf8) + [0xFF] + Array("\"}".utf8)
                try await outbound.write(ByteBuffer(bytes: Array(head.utf8) + body))
                while let buffer = try await iterator.next() { bytes += buffer.readableBytesView }
                return try TestClient.parse(bytes)
            }
            #expect(answer.status == 400 && answer.error.message?.contains("not UTF-8") == true)
        }
    }

    @Test func `paths, methods, types and sizes are checked`() async throws {
        try await withServer(.story, .testing { $0.requestByteLimit = 1000 }) { client, _ in
            let unknown = try await client.get("/v1/complete")
            #expect(unknown.status == 404 && unknown.error.code == "unknown_url")
            let method = try await client.get("/v1/completions")
            #expect(method.status == 405 && method.headers["allow"] == "POST")
            let form = try await client.send(
                "POST", "/v1/completions", "prompt=a", headers: ["Content-Type": "text/plain"])
            #expect(form.status == 415)
            let body = "{\"prompt\": \"\(String(repeating: "a", count: 1000))\"}"
            let large = try await client.send("POST", "/v1/completions", body)
            #expect(large.status == 413 && large.error.code == "request_too_large")
            // A body without a length is counted as it comes.
            let head = TestClient.head(
                "POST", "/v1/completions", ["Transfer-Encoding": "chunked"], length: nil)
            let chunk = "3e8\r\n" + String(repeating: "a", count: 1000) + "\r\n"
            let chunked = try await client.raw(head + chunk + chunk + "0\r\n\r\n")
            #expect(try TestClient.parse(chunked).status == 413)
            #expect(try await client.complete(["prompt": "a"]).status == 200)
        }
    }

    @Test func `only keys open the server, but its health is no secret`() async throws {
        try await withServer(.story, .testing { $0.apiKeys = ["first-key", "other"] }) { client, _ in
            for header in [
                nil, "Bearer wrong-key", "Bearer ", "Basic first-key", "Bearer first-keyfirst-key",
                "Bearer first-ke",
            ] {
                let headers = header.map { ["Authorization": $0] } ?? [:]
                for path in ["/v1/models", "/metrics", "/nothing"] {
                    let answer = try await client.get(path, headers: headers)
                    #expect(answer.status == 401 && answer.error.code == "invalid_api_key", "\(header ?? "")")
                }
            }
            #expect(
                try await client.get("/v1/models", headers: ["Authorization": "Bearer other"]).status == 200)
            #expect(
                try await client.get("/v1/models", headers: ["Authorization": "bearer first-key"]).status
                    == 200)
            #expect(try await client.get("/health").status == 200)
        }
        #expect(throws: APIKeys.Failure.self) { try APIKeys.read(file: "/nowhere", environment: [:]) }
        #expect(throws: APIKeys.Failure.self) {
            try APIKeys.read(file: nil, environment: ["RETNET_API_KEY": ""])
        }
        #expect(try APIKeys.read(file: nil, environment: ["RETNET_API_KEY": "k"]) == ["k"])
    }

    @Test func `a thousand broken bodies get an answer each, and nothing else happens`() throws {
        let model = try Fixture.story.model()
        let states = StateKeeper(StateStore(byteLimit: 1 << 20))
        let seeds =
            Self.cases.map(\.body).filter { $0.utf8.count < 1000 } + [
                #"{"model":"story","prompt":["a","b"],"max_tokens":3,"n":2,"logit_bias":{"65":-3.5},"stop":["x"],"stream":true,"stream_options":{"include_usage":true},"logprobs":2,"echo":true,"seed":-7}"#
            ]
        var random = SystemRandomNumberGenerator()
        var accepted = 0
        for _ in 0..<2000 {
            var bytes = Array((seeds.randomElement(using: &random) ?? "{}").utf8)
            for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2:
                    bytes.insert(Array("{}[]\",:0-1e\\u".utf8).randomElement(using: &random) ?? 0, at: place)
                default: bytes.append(contentsOf: bytes[place...].prefix(20))
                }
            }
            do {
                _ = try CompletionRequest(
                    try RequestFields.json(bytes), model: model, states: states, deadline: nil)
                accepted += 1
            } catch {
                #expect((400..<500).contains(APIError(error).status), "\(error)")
            }
        }
        #expect(accepted > 0)
    }
}
