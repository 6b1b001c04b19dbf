import Foundation
import RetNetPage
import RetNetServing
import RetNetStorage
import ServerTestSupport
import Testing

@testable import RetNetHTTP

/// The page at `/` as files; `Tests/Page/run` drives it in a browser.
@Suite struct PageTests {
    /// The folder of the page's files.
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../Sources/RetNetPage/Page").standardizedFileURL.path

    @Test func `every file of the page is served as it is in the sources`() async throws {
        try await withServer { client, _ in
            let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder)
            #expect(Set(names) == Set(PageFile.parts.keys).union(["index.html"]))
            for name in names {
                let answer = try await client.get(name == "index.html" ? "/" : "/page/\(name)")
                let data = try #require(FileManager.default.contents(atPath: Self.folder + "/" + name))
                #expect(answer.status == 200 && answer.body == Array(data), "\(name)")
                #expect(answer.headers["content-security-policy"]?.hasPrefix("default-src 'none'") == true)
                #expect(answer.headers["x-content-type-options"] == "nosniff")
                let tag = try #require(answer.headers["etag"])
                let again = try await client.get(
                    name == "index.html" ? "/" : "/page/\(name)", headers: ["If-None-Match": tag])
                #expect(again.status == 304 && again.body.isEmpty)
            }
            #expect(try await client.get("/").headers["content-type"] == "text/html; charset=utf-8")
            #expect(try await client.get("/page/other.js").status == 404)
            let head = try await client.send("HEAD", "/")
            #expect(head.status == 200 && head.body.isEmpty)
            #expect(try await client.post("/", [:]).status == 405)
        }
    }

    @Test func `the page names nothing that it does not have`() throws {
        for name in PageFile.parts.keys.sorted() + ["index.html"] {
            let file = try #require(name == "index.html" ? PageFile.index : PageFile.parts[name])
            let text = String(decoding: file.bytes, as: UTF8.self)
            // The name of SVG is no address that anything is fetched from.
            let own = text.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!own.contains("http://") && !own.contains("https://"), "\(name)")
            #expect(!own.contains("innerHTML") && !own.contains(" style="), "\(name)")
            let patterns = [/(?:href|src)="page\/([^"]+)"/, /from "\.\/([^"]+)"/]
            for pattern in patterns {
                for match in text.matches(of: pattern) {
                    #expect(PageFile.parts[String(match.1)] != nil, "\(name) names \(match.1)")
                }
            }
        }
    }

    @Test func `facts about the model need a key, the page does not`() async throws {
        try await withServer(.hybrid, .testing { $0.apiKeys = ["key"] }) { client, core in
            #expect(try await client.get("/").status == 200)
            #expect(try await client.get("/page/main.js").status == 200)
            #expect(try await client.get("/page/info").status == 401)
            let info = try await client.get("/page/info", headers: ["Authorization": "Bearer key"]).json
            let engine = try #require(core.engine)
            // Keys and values of one attention layer of two heads of eight numbers, in float32.
            #expect(info["state_bytes_per_token"] == .int(2 * 16 * 4))
            #expect(info["cache_bytes_per_token"] == .int(2 * 3 * 24 * 2))
            #expect(info["chat_template"] == "plain" && info["model"] == "hybrid")
            // What it says of a state is what a state takes.
            let outcome = try await engine.outcome(
                engine.request("The fox sees", maxTokens: 0).keepingState)
            let state = try #require(outcome.snapshot?.state)
            let (fixed, each) = (info["state_bytes"]?.int ?? 0, info["state_bytes_per_token"]?.int ?? 0)
            #expect(state.byteCount == fixed + each * state.tokenCount)
        }
    }

    @Test func `a stream can report the counts with every chunk`() async throws {
        try await withServer { client, _ in
            let options: JSONValue = ["include_usage": true, "continuous_usage_stats": true]
            for path in ["/v1/completions", "/v1/chat/completions"] {
                var body: [JSONValue.Member] = [
                    (name: "max_tokens", value: 12), (name: "stream", value: true),
                    (name: "ignore_eos", value: true), (name: "stream_options", value: options),
                ]
                body.append(
                    path == "/v1/completions"
                        ? (name: "prompt", value: "The fox")
                        : (name: "messages", value: [["role": "user", "content": "The fox"]]))
                let answer = try await client.post(path, .object(body))
                let counts = answer.chunks.compactMap { $0["usage"]?["completion_tokens"]?.int }
                #expect(counts.count == answer.chunks.count && counts.last == 12, "\(path): \(counts)")
                #expect(counts == counts.sorted() && Set(counts).count > 4, "\(counts)")
                #expect(answer.chunks.allSatisfy { ($0["usage"]?["prompt_tokens"]?.int ?? 0) > 0 })
            }
            let alone = try await client.complete([
                "prompt": "a", "stream": true, "stream_options": ["continuous_usage_stats": true],
            ])
            #expect(alone.status == 400 && alone.error.parameter == "stream_options")
        }
    }
}

extension ServingRequest {
    fileprivate var keepingState: ServingRequest {
        var request = self
        request.keepsState = true
        return request
    }
}
