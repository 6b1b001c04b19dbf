import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetModels
import RetNetRuntime
import RetNetStorage
import RetNetTestSupport
import RetNetTorch
import Testing

/// Folders with weights of 8 and 4 bits: written, run, and refused where they are damaged.
@Suite struct QuantizationTests {
    /// A model whose matrices all have rows of whole groups.
    private static func configuration(_ change: (inout LanguageModelConfiguration) -> Void = { _ in })
        -> LanguageModelConfiguration
    {
        let retention = RetentionConfiguration(
            headCount: 2, keySize: 32, valueSize: 64, decay: .experiment, rotation: .interleaved,
            normalization: .decay, headNorm: HeadNormConfiguration(), gate: .swish, biases: true)
        var c = LanguageModelConfiguration(
            vocabularySize: 96, hiddenSize: 64, layerCount: 2, mixer: .retention(retention),
            feedForward: FeedForwardConfiguration(kind: .gated, activation: .swish, innerSize: 96))
        change(&c)
        return c
    }

    private let folder: TemporaryFolder
    private var source: String { folder.path("model") }
    private var target: String { folder.path("rounded") }

    init() throws { folder = try TemporaryFolder() }

    private func save(
        _ configuration: LanguageModelConfiguration = configuration(), elementType: ElementType = .float32
    ) throws {
        try ModelFolder.save(
            EnginePair.model(configuration), tokenizer: nil, to: source, elementType: elementType)
    }

    private func logits(_ path: String) throws -> [Float] {
        let runner = try ModelRunner(RuntimeModel(path: path), threads: 2)
        var states = [runner.model.initialState()]
        let tokens = EnginePair.tokens(40, vocabularySize: 96)
        let logits = try runner.read([tokens], &states, logits: .all)
        return (0..<tokens.count).flatMap { row in logits.map { Array($0[row]) } ?? [] }
    }

    @Test(arguments: [QuantizationScheme.int8, .int4], ["plain", "tied", "experts", "bfloat16"])
    func `Logits stay near those of the source`(_ scheme: QuantizationScheme, _ variant: String) throws {
        try save(
            Self.configuration {
                $0.tiedOutput = variant == "tied"
                if variant == "experts" {
                    $0.feedForward.experts = ExpertsConfiguration(count: 3)
                }
            }, elementType: variant == "bfloat16" ? .bfloat16 : .float32)
        var calls: [Int] = []
        let report = try Quantization(path: source, scheme: scheme).write(to: target) { done, _ in
            calls.append(done)
        }
        let error = relativeError(try logits(target), try logits(source))
        #expect(error > 1e-5)
        // Random weights make no use of their bits: errors of half a percent and of 7 grow from layer to layer.
        #expect(error < (scheme == .int8 ? 0.2 : 0.8))
        #expect(calls == calls.sorted() && calls.last == report.valueCounts.reduce(0) { $0 + $1.count })
        let files = try SafetensorsFolder(path: target)
        #expect(files.metadata["quantization"] == scheme.rawValue)
        #expect(report.byteCount == files.entries.reduce(0) { $0 + $1.byteCount })
        #expect(report.byteCount < report.sourceByteCount)
        let fingerprint = try RuntimeModel(path: source).fingerprint()
        #expect(try RuntimeModel(path: target).fingerprint() == fingerprint)
        let query = try #require(files.entry(named: "layers.0.mixer.query.weight"))
        #expect(query.elementType == (scheme == .int8 ? .int8 : .uint8))
        #expect(query.shape == [64, scheme == .int8 ? 64 : 32])
        let embedding = try #require(files.entry(named: "embedding.weight"))
        let isNarrow = variant == "bfloat16"
        #expect(embedding.elementType == (scheme == .int4 ? .int8 : isNarrow ? .bfloat16 : .float16))
        #expect(files.entry(named: "final_norm.weight")?.elementType == (isNarrow ? .bfloat16 : .float32))
        let original = try SafetensorsFolder(path: source)
        for entry in original.entries where files.entry(named: entry.name + ".scales") != nil {
            let values = try floats(entry, in: original)
            let bound = scheme == .int8 || entry.name == "embedding.weight" ? 0.008 : 0.1
            #expect(relativeError(try roundedValues(of: entry, in: files), values) < bound)
        }
    }

    @Test func `What goes with the weights is copied, the state of a training run is not`() throws {
        try save()
        try AtomicFile.write(Data("{}".utf8), to: source + "/trainer.json")
        try AtomicFile.write(Data("x".utf8), to: source + "/tokenizer.model")
        try Quantization(path: source, scheme: .int8).write(to: target)
        let names = try FileManager.default.contentsOfDirectory(atPath: target)
        #expect(names.contains("tokenizer.model") && names.contains("config.json"))
        #expect(!names.contains("trainer.json"))
        try AtomicFolder.verify(target)
    }

