import Foundation
import Testing

@testable import RetNetStorage

/// Files of Benchmarks/pytorch/make_files.py.
enum PyTorchFixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/PyTorch").path

    struct Tensor: Decodable {
        let type: String
        let shape: [Int]
        let hex: String
    }

    static func expected() throws -> [String: [String: Tensor]] {
        try JSONDecoder().decode(
            [String: [String: Tensor]].self, from: try contents(folder + "/expected.json"))
    }

    static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// Every form of torch.save against the values that PyTorch reads.
@Suite struct PyTorchFileTests {
    private static let types: [String: StoredElementType] = [
        "float64": .float64, "float32": .float32, "float16": .float16, "bfloat16": .bfloat16, "int64": .int64,
        "int32": .int32, "int16": .int16, "int8": .int8, "uint8": .uint8, "bool": .bool,
        "complex64": .complex64,
        "uint16": .uint16, "float8_e4m3fn": .float8E4M3,
    ]

    @Test func everyFormGivesTheValuesOfPyTorch() throws {
        let expected = try PyTorchFixtures.expected()
        #expect(expected.count >= 20)
        for (name, tensors) in expected {
            let path = PyTorchFixtures.folder + "/" + name
            #expect(try PyTorchFile.recognizes(path))
            let file = try PyTorchFile(path: path)
            #expect(Set(file.tensors.map(\.name)) == Set(tensors.keys), "\(name)")
            for (key, value) in tensors {
                let tensor = try #require(file.tensor(named: key))
                #expect(tensor.elementType == Self.types[value.type], "\(name) \(key)")
                #expect(tensor.shape == value.shape, "\(name) \(key)")
                #expect(try file.withUnsafeBytes(of: key, PyTorchFixtures.hex) == value.hex, "\(name) \(key)")
            }
        }
    }

    @Test(arguments: ["state.pt", "legacy.pt", "protocol5.pt"])
    func tiedWeightsAreOneViewAndViewsKeepTheirStrides(name: String) throws {
        let file = try PyTorchFile(path: PyTorchFixtures.folder + "/" + name)
        let embedding = try #require(file.tensor(named: "embed.weight"))
        let output = try #require(file.tensor(named: "output.weight"))
        #expect(embedding.isSame(as: output))
        let whole = try #require(file.tensor(named: "f32"))
        let transposed = try #require(file.tensor(named: "transposed"))
        #expect(!whole.isSame(as: transposed))
        #expect(whole.isContiguous && !transposed.isContiguous)
        #expect(whole.view.storage == transposed.view.storage)
    }

    @Test func whatLiesInTheFileAsItIsIsToldFromViewsAndCopies() throws {
        func inPlace(_ name: String) throws -> (all: Set<String>, own: Set<String>) {
            let file = try PyTorchFile(path: PyTorchFixtures.folder + "/" + name, copiesOnWrite: true)
            let names = file.tensors.map(\.name)
            return (Set(names), Set(names.filter(file.isInPlace)))
        }
        let state = try inPlace("state.pt")
        // Views of each other, tied weights and what has no elements.
        for name in ["f32", "transposed", "column", "expanded", "embed.weight", "output.weight"] {
            #expect(state.all.contains(name) && !state.own.contains(name), "\(name)")
        }
        #expect(state.own.isSuperset(of: ["bf16", "f64"]))
        #expect(try inPlace("deflated.pt").own.isEmpty)
        let path = PyTorchFixtures.folder + "/state.pt"
        let (shared, plain) = (try PyTorchFile(path: path, copiesOnWrite: true), try PyTorchFile(path: path))
        #expect(shared.copiesOnWrite && !plain.copiesOnWrite && !plain.isInPlace("none"))
        // What is written there is seen by this file alone.
        try shared.withUnsafeBytes(of: "bf16") {
            UnsafeMutableRawBufferPointer(mutating: $0).storeBytes(of: 0xAB, as: UInt8.self)
        }
        #expect(try shared.withUnsafeBytes(of: "bf16") { $0[0] } == 0xAB)
        #expect(try plain.withUnsafeBytes(of: "bf16") { $0[0] } != 0xAB)
    }

