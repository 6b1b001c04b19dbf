import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetHub

@Suite struct HubEnvironmentTests {
    @Test func placesAreThoseOfTheHubsClient() throws {
        #expect(HubEnvironment(["HOME": "/h"]).cacheFolder == "/h/.cache/huggingface/hub")
        #expect(HubEnvironment(["HOME": "/h", "XDG_CACHE_HOME": "/x"]).cacheFolder == "/x/huggingface/hub")
        #expect(HubEnvironment(["HOME": "/h", "HF_HOME": "~/f"]).cacheFolder == "/h/f/hub")
        #expect(HubEnvironment(["HOME": "/h", "HF_HOME": "/f", "HF_HUB_CACHE": "/c"]).cacheFolder == "/c")
        #expect(HubEnvironment(["HF_ENDPOINT": "https://hf.example/"]).endpoint == "https://hf.example")
        #expect(HubEnvironment([:]).endpoint == "https://huggingface.co")
        for value in ["1", "true", "YES", "on"] {
            #expect(HubEnvironment(["HF_HUB_OFFLINE": value]).isOffline)
        }
        #expect(!HubEnvironment(["HF_HUB_OFFLINE": "0"]).isOffline)
    }

    @Test func theTokenComesFromTheEnvironmentOrItsFile() throws {
        let folder = try TemporaryFolder()
        try folder.write("hf_file\n", to: "token")
        #expect(HubEnvironment(["HF_HOME": folder.url.path]).token == "hf_file")
        #expect(HubEnvironment(["HF_HOME": folder.url.path, "HF_TOKEN": " hf_env\n"]).token == "hf_env")
        #expect(HubEnvironment(["HOME": "/none", "HF_TOKEN_PATH": folder.path("token")]).token == "hf_file")
        #expect(
            HubEnvironment(["HF_HOME": folder.url.path, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"]).token == nil)
        #expect(HubEnvironment(["HOME": "/none", "HF_TOKEN": "a\u{7}b"]).token == nil)
    }

    @Test func referencesAreToldFromPaths() {
        for text in ["a/b", "fla-hub/retnet-1.3B-100B", "A_1/b.c"] {
            #expect(HubReference(text)?.repository == text)
        }
        #expect(HubReference("a/b@v1.0")?.revision == "v1.0")
        #expect(HubReference("a/b@refs/pr/3")?.revision == "refs/pr/3")
        for text in [
            "a", "a/b/c", "./a", "../a", "/a/b", "a/", "/b", "~/a", "a/b.git", "a--b/c", "a/b@", "a/b@../c",
            "a b/c", "a/b@x y",
            "a/..", ".a/b", "a/-b", "",
        ] { #expect(HubReference(text) == nil, "\(text)") }
        #expect(throws: Never.self) { _ = try HubReference(repository: "gpt2") }
        #expect(throws: HubError.invalidRepository("a/b/c")) { _ = try HubReference(repository: "a/b/c") }
        #expect(throws: HubError.invalidRevision("..")) {
            _ = try HubReference(repository: "a/b", revision: "..")
        }
    }

    @Test func patternsMatchAsInAShell() {
        let cases: [(String, String, Bool)] = [
            ("model.safetensors", "*.safetensors", true), ("a/b.bin", "*.bin", true), ("a/b", "a/", true),
            ("ab", "a?", true),
            ("ab", "a[a-c]", true), ("ab", "a[!b]", false), ("a[", "a[", true), ("abcabc", "*abc", true),
            ("abcab", "*abc", false),
            ("", "*", true), ("x", "", false), ("a]", "a[]]", true),
        ]
        for (text, pattern, expected) in cases {
            #expect(FileSelection.matches(text, pattern) == expected, "\(text) \(pattern)")
        }
        // No time that grows with the number of stars.
        #expect(
            !FileSelection.matches(
                String(repeating: "a", count: 2000), String(repeating: "*a", count: 50) + "b"))
    }

    @Test func weightsInSafetensorsAreTakenBeforeOthers() {
        let selection = FileSelection()
        #expect(
            selection.selected(from: [
                "config.json", "pytorch_model.bin", "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json", "pytorch_model.bin.index.json", "consolidated.safetensors",
                "flax_model.msgpack",
                "original/consolidated.00.pth", "optimizer.bin", "tokenizer.model", ".gitattributes",
                "modeling_x.py",
            ]) == [
                "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                "model.safetensors.index.json", "tokenizer.model", "modeling_x.py",
            ])
        #expect(
            selection.selected(from: [
                "pytorch_model.bin", "pytorch_model.bin.index.json", "training_args.bin", "x.pt",
            ])
                == ["pytorch_model.bin", "pytorch_model.bin.index.json"])
        #expect(selection.selected(from: ["retnet.pt", "dict.txt"]) == ["retnet.pt", "dict.txt"])
        #expect(
            FileSelection(include: ["*.pt"], exclude: ["b*"]).selected(from: ["a.pt", "b.pt", "c"]) == [
                "a.pt"
            ])
    }
}