    private func floats(_ entry: SafetensorsEntry, in folder: SafetensorsFolder) throws -> [Float] {
        try folder.withUnsafeBytes(of: entry.name) { bytes in
            (0..<entry.elementCount).map { i in
                entry.elementType == .float32
                    ? bytes.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
                    : Float(
                        bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)) << 16)
            }
        }
    }

    /// What the tensors of a rounded folder stand for, read by the description of the format.
    private func roundedValues(of entry: SafetensorsEntry, in folder: SafetensorsFolder) throws -> [Float] {
        func halves(_ name: String) throws -> [Float] {
            try folder.withUnsafeBytes(of: name) { bytes in
                (0..<bytes.count / 2).map {
                    Float(Float16(bitPattern: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)))
                }
            }
        }
        let scales = try halves(entry.name + ".scales")
        let isNarrow = folder.entry(named: entry.name)?.elementType == .uint8
        let minima = isNarrow ? try halves(entry.name + ".minima") : []
        return try folder.withUnsafeBytes(of: entry.name) { bytes in
            (0..<entry.elementCount).map { i in
                let (group, column) = (i / 32, i % 32)
                guard isNarrow else { return scales[group] * Float(Int8(bitPattern: bytes[i])) }
                let pair = bytes[group * 16 + column % 16]
                return scales[group] * Float(column < 16 ? pair & 15 : pair >> 4) + minima[group]
            }
        }
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func `Numbers that are not finite are refused with the tensor's name, and nothing is left`() throws
    {
        for (name, index) in [("layers.1.mixer.value.weight", 70), ("embedding.weight", 5)] {
            try? FileManager.default.removeItem(atPath: source)
            try save()
            let file = source + "/model.safetensors"
            let entry = try #require(try SafetensorsFile(path: file).entry(named: name))
            var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
            for (i, byte) in [UInt8(0), 0, 0xc0, 0x7f].enumerated() {
                bytes[entry.byteRange.lowerBound + 4 * index + i] = byte
            }
            try bytes.write(to: URL(fileURLWithPath: file))
            for scheme in QuantizationScheme.allCases {
                let text = message { try Quantization(path: source, scheme: scheme).write(to: target) }
                #expect(text.contains("'\(name)' is not finite at index \(index)"))
            }
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() == ["model"])
        }
    }

    @Test func `A rounded model and an existing folder are refused`() throws {
        try save()
        try Quantization(path: source, scheme: .int4).write(to: target)
        let again = message { _ = try Quantization(path: target, scheme: .int8) }
        #expect(again.contains("is rounded already, to int4: give the model from which it was made"))
        let existing = message { try Quantization(path: source, scheme: .int8).write(to: target) }
        #expect(existing.contains("already"))
    }

    @Test func `Contradictory metadata, scales and shapes are refused by name`() throws {
        try save()
        try Quantization(path: source, scheme: .int4).write(to: target)
        let original = try SafetensorsFolder(path: target)
        /// Writes the folder again with changed parts.
        func changed(
            _ name: String, shape: [Int]? = nil, type: StoredElementType? = nil,
            metadata: [ExactString: String] = [:],
            _ change: (inout [UInt8]) -> Void = { _ in }
        ) throws -> String {
            let tensors = try original.entries.map { entry in
                var bytes = try original.withUnsafeBytes(of: entry.name) { Array($0) }
                let isChanged = entry.name == name
                if isChanged { change(&bytes) }
                return SafetensorsWriter.Tensor(
                    name: entry.name, elementType: isChanged ? type ?? entry.elementType : entry.elementType,
                    shape: isChanged ? shape ?? entry.shape : entry.shape, data: Data(bytes))
            }
            let path = folder.path("changed")
            try? FileManager.default.removeItem(atPath: path)
            try FileManager.default.copyItem(atPath: target, toPath: path)
            try SafetensorsWriter(tensors, metadata: original.metadata.merging(metadata) { $1 })
                .write(to: path + "/model.safetensors")
            return message { try RuntimeModel(path: path).verify() }
        }
        let name = "layers.0.mixer.key.weight"
        #expect(try changed("") == "no error")
        #expect(
            try changed(name + ".scales") { $0[10...11] = [0x00, 0x7e] }.contains(
                "'\(name).scales' is not finite"))
        #expect(
            try changed(name + ".minima") { $0[2...3] = [0x00, 0xfc] }.contains(
                "'\(name).minima' is not finite"))
        #expect(
            try changed(name + ".scales", shape: [64, 1]) { $0.removeLast(128) }.contains(
                "has the shape [64, 1]"))
        #expect(try changed(name + ".scales", type: .bfloat16).contains("must have float16 numbers"))
        #expect(try changed(name, shape: [32, 64]).contains("has the shape [32, 64]"))
        #expect(try changed(name, type: .int8).contains("has the shape [64, 32]"))
        #expect(try changed("", metadata: ["quantization": "int3"]).contains("names the quantization 'int3'"))
        #expect(try changed("", metadata: ["quantization_group": "64"]).contains("groups of '64' columns"))
    }
}
