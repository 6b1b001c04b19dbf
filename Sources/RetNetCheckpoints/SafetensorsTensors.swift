import RetNetStorage
import RetNetTorch

/// The tensors of one or more safetensors files, read by name when asked for.
///
/// The files are mapped into memory, so only what is read costs memory, and each tensor returned has storage
/// of its own.
public struct SafetensorsTensors {
    /// Where the tensors are, as given.
    public let path: String
    /// All tensors, file by file, in the order of their data.
    public let entries: [SafetensorsEntry]
    /// The texts of `__metadata__`.
    public let metadata: [String: String]
    private let entriesByName: [String: SafetensorsEntry]
    private let lend: (_ name: String, _ body: (UnsafeRawBufferPointer) throws -> Tensor) throws -> Tensor

    /// The tensors of a model folder, whether in one file or in shards; throws `StorageError`.
    public init(folder path: String) throws {
        let folder = try SafetensorsFolder(path: path)
        self.init(path: path, entries: folder.entries, metadata: folder.metadata) { name, body in
            try folder.withUnsafeBytes(of: name, body)
        }
    }

    /// The tensors of one file; throws `StorageError`.
    public init(file path: String) throws {
        let file = try SafetensorsFile(path: path)
        self.init(path: path, entries: file.entries, metadata: file.metadata) { name, body in
            try file.withUnsafeBytes(of: name, body)
        }
    }

    private init(
        path: String, entries: [SafetensorsEntry], metadata: [String: String],
        lend: @escaping (String, (UnsafeRawBufferPointer) throws -> Tensor) throws -> Tensor
    ) {
        self.path = path
        self.entries = entries
        self.metadata = metadata
        self.lend = lend
        entriesByName = Dictionary(entries.map { ($0.name, $0) }) { first, _ in first }
    }

    /// The names of all tensors, in the order of their data.
    public var names: [String] { entries.map(\.name) }

    /// The tensor's type, shape and place; nil if there is no tensor of this name.
    public func entry(named name: String) -> SafetensorsEntry? { entriesByName[name] }

    /// Reads a tensor in its stored element type onto a device.
    ///
    /// Throws `StorageError.unknownTensor`, ``CheckpointError`` for element types that tensors cannot have, and
    /// `TorchError` when there is no room.
    public func tensor(named name: String, on device: Device = .cpu) throws -> Tensor {
        guard let entry = entriesByName[name] else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        guard let type = ElementType(entry.elementType) else {
            throw CheckpointError(
                path: path, problems: [.unusableType(name: name, found: entry.elementType.rawValue)])
        }
        return try lend(name) { try Tensor.from(bytes: $0, entry.shape, type, on: device) }
    }

    /// Whether two tensors have the same element type, shape and values.
    func areEqual(_ first: String, _ second: String) throws -> Bool {
        guard let a = entriesByName[first], let b = entriesByName[second],
            a.elementType == b.elementType, a.shape == b.shape
        else { return false }
        guard a.elementCount > 0 else { return true }
        let equal = try tensor(named: first).isEqual(to: tensor(named: second))
        return try equal.to(.uint8).min().item() == 1
    }
}
