import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@Suite struct ModelFolderTests {
    @Test("a saved model gives the same logits when loaded", arguments: [false, true])
    func roundTrip(tied: Bool) throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel(tied: tied)
            let path = folder + "/model"
            try ModelFolder.save(model, tokenizer: ByteTokenizer(), to: path)
            let loaded = try ModelFolder.load(path, verifies: true)
            #expect(loaded.configuration == model.configuration)
            #expect(try loaded.tokenizer.identity == ByteTokenizer().identity)
            #expect(loaded.generationDefaults.endTokens == [254])
            #expect(loaded.generationDefaults.beginToken == 255)
            #expect(try logits(loaded.model) == logits(model))
        }
    }

    @Test("shards hold the same model as one file")
    func shards() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            try ModelFolder.save(
                model, tokenizer: nil, to: folder + "/m", maximumShardByteCount: 4096)
            #expect(FileManager.default.fileExists(atPath: folder + "/m/model.safetensors.index.json"))
            let loaded = try ModelFolder.load(folder + "/m")
            #expect(try logits(loaded.model) == logits(model))
            #expect(throws: TextError.noTokenizer(folder: folder + "/m")) {
                try loaded.tokenizer
            }
        }
    }

    @Test("element types are converted when saving and when loading")
    func elementTypes() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            try ModelFolder.save(model, tokenizer: nil, to: folder + "/m", elementType: .bfloat16)
            let stored = try SafetensorsTensors(folder: folder + "/m")
            #expect(stored.entries.allSatisfy { $0.elementType == .bfloat16 })
            #expect(try ModelFolder.load(folder + "/m").model.parameters.elementType == .bfloat16)
            let wide = try ModelFolder.load(folder + "/m", elementType: .float64)
            #expect(wide.model.parameters.elementType == .float64)
            #expect(wide.model.computeType == .float64)
            // The same model to a state, whatever the type.
            #expect(
                try ModelFingerprint.make(wide.model)
                    == ModelFingerprint.make(ModelFolder.load(folder + "/m").model))
            #expect(try ModelFingerprint.make(wide.model) == ModelFingerprint.make(model))
            #expect(try ModelFingerprint.make(tinyModel(seed: 2)) != ModelFingerprint.make(model))
        }
    }

    @Test("an existing folder is replaced only when asked for")
    func replacing() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m"
            try ModelFolder.save(tinyModel(), tokenizer: nil, to: path)
            #expect(throws: StorageError.alreadyExists(path: path)) {
                try ModelFolder.save(tinyModel(), tokenizer: nil, to: path)
            }
            try ModelFolder.save(tinyModel(seed: 2), tokenizer: nil, to: path, replacing: true)
            #expect(try logits(ModelFolder.load(path).model) == logits(tinyModel(seed: 2)))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["m"])
        }
    }

    @Test("a model that is not finite is not saved, and the old folder stays")
    func notFiniteModel() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m"
            try ModelFolder.save(tinyModel(), tokenizer: nil, to: path)
            let bad = try tinyModel(seed: 2)
            let weight = try #require(bad.parameters["final_norm.weight"])
            try [Float](repeating: .nan, count: 8).withUnsafeBytes { try weight.assign(bytes: $0) }
            #expect(
                throws: CheckpointError(path: path, problems: [.notFinite(name: "final_norm.weight")])
            ) { try ModelFolder.save(bad, tokenizer: nil, to: path, replacing: true) }
            try [Float](repeating: 1e6, count: 8).withUnsafeBytes { try weight.assign(bytes: $0) }
            let overflow = CheckpointProblem.overflows(name: "final_norm.weight", elementType: "float16")
            #expect(throws: CheckpointError(path: path, problems: [overflow])) {
                try ModelFolder.save(
                    bad, tokenizer: nil, to: path, elementType: .float16, replacing: true)
            }
            #expect(try logits(ModelFolder.load(path).model) == logits(tinyModel()))
        }
    }

    @Test("all problems of the weights are named at once")
    func allProblems() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let model = try tinyModel()
            try ModelFolder.write(model, tokenizer: nil, into: path)
            var tensors = model.parameters.entries.map { ($0.name, $0.tensor) }
            func replace(_ name: String, _ tensor: Tensor) throws {
                let index = try #require(tensors.firstIndex { $0.0 == name })
                tensors[index].1 = tensor
            }
            tensors.removeAll { $0.0 == "layers.0.mixer.query.weight" }
            try replace("final_norm.weight", Tensor.full([8], .infinity))
            try replace("layers.1.mixer.key.weight", Tensor.zeros([3, 8]))
            try replace("layers.1.mixer.value.weight", Tensor.zeros([12, 8], .int32))
            tensors.append(("extra", try Tensor.zeros([2])))
            try SafetensorsWriter(tensors: tensors).write(to: path + "/model.safetensors")
            let error = #expect(throws: CheckpointError.self) { try ModelFolder.load(path) }
            let problems = try #require(error?.problems)
            #expect(problems.count == 5)
            #expect(problems.contains(.missing(name: "layers.0.mixer.query.weight", shape: [8, 8])))
            #expect(problems.contains(.notFinite(name: "final_norm.weight")))
            #expect(
                problems.contains(
                    .wrongShape(name: "layers.1.mixer.key.weight", expected: [8, 8], found: [3, 8])))
            #expect(problems.contains(.wrongType(name: "layers.1.mixer.value.weight", found: "I32")))
            #expect(problems.contains(.unexpected(name: "extra", shape: [2])))
            for problem in problems { #expect(error?.description.contains("\(problem)") == true) }
        }
    }

    @Test(
        "weights of types that models do not have are named with what to do",
        arguments: StoredElementType.allCases)
    func elementTypesOfWeights(type: StoredElementType) throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let model = try tinyModel()
            try ModelFolder.write(model, tokenizer: nil, into: path)
            let name = "final_norm.weight"
            let tensors = model.parameters.entries.map { entry in
                guard entry.name == name else {
                    return SafetensorsWriter.Tensor(name: entry.name, entry.tensor)
                }
                let byteCount = type.byteCount(shape: entry.tensor.shape) ?? 0
                return SafetensorsWriter.Tensor(
                    name: name, elementType: type, shape: entry.tensor.shape, data: Data(count: byteCount))
            }
            try SafetensorsWriter(tensors).write(to: path + "/model.safetensors")
            switch type {
            case .float16, .bfloat16, .float32, .float64: _ = try ModelFolder.load(path)
            default:
                let error = #expect(throws: CheckpointError.self) { try ModelFolder.load(path) }
                let text = error?.description ?? ""
                #expect(
                    text.contains("'\(name)' has elements of type \(type.rawValue) (\(type.summary))"),
                    "\(text)")
                #expect(text.contains("convert the weights to F32, F16 or BF16"))
                #expect(!text.contains("not a floating-point"))
            }
        }
    }

    @Test("a tied output may be stored if it equals the embedding")
    func tiedOutput() throws {
        try withTemporaryFolder { path in
            let model = try tinyModel(tied: true)
            try ModelFolder.write(model, tokenizer: nil, into: path)
            let tensors = model.parameters.entries.map { ($0.name, $0.tensor) }
            let embedding = try #require(model.parameters["embedding.weight"])
            try SafetensorsWriter(tensors: tensors + [("output.weight", embedding)])
                .write(to: path + "/model.safetensors")
            #expect(try logits(ModelFolder.load(path).model) == logits(model))
            try SafetensorsWriter(tensors: tensors + [("output.weight", try embedding * 2)])
                .write(to: path + "/model.safetensors")
            #expect(
                throws: CheckpointError(
                    path: path,
                    problems: [.outputNotTied(name: "output.weight", embedding: "embedding.weight")])
            ) { try ModelFolder.load(path) }
        }
    }

    @Test("changed and truncated files are refused")
    func changedFiles() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m"
            try ModelFolder.save(tinyModel(), tokenizer: ByteTokenizer(), to: path)
            let weights = path + "/model.safetensors"
            let bytes = try readBytes(weights)
            try writeBytes(bytes.dropLast(4), to: weights)
            let changed = #expect(throws: ModelFolderError.self) { try ModelFolder.load(path) }
            #expect(changed?.description.contains("model.safetensors") == true)
            #expect(changed?.description.contains("delete '\(path)/checksums.json'") == true)
            try FileManager.default.removeItem(atPath: path + "/checksums.json")
            #expect(
                errorText(StorageError.self) { try ModelFolder.load(path) }.contains(
                    "tensor 'output.weight' ends at data byte 22176"))
            #expect(
                errorText(ModelFolderError.self) { try ModelFolder.load(path, verifies: true) }.contains(
                    "has no checksums.json"))
        }
        try withTemporaryFolder { folder in
            let path = folder + "/m"
            try ModelFolder.save(tinyModel(), tokenizer: ByteTokenizer(), to: path)
            var bytes = try readBytes(path + "/model.safetensors")
            bytes[bytes.count - 1] ^= 1
            try writeBytes(bytes, to: path + "/model.safetensors")
            _ = try ModelFolder.load(path)
            #expect(
                errorText(ModelFolderError.self) { try ModelFolder.load(path, verifies: true) }.contains(
                    "is corrupt"))
        }
        #expect(throws: StorageError.notFound(path: "/nowhere/at/all/config.json")) {
            try ModelFolder.load("/nowhere/at/all")
        }
    }
}
