import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSampling
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch

/// A checkpoint in this package's form or another project's that is to be written in one of them.
///
/// Tensors are read, turned and written one at a time, so a checkpoint may be larger than the memory. Nothing is computed:
/// without another element type, every value keeps its bits.
public struct CheckpointConversion {
    /// The folder or file that is read.
    public let path: String
    /// The architecture.
    public let configuration: LanguageModelConfiguration
    /// The checkpoint of another project; nil if it is one of this package.
    public let foreign: ForeignCheckpoint?
    private let tensors: any TensorSource
    private let ours: [(name: String, shape: [Int])]

    /// The name that stands for this package's own form.
    public static let ownName = "retnet"

    /// Opens a checkpoint in the form of a name, or in the one that it is recognized as.
    ///
    /// Throws ``DialectError`` if the form is unknown or in doubt, `SettingsError` with all problems of the configuration,
    /// and `StorageError`.
    public init(path: String, from name: String? = nil) throws {
        self.path = path
        let own = name == nil || name == Self.ownName ? try ConfigurationFile.own(folder: path) : nil
        if let own {
            foreign = nil
            configuration = own
            let ownTensors = try SafetensorsTensors(folder: path)
            try ModelFolder.checkNotRounded(ownTensors, path: path)
            try ModelFolder.checkLayerCount(own, ownTensors, path: path)
            tensors = ownTensors
            ours = try own.parameterShapes()
        } else if name == Self.ownName {
            throw DialectError.mismatch(
                path: path, dialect: Self.ownName, reason: "its config.json is not one of this package")
        } else {
            let foreign = try ForeignCheckpoint(path: path, dialect: name)
            self.foreign = foreign
            configuration = foreign.configuration
            tensors = try foreign.files.tensors
            ours = foreign.plan.ours
        }
    }

    /// The number of values in all parameters.
    public var parameterCount: Int { ours.reduce(0) { $0 + $1.shape.reduce(1, *) } }

    /// The number of tensors in the files.
    public var tensorCount: Int { tensors.entries.count }

    /// The settings on which depends what the model computes, with their dotted names.
    public var semantics: [(path: String, value: SettingsTree)] {
        let training = ["dropout", "initialization"]
        return configuration.meaning.settings.leaves().filter { leaf in
            leaf.value != .null && !training.contains { leaf.path.hasPrefix($0 + ".") }
        }
    }

    /// Reads every tensor and throws ``CheckpointError`` with all problems of weights and special tokens.
    public func check(elementType: ElementType? = nil) throws {
        let reader = WeightReader(tensors, elementType: elementType, device: .cpu)
        try withoutGradients {
            for (name, shape) in ours { _ = try parameter(name, shape, reader) }
        }
        if let foreign {
            try reader.checkLeftOver(of: foreign.plan)
        } else {
            let output = (ModelFolder.outputName, ModelFolder.embeddingName)
            try reader.checkLeftOver(copies: configuration.tiedOutput ? [output] : [])
        }
        let tokenizer = try? TokenizerLoader.load(folder: folder)
        let problems =
            reader.problems
            + CheckpointProblem.tokens(of: tokenizer, try generationDefaults(), for: configuration)
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
    }