    @Test(arguments: ["fairseq.pt", "fairseq_legacy.pt"])
    func valuesBesideTheTensorsAreAPlainTree(name: String) throws {
        let file = try PyTorchFile(path: PyTorchFixtures.folder + "/" + name)
        #expect(file.stateDictionaryPath == ["model"])
        #expect(file.values["model"] == nil)
        let arguments = try #require(file.values["args"])
        #expect(arguments["arch"] == .string("retnet_base"))
        #expect(arguments["decoder_layers"] == .int(6))
        #expect(arguments["dropout"] == .double(0.1))
        #expect(arguments["share_decoder_input_output_embed"] == .bool(true))
        #expect(arguments["seeds"] == .list([.int(1), .int(2)]))
        #expect(arguments["update"] == .null)
        #expect(file.values["cfg"]?["model"]?["_name"] == .string("retnet"))
        guard case .list(let history)? = file.values["optimizer_history"] else {
            Issue.record("no list")
            return
        }
        #expect(history.first?["best_loss"] == .double(2.5))
        #expect(history.first?["rank"] == .int(-4))
        #expect(file.values["extra_state"]?["device"] == .string("cuda:1"))
        #expect(file.values["last_optimizer_state"]?["state"]?["0"]?["step"] == .int(1000))
        #expect(file.values["last_optimizer_state"]?["state"]?["0"]?["exp_avg"] == .other("tensor [2]"))
        #expect(file.values["last_optimizer_state"]?["dtype"] == .other("torch.float16"))
    }

