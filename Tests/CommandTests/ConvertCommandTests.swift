import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

/// `retnet convert` as a user runs it; `Benchmarks/checkpoints/walk.py` takes every form through the same way.
@Suite struct ConvertCommandTests {
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("RetNetCheckpointsTests/Fixtures").path

    /// Copies a checkpoint without the numbers of its project and returns its path.
    private func source(_ name: String, in folder: TemporaryFolder) throws -> String {
        let path = folder.path("source")
        try FileManager.default.copyItem(atPath: "\(Self.fixtures)/dialects/\(name)", toPath: path)
        try FileManager.default.removeItem(atPath: path + "/expected.safetensors")
        return path
    }

    /// Changes fields of `config.json`; `NSNull` removes one.
    private func change(_ path: String, _ fields: [String: Any]) throws {
        let file = URL(fileURLWithPath: path + "/config.json")
        var object = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        for (key, value) in fields { object[key] = value is NSNull ? nil : value }
        try JSONSerialization.data(withJSONObject: object).write(to: file)
    }

    /// Writes the tensors again without one, with another one, or with one of another shape.
    private func rewrite(
        _ path: String, without removed: String? = nil, adding added: (String, [Int])? = nil,
        reshaping changed: (String, [Int])? = nil
    ) throws {
        let file = try SafetensorsFile(path: path + "/model.safetensors")
        func zeros(_ name: String, _ shape: [Int]) -> SafetensorsWriter.Tensor {
            SafetensorsWriter.Tensor(name: name, elementType: .float32, shape: shape) { sink in
                let bytes = [UInt8](repeating: 0, count: 4 * shape.reduce(1, *))
                try bytes.withUnsafeBytes { try sink.write($0) }
            }
        }
        var tensors = file.entries.filter { $0.name != removed && $0.name != changed?.0 }.map { entry in
            SafetensorsWriter.Tensor(name: entry.name, elementType: entry.elementType, shape: entry.shape) {
                sink in
                try file.withUnsafeBytes(of: entry.name) { try sink.write($0) }
            }
        }
        for one in [added, changed].compactMap({ $0 }) { tensors.append(zeros(one.0, one.1)) }
        try SafetensorsWriter(tensors, metadata: [:]).write(to: path + "/new.safetensors")
        try FileManager.default.removeItem(atPath: path + "/model.safetensors")
        try FileManager.default.moveItem(
            atPath: path + "/new.safetensors", toPath: path + "/model.safetensors")
    }

    private func bytes(_ path: String) throws -> [String: [UInt8]] {
        let file = try SafetensorsFile(path: path + "/model.safetensors")
        return try Dictionary(
            uniqueKeysWithValues: file.entries.map { entry in
                (
                    "\(entry.name) \(entry.elementType) \(entry.shape)",
                    try file.withUnsafeBytes(of: entry.name) { [UInt8]($0) }
                )
            })
    }

    /// Runs a conversion that must fail, and checks what it says and that it leaves nothing.
    private func refuse(
        _ arguments: [String], status: Int32 = 1, _ pieces: String..., in folder: TemporaryFolder,
        limits: String? = nil
    ) throws {
        let before = try FileManager.default.contentsOfDirectory(atPath: folder.path("")).sorted()
        let outcome = try RunningCommand(["convert"] + arguments, limits: limits).wait()
        #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
        for piece in pieces {
            #expect(outcome.errors.contains(piece), "\(arguments): \(outcome.errors)")
        }
        let errors = outcome.errors.components(separatedBy: "error: ").count - 1
        #expect(errors == 1, "\(outcome.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("")).sorted() == before)
    }

    // MARK: There and back

    @Test(arguments: ["fla-retnet", "torchscale-2023-07-fairseq", "gpt2", "mamba2-authors"])
    func `A checkpoint is recognized, converted, generated from and converted back bit for bit`(name: String)
        throws
    {
        let folder = try TemporaryFolder()
        let source = try source(name, in: folder)
        let (own, back) = (folder.path("own"), folder.path("back"))
        let found = try succeed(["convert", source, "--check", "--json"]).json()
        let form = try #require(found["from"] as? String)
        #expect(name.hasPrefix(form) && found["recognized_by"] is String && found["output"] is NSNull)
        let converted = try succeed(["convert", source, "--out", own])
        #expect(converted.output.contains("form") && converted.output.contains(form))
        #expect(converted.errors.contains("are all there, of the right shapes and finite"))
        #expect(converted.errors.contains("written as 'retnet' to '\(own)'"))
        let again = try succeed(["convert", own, "--out", back, "--to", form, "--json"]).json()
        #expect(again["from"] as? String == "retnet" && again["to"] as? String == form)
        #expect(again["parameters"] as? Int == found["parameters"] as? Int)
        // Buffers are computed again.
        func parameters(_ path: String) throws -> [String: [UInt8]] {
            try bytes(path).filter { !$0.key.contains("retnet_rel_pos") }
        }
        #expect(try parameters(source) == parameters(back))
        let tokens = folder.path("logits")
        for model in [source, own, back] {
            try succeed(["logits", "--model", model, "--tokens", "-", "-o", tokens], input: "[[1, 2, 3]]")
        }
    }