    /// Writes the checkpoint as a folder, either of this package or in another project's form, that is complete or absent.
    ///
    /// The files of the tokenizer and `generation_config.json` are copied. Throws ``CheckpointError`` with all problems of
    /// the weights, ``DialectError/inexpressible(dialect:reasons:)`` if the form cannot say what the model is, and
    /// `StorageError`.
    public func write(
        to output: String, as name: String? = nil, elementType: ElementType? = nil,
        maximumShardByteCount: Int = ModelFolder.defaultShardByteCount, replacing: Bool = false
    ) throws {
        let dialect = try name.flatMap { $0 == Self.ownName ? nil : try Dialects.named($0) }
        let fields = try dialect.map { try Self.checkedFields(configuration, in: $0) }
        let plan = try dialect.map { try TensorPlan($0, configuration, found: TensorNames()) }
        try check(elementType: elementType)
        if let plan { try checkAbsent(plan) }
        try AtomicFolder.create(at: output, replacing: replacing) { folder in
            let text: String
            if var fields {
                if fields["model_type"] != nil {
                    let type = SettingsTree.string((elementType ?? commonType).rawValue)
                    (fields["torch_dtype"], fields["dtype"]) = (type, type)
                }
                text = try SettingsTree.object(fields).jsonText()
            } else {
                text = try configuration.jsonText()
            }
            try AtomicFile.write(Data(text.utf8), to: folder + "/" + ConfigurationFile.fileName)
            let writer = SafetensorsWriter(
                try plan.map { try theirTensors($0, elementType) } ?? ourTensors(elementType),
                metadata: ["format": "pt"])
            let byteCount = writer.tensors.reduce(0) {
                $0 + ($1.elementType.byteCount(shape: $1.shape) ?? 0)
            }
            if byteCount <= maximumShardByteCount {
                try writer.write(to: folder + "/" + SafetensorsFolder.singleFileName)
            } else {
                try writer.writeShards(in: folder, maximumShardByteCount: maximumShardByteCount)
            }
            try copyFiles(to: folder)
        }
    }

    // MARK: Tensors

    /// Returns one of our parameters, checked.
    private func parameter(_ name: String, _ shape: [Int], _ reader: WeightReader) throws -> Tensor {
        guard let plan = foreign?.plan else { return try reader.provide(name, shape) }
        return try reader.provide(name, shape, by: plan)
    }

    private func parameter(_ name: String, _ elementType: ElementType?) throws -> Tensor {
        let shape = ours.first { $0.name == name }?.shape ?? []
        return try withoutGradients {
            try parameter(name, shape, WeightReader(tensors, elementType: elementType, device: .cpu))
        }
    }

    private var commonType: ElementType { ModelFolder.commonType(tensors.entries) }

    /// The stored element type of one of our parameters.
    private func storedType(_ name: String) -> ElementType {
        let their = foreign?.plan.source(of: name) ?? name
        return tensors.entry(named: their).flatMap { ElementType($0.elementType) } ?? commonType
    }

    private func ourTensors(_ elementType: ElementType?) -> [SafetensorsWriter.Tensor] {
        ours.map { name, shape in
            let type = elementType ?? storedType(name)
            return SafetensorsWriter.Tensor(name: name, elementType: type.stored, shape: shape) { sink in
                try parameter(name, type).to(type).withHostBytes { try sink.write($0) }
            }
        }
    }

    private func theirTensors(_ plan: TensorPlan, _ elementType: ElementType?) throws
        -> [SafetensorsWriter.Tensor]
    {
        var result = plan.theirs.map { tensor in
            let type = elementType ?? storedType(plan.table.rows[tensor.row].ours[0])
            return SafetensorsWriter.Tensor(
                name: tensor.name, elementType: type.stored, shape: tensor.shape
            ) { sink in
                let values = try withoutGradients {
                    try plan.theirs(tensor) { try parameter($0, type).to(type) }
                }
                try values.withHostBytes { try sink.write($0) }
            }
        }
        for copy in plan.table.copies where copy.isWritten {
            guard let original = result.first(where: { $0.name == copy.of }) else { continue }
            result.append(original.named(copy.name))
        }
        for constant in plan.table.constants where !constant.isOptional {
            result.append(SafetensorsWriter.Tensor(name: constant.name, try constant.values()))
        }
        return result
    }

    /// Checks parameters that the other form leaves out.
    private func checkAbsent(_ plan: TensorPlan) throws {
        var problems: [CheckpointProblem] = []
        for (name, value) in plan.absentParameters {
            let equal = try parameter(name, nil).isEqual(to: value).to(.uint8).min().item()
            if equal != 1 { problems.append(.notConstant(name: name, value: value)) }
        }
        guard problems.isEmpty else { throw CheckpointError(path: path, problems: problems) }
    }

    // MARK: Configuration