    @Test func weightsAreFoundUnderTheKeysThatProgramsUse() throws {
        func open(_ name: String) throws -> PyTorchFile {
            try PyTorchFile(path: PyTorchFixtures.folder + "/" + name)
        }
        let omegaconf = try open("omegaconf.pt")
        let model = omegaconf.values["cfg"]?["model"]
        #expect(
            model?["layers"] == .int(6) && model?["rate"] == .double(0.5) && model?["name"] == .string("x"))
        #expect(model?["sizes"] == .list([.int(1), .int(2)]))
        let lightning = try open("lightning.ckpt")
        #expect(lightning.stateDictionaryPath == ["state_dict"])
        #expect(lightning.values["hyper_parameters"]?["lr"] == .double(1e-3))
        let nested = try open("nested.pt")
        #expect(nested.stateDictionaryPath == ["model", "state_dict"])
        #expect(nested.values["step"] == .int(10) && nested.values["model"] == .dictionary([]))
        let beside = try open("beside.pt")
        #expect(beside.stateDictionaryPath == [])
        #expect(
            beside.values
                == .dictionary([
                    .init("step", .int(10)), .init("names", .list([.string("a"), .list([.string("b")])])),
                    .init("big", .string("0x10000000000000000000000000")),
                ]))
        let path = PyTorchFixtures.folder + "/refused_two.pt"
        #expect(try PyTorchFile(path: path, stateDictionary: "module").tensors.map(\.name) == ["x"])
        #expect(
            try PyTorchFile(path: PyTorchFixtures.folder + "/refused_other_key.pt", stateDictionary: "ema")
                .tensors.count == 2)
        expectStorageError("no tensors under 'model_ema'", "'model', 'module'") {
            _ = try PyTorchFile(path: path, stateDictionary: "model_ema")
        }
    }

    @Test(arguments: [
        ("refused_module.pt", "calls 'torch.nn.modules.linear.Linear'; this reader never runs code"),
        ("refused_module_legacy.pt", "calls 'the code of a whole module'"),
        ("refused_script.pt", "a TorchScript program"), ("refused_quantized.pt", "QInt8Storage"),
        ("refused_sparse.pt", "calls 'torch._utils._rebuild_sparse_tensor'"),
        ("refused_two.pt", "those under 'model' or 'module'"),
        ("refused_list.pt", "no dictionary of tensors by name"),
        ("refused_other_key.pt", "but 'step', 'ema'"), ("refused_big_endian.pt", "big-endian"),
        ("expected.json", "neither a zip archive nor a pickle"),
    ])
    func whatIsNotReadIsRefusedByName(name: String, reason: String) {
        expectStorageError(name, reason) { _ = try PyTorchFile(path: PyTorchFixtures.folder + "/" + name) }
    }

    @Test(arguments: [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        ("<!DOCTYPE html>", "a web page"), ("", "an empty file"), ("GGUF\u{3}", "a GGUF file"),
        (String(repeating: "\0", count: 257) + "ustar", "a tar archive, the form of PyTorch before 0.1.10"),
        ("PK\u{3}\u{4}", "too short for a zip archive"),
    ])
    func otherFilesAreRecognized(text: String, reason: String) throws {
        try withTemporaryFolder { folder in
            try put(text, at: folder + "/f.pt")
            expectStorageError("f.pt", reason) { _ = try PyTorchFile(path: folder + "/f.pt") }
        }
    }

    @Test func shardsAreReadByTheirIndex() throws {
        let folder = try PyTorchFolder(path: PyTorchFixtures.folder + "/shards")
        #expect(folder.tensors.map(\.name) == ["a", "b", "c"])
        #expect(PyTorchFolder.recognizes(folder.path) && PyTorchFolder.recognizes(PyTorchFixtures.folder))
        #expect(try folder.withUnsafeBytes(of: "b") { $0.count } == 96)
        #expect(try PyTorchFolder(path: PyTorchFixtures.folder).tensors.count == 4)
        try withTemporaryFolder { copy in
            for name in try names(folder.path) {
                try put(contents(folder.path + "/" + name), at: copy + "/" + name)
            }
            try FileManager.default.removeItem(atPath: copy + "/pytorch_model-00002-of-00002.bin")
            expectStorageError("pytorch_model.bin.index.json", "pytorch_model-00002-of-00002.bin is missing")
            {
                _ = try PyTorchFolder(path: copy)
            }
            let first = try contents(copy + "/pytorch_model-00001-of-00002.bin")
            try put(first, at: copy + "/pytorch_model-00002-of-00002.bin")
            expectStorageError("tensor 'a' is listed in shard pytorch_model-00001-of-00002.bin but") {
                _ = try PyTorchFolder(path: copy)
            }
        }
    }

    @Test(arguments: ["beside.pt", "legacy_protocol4.pt"])
    func filesThatAreCutOffAnywhereAreRefused(name: String) throws {
        let whole = try contents(PyTorchFixtures.folder + "/" + name)
        try withTemporaryFolder { folder in
            let path = folder + "/cut.pt"
            try put(whole, at: path)
            let file = try #require(FileHandle(forWritingAtPath: path))
            defer { try? file.close() }
            for count in (0..<whole.count).reversed() {
                try file.truncate(atOffset: UInt64(count))
                #expect(throws: StorageError.self, "\(count)") { _ = try PyTorchFile(path: path) }
            }
        }
    }

    /// Every byte is changed in turn: the file is refused, or gives tensors of the size that it says.
    @Test(arguments: ["beside.pt", "legacy_protocol4.pt", "deflated.pt"])
    func filesWithAWrongByteAnywhereGiveAnErrorOrTensors(name: String) throws {
        let whole = [UInt8](try contents(PyTorchFixtures.folder + "/" + name))
        let original = try PyTorchFile(path: PyTorchFixtures.folder + "/" + name)
        // A checksum guards the numbers of archives.
        var expected: [String: Data] = [:]
        for tensor in original.tensors where !name.contains("legacy") {
            expected[tensor.name] = try original.withUnsafeBytes(of: tensor.name) { Data($0) }
        }
        var refusedCount = 0
        try withTemporaryFolder { folder in
            let path = folder + "/damaged.pt"
            try put(Data(whole), at: path)
            // Changed in place, since a new file for each byte would take minutes on a busy disk.
            let handle = try #require(FileHandle(forWritingAtPath: path))
            defer { try? handle.close() }
            func write(_ byte: UInt8, at index: Int) throws {
                try handle.seek(toOffset: UInt64(index))
                try handle.write(contentsOf: Data([byte]))
            }
            for index in whole.indices {
                try write(whole[index] ^ (index % 3 == 0 ? 0xFF : index % 3 == 1 ? 0x01 : 0x80), at: index)
                do {
                    let file = try PyTorchFile(path: path)
                    for tensor in file.tensors {
                        let value = try file.withUnsafeBytes(of: tensor.name) { Data($0) }
                        let isRight =
                            value.count == tensor.byteCount
                            && (expected[tensor.name].map { $0 == value } ?? true)
                        // Reporting costs more than reading.
                        if !isRight { Issue.record("byte \(index): \(tensor.name)") }
                    }
                } catch is StorageError {
                    refusedCount += 1
                }
                try write(whole[index], at: index)
            }
        }
        #expect(refusedCount > whole.count / 5)
    }
}
