import RetNetStorage
import RetNetTorch

/// The tensors of one or more safetensors files, read by name on demand.
///
/// The files are mapped into memory, so only what is read costs memory. Each tensor returned has storage of its own, or, if
/// asked for, the pages of the file: then it costs no copy, and writing it changes no file.
public struct SafetensorsTensors {
    /// The path of the file or folder, as given.
    public let path: String
    /// All tensors, file by file, in the order of their data.
    public let entries: [SafetensorsEntry]
    /// The texts of `__metadata__`.
    public let metadata: [ExactString: String]
    private let entriesByName: [ExactString: SafetensorsEntry]
    private let file: (_ name: String) -> SafetensorsFile?
    private let sharesFiles: Bool

    /// Opens the tensors of a model folder, in one file or in shards; throws `StorageError`.
    ///
    /// With `sharesFiles`, tensors on the processor use the pages of the files, which must not be changed in place.
    public init(folder path: String, sharesFiles: Bool = false) throws {
        let folder = try SafetensorsFolder(path: path, copiesOnWrite: sharesFiles)
        self.init(path: path, folder.entries, folder.metadata, sharesFiles) { folder.file(holding: $0) }
    }

    /// Opens the tensors of one file; throws `StorageError`.
    public init(file path: String, sharesFiles: Bool = false) throws {
        let file = try SafetensorsFile(path: path, copiesOnWrite: sharesFiles)
        self.init(path: path, file.entries, file.metadata, sharesFiles) { _ in file }
    }

    private init(
        path: String, _ entries: [SafetensorsEntry], _ metadata: [ExactString: String], _ sharesFiles: Bool,
        file: @escaping (String) -> SafetensorsFile?
    ) {
        self.path = path
        self.entries = entries
        self.metadata = metadata
        self.sharesFiles = sharesFiles
        self.file = file
        entriesByName = Dictionary(entries.map { (ExactString($0.name), $0) }) { first, _ in first }
    }

    /// The names of all tensors, in the order of their data.
    public var names: [String] { entries.map(\.name) }

    /// Returns a tensor's type, shape and place; nil if there is no tensor of this name.
    public func entry(named name: String) -> SafetensorsEntry? { entriesByName[ExactString(name)] }

    /// Reads a tensor in its stored element type onto a device.
    ///
    /// Throws `StorageError.unknownTensor`, ``CheckpointError`` for element types that tensors cannot have, and
    /// `TorchError` when there is no room.
    public func tensor(named name: String, on device: Device = .cpu) throws -> Tensor {
        guard let entry = entriesByName[ExactString(name)] else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        guard let type = ElementType(entry.elementType) else {
            throw CheckpointError(
                path: path, problems: [.unusableType(name: name, found: entry.elementType.rawValue)])
        }
        guard let file = file(name) else { throw StorageError.unknownTensor(name: name, path: path) }
        return try file.withUnsafeBytes(of: name) { bytes in
            if sharesFiles, file.copiesOnWrite, device == .cpu, !bytes.isEmpty {
                let memory = UnsafeMutableRawBufferPointer(mutating: bytes)
                if let tensor = try Tensor.sharing(memory, of: file, entry.shape, type) { return tensor }
            }
            return try Tensor.from(bytes: bytes, entry.shape, type, on: device)
        }
    }
}

extension SafetensorsWriter.Tensor {
    /// Creates a description of a tensor that is converted and copied to the host only while it is written.
    ///
    /// `type` is the element type in the file, by default the tensor's own.
    public init(name: String, _ tensor: RetNetTorch.Tensor, as type: ElementType? = nil) {
        let type = type ?? tensor.elementType
        self.init(name: name, elementType: type.stored, shape: tensor.shape) { sink in
            try withoutGradients {
                try tensor.to(type).withHostBytes { try sink.write($0) }
            }
        }
    }
}

extension SafetensorsWriter {
    /// Creates a writer of named tensors that holds a host copy of one at a time.
    public init(tensors: [(name: String, tensor: RetNetTorch.Tensor)], metadata: [ExactString: String] = [:])
    {
        self.init(tensors.map { SafetensorsWriter.Tensor(name: $0.name, $0.tensor) }, metadata: metadata)
    }
}

extension ElementType {
    /// Creates the element type of a stored one; nil for types that tensors cannot have (U16, U32, U64, C64, F8, F6, F4).
    public init?(_ stored: StoredElementType) {
        switch stored {
        case .bool: self = .bool
        case .uint8: self = .uint8
        case .int8: self = .int8
        case .int16: self = .int16
        case .int32: self = .int32
        case .int64: self = .int64
        case .float16: self = .float16
        case .bfloat16: self = .bfloat16
        case .float32: self = .float32
        case .float64: self = .float64
        case .uint16, .uint32, .uint64, .complex64, .float8E4M3, .float8E5M2, .float8E4M3Unsigned0,
            .float8E5M2Unsigned0, .float8E8M0, .float6E2M3, .float6E3M2, .float4:
            return nil
        }
    }

    /// The same type in safetensors files.
    public var stored: StoredElementType {
        switch self {
        case .bool: .bool
        case .uint8: .uint8
        case .int8: .int8
        case .int16: .int16
        case .int32: .int32
        case .int64: .int64
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .float32: .float32
        case .float64: .float64
        }
    }
}