    @Test func `Another element type is written, and a file alone is read with the JSON beside it`() throws {
        let folder = try TemporaryFolder()
        let source = try source("fla-retnet", in: folder)
        let (half, whole) = (folder.path("half"), folder.path("whole"))
        try succeed(["convert", source + "/model.safetensors", "--out", half, "--dtype", "bfloat16"])
        #expect(try bytes(half).keys.allSatisfy { $0.contains("bfloat16") })
        try succeed(["convert", half, "--to", "fla-retnet", "--out", whole, "--dtype", "float32"])
        let config = try folder.text("whole/config.json")
        #expect(config.contains(#""torch_dtype": "float32""#) && config.contains("RetNetForCausalLM"))
        let forms = try succeed(["convert", "--list", "--json"]).json()["forms"] as? [[String: String]]
        #expect(forms?.contains { $0["name"] == "torchscale-2023-07-fairseq" } == true)
    }

    // MARK: Refusals

    @Test func `Options that contradict each other and names that do not exist are usage errors`() throws {
        let folder = try TemporaryFolder()
        let source = try source("fla-retnet", in: folder)
        let out = folder.path("out")
        try refuse([], status: 64, "give the checkpoint to convert, or --list", in: folder)
        try refuse([source], status: 64, "give either --out or --check", in: folder)
        try refuse(
            [source, "--from", "fla-retnt", "--check"], status: 64, "did you mean 'fla-retnet'?", in: folder)
        try refuse(
            [source, "--to", "xyz", "--out", out], status: 64, "there is no form 'xyz' for --to", "--list",
            in: folder)
        try refuse([source, "--dtype", "int8", "--check"], status: 64, "use float32", in: folder)
    }

    @Test func `What is no checkpoint, or fits none or two projects, is refused with the reason`() throws {
        let folder = try TemporaryFolder()
        let source = try source("fla-retnet", in: folder)
        try refuse([folder.path("nothing"), "--check"], "there is no model at", in: folder)
        try refuse(["\(Self.fixtures)/parity/t5-v1.1", "--check"], "`retnet t5 convert`", in: folder)
        try refuse(
            [source, "--from", "gpt2", "--check"], "n_embd: missing", "config.json: 3 problems", in: folder)
        try change(source, ["decoder_embed_dim": 16, "decoder_retention_heads": 2])
        try rewrite(source, adding: ("model.layers.0.retention.q_proj.weight", [16, 16]))
        try refuse(
            [source, "--check"], "fits several projects; name the one that wrote it", "fla-retnet: ",
            "syncdoth-retnet: ", "--from", in: folder)
        try refuse(
            [source, "--from", "fla-retnet", "--check"],
            "'model.layers.0.retention.q_proj.weight' [16, 16] is unexpected", in: folder)
        try change(source, ["model_type": "bert"])
        try refuse(
            [source, "--check"], "is a checkpoint of no known project (its model_type is 'bert')", "--list",
            in: folder)
    }

    @Test func `Tensors and fields that do not fit are named, and nothing is written`() throws {
        let folder = try TemporaryFolder()
        let source = try source("fla-retnet", in: folder)
        let out = ["--out", folder.path("out")]
        try change(source, ["num_hidden_layers": 3])
        try refuse(
            [source] + out, "11 problems", "'model.layers.2.attn.q_proj.weight' [16, 16] is missing",
            in: folder)
        try change(source, ["num_hidden_layers": 1])
        try refuse([source] + out, "'model.layers.1.attn.q_proj.weight' [16, 16] is unexpected", in: folder)
        try change(source, ["num_hidden_layers": 2, "num_heads": 3])
        try refuse([source] + out, "config.json: 2 problems", "expand_k", "expand_v", in: folder)
        try change(source, ["num_heads": 2])
        try rewrite(
            source, without: "model.norm.weight", reshaping: ("model.layers.1.mlp.up_proj.weight", [12, 15]))
        try refuse(
            [source] + out, "2 problems", "'model.norm.weight' [16] is missing", "has the shape [12, 15]",
            in: folder)
        try Data("{\"model_type\": \"retnet\", ".utf8).write(to: folder.url("source/config.json"))
        try refuse([source] + out, "config.json", "line 1", in: folder)
    }

    @Test func `A model that the other form cannot say is refused with what differs`() throws {
        let folder = try TemporaryFolder()
        let source = try source("gpt2", in: folder)
        try refuse(
            [source, "--to", "fla-retnet", "--out", folder.path("out")],
            "the model cannot be written as 'fla-retnet'", in: folder)
    }

    @Test func `Outputs that exist, lie in the source or have no folder are refused`() throws {
        let folder = try TemporaryFolder()
        let source = try source("fla-retnet", in: folder)
        let files = FileManager.default
        try files.createDirectory(atPath: folder.path("empty"), withIntermediateDirectories: true)
        try folder.write("precious", to: "file")
        try files.createSymbolicLink(
            atPath: folder.path("link"), withDestinationPath: folder.path("nowhere"))
        try files.createSymbolicLink(atPath: folder.path("alias"), withDestinationPath: source)
        for name in ["empty", "file", "link"] {
            try refuse([source, "--out", folder.path(name)], "exists already", in: folder)
        }
        #expect(try folder.text("file") == "precious")
        try refuse([source, "--out", folder.path("no/out")], "does not exist", in: folder)
        for name in ["source/out", "source/../source/out", "alias/out"] {
            try refuse([source, "--out", folder.path(name)], "lies in the folder that is read", in: folder)
        }
        #expect(!files.fileExists(atPath: source + "/out"))
    }

    @Test func `A disk that fills up leaves nothing behind`() throws {
        let folder = try TemporaryFolder()
        let source = try source("fla-retnet", in: folder)
        // Sixteen blocks of 512 bytes hold the configuration, but not the weights.
        try refuse(
            [source, "--out", folder.path("out")], "cannot write", "model.safetensors", in: folder,
            limits: "trap '' XFSZ; ulimit -f 16")
    }
}