    /// Returns the configuration in another form, after reading it back and comparing what it says.
    private static func checkedFields(
        _ model: LanguageModelConfiguration, in dialect: any CheckpointDialect
    ) throws -> SettingsObject {
        let fields = try dialect.fields(for: model)
        let reader = SettingsReader(.object(fields))
        let back = dialect.configuration(
            reading: reader, CheckpointTraits(fields: .object(fields), tensors: TensorNames()))
        guard reader.problems.isEmpty else {
            throw DialectError.inexpressible(
                dialect: dialect.name, reasons: reader.problems.map(\.description))
        }
        let reasons = dialect.spelling(of: model).meaning.differences(from: back.meaning)
        guard reasons.isEmpty else {
            throw DialectError.inexpressible(dialect: dialect.name, reasons: reasons)
        }
        return fields
    }

    // MARK: Other files

    private var folder: String { CheckpointFiles.folder(of: path) }

    private func generationDefaults() throws -> GenerationDefaults {
        try foreign?.generationDefaults() ?? GenerationDefaults(folder: path)
    }

    private func copyFiles(to output: String) throws {
        let names = TokenizerLoader.fileNames + [GenerationDefaults.fileName]
        for name in names where FileManager.default.fileExists(atPath: folder + "/" + name) {
            // Files of a hub's cache are links.
            let source = URL(fileURLWithPath: folder + "/" + name).resolvingSymlinksInPath().path
            let file = try MappedFile(path: source)
            try file.withUnsafeBytes { bytes in
                try AtomicFile.write(to: output + "/" + name) { try $0.write(bytes) }
            }
        }
        guard !FileManager.default.fileExists(atPath: output + "/" + GenerationDefaults.fileName) else {
            return
        }
        try generationDefaults().save(to: output)
    }
}

extension LanguageModelConfiguration {
    /// What the model computes: the configuration without what matters only in training, in its shortest spelling.
    var meaning: LanguageModelConfiguration {
        var result = self
        result.dropout = .init()
        result.initialization = .torchscale
        result.trainingLength = nil
        result.tokens = .init()
        result.pattern = (0..<layerCount).map { layer($0).meaning }
        if Set(result.pattern.indices.filter { result.pattern[$0] != result.pattern[0] }).isEmpty {
            result.pattern = Array(result.pattern.prefix(1))
        }
        return result
    }

    /// Returns a line for every setting in which the model differs from what another form says.
    func differences(from other: LanguageModelConfiguration) -> [String] {
        let (mine, theirs) = (settings.leaves(), other.settings.leaves())
        let names =
            mine.map(\.path) + theirs.map(\.path).filter { path in !mine.contains { $0.path == path } }
        return names.compactMap { path in
            let (a, b) = (mine.first { $0.path == path }?.value, theirs.first { $0.path == path }?.value)
            guard a != b else { return nil }
            return "\(path) is \(a?.summary ?? "nothing"), but it can only say \(b?.summary ?? "nothing")"
        }
    }
}

extension LayerConfiguration {
    /// The same layer without what is said twice.
    fileprivate var meaning: LayerConfiguration {
        var result = self
        switch mixer {
        case .retention(var retention):
            if retention.keyValueHeadCount == retention.headCount { retention.keyValueHeadCount = nil }
            result.mixer = .retention(retention)
        case .attention(var attention):
            if attention.keyValueHeadCount == attention.headCount { attention.keyValueHeadCount = nil }
            if attention.rotarySize == attention.headSize { attention.rotarySize = nil }
            if attention.outputBiases == attention.biases { attention.outputBiases = nil }
            result.mixer = .attention(attention)
        default: break
        }
        return result
    }
}

extension SettingsTree {
    /// Returns every value that is no object, with its dotted path.
    public func leaves(_ prefix: String = "") -> [(path: String, value: SettingsTree)] {
        guard let object else {
            guard let array, array.contains(where: { $0.object != nil }) else { return [(prefix, self)] }
            return array.enumerated().flatMap { $1.leaves("\(prefix)[\($0)]") }
        }
        return object.entries.flatMap {
            $0.value.leaves(prefix.isEmpty ? $0.key : prefix + "." + $0.key)
        }
    }
}
