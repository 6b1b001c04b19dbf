import RetNetSettings
import RetNetStorage
import RetNetTorch

/// The tensors of one or more files of PyTorch (`.pt`, `.pth`, `.bin`, `.ckpt`), read by name on demand.
///
/// The files are mapped into memory and their pickles are never run. Each tensor returned has storage of its own, in
/// row-major order, whatever the strides in the file, or, if asked for, the pages of the file where it lies there in this
/// order, uncompressed and apart from others: then it costs no copy, and writing it changes no file.
public struct PyTorchTensors {
    /// The path of the file or folder, as given.
    public let path: String
    /// All tensors, file by file, in the order of their dictionary; byte ranges count from each tensor's own beginning.
    public let entries: [SafetensorsEntry]
    /// Everything in the file but the tensors: the argument bag of a training program, its step, and so on.
    public let values: SettingsTree
    /// Keys of the file that lead to the dictionary of the tensors; empty if the file is that dictionary.
    public let stateDictionaryPath: [String]
    private let files: [PyTorchFile]
    private let places: [ExactString: (file: Int, entry: Int)]

    /// Opens one file; throws `StorageError`.
    ///
    /// `stateDictionary` names the key of the tensors where a file holds several dictionaries of them. With `sharesFiles`,
    /// tensors on the processor use the pages of the file where they can; it must not be changed in place then.
    public init(file path: String, stateDictionary: String? = nil, sharesFiles: Bool = false) throws {
        let file = try PyTorchFile(
            path: path, stateDictionary: stateDictionary, copiesOnWrite: sharesFiles)
        self.init(path: path, files: [file])
    }

    /// Opens `pytorch_model.bin` of a folder, or the shards of `pytorch_model.bin.index.json`; throws `StorageError`.
    public init(folder path: String, sharesFiles: Bool = false) throws {
        self.init(path: path, files: try PyTorchFolder(path: path, copiesOnWrite: sharesFiles).files)
    }

    private init(path: String, files: [PyTorchFile]) {
        var entries: [SafetensorsEntry] = []
        var places: [ExactString: (file: Int, entry: Int)] = [:]
        for (index, file) in files.enumerated() {
            for tensor in file.tensors {
                places[ExactString(tensor.name)] = (index, entries.count)
                entries.append(
                    SafetensorsEntry(
                        name: tensor.name, elementType: tensor.elementType, shape: tensor.shape,
                        byteRange: 0..<tensor.byteCount))
            }
        }
        self.path = path
        self.files = files
        self.entries = entries
        self.places = places
        // Shards repeat nothing but their tensors, so the first one has what there is.
        values = SettingsTree(files.first?.values ?? .null)
        stateDictionaryPath = files.first?.stateDictionaryPath ?? []
    }

    /// Returns a tensor's type and shape; nil if there is no tensor of this name.
    public func entry(named name: String) -> SafetensorsEntry? {
        places[ExactString(name)].map { entries[$0.entry] }
    }

    /// Returns true if two names mean the same elements of the file, as those of tied weights do.
    public func isSame(_ first: String, _ second: String) -> Bool {
        guard let a = places[ExactString(first)], let b = places[ExactString(second)], a.file == b.file,
            let left = files[a.file].tensor(named: first), let right = files[b.file].tensor(named: second)
        else { return false }
        return left.isSame(as: right)
    }

    /// Reads a tensor in its stored element type onto a device.
    ///
    /// Throws `StorageError` for unknown names and damaged numbers, ``CheckpointError`` for element types that tensors
    /// cannot have, and `TorchError` when there is no room.
    public func tensor(named name: String, on device: Device = .cpu) throws -> Tensor {
        guard let place = places[ExactString(name)] else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        let entry = entries[place.entry]
        guard let type = ElementType(entry.elementType) else {
            throw CheckpointError(
                path: path, problems: [.unusableType(name: name, found: entry.elementType.rawValue)])
        }
        let file = files[place.file]
        return try file.withUnsafeBytes(of: name) { bytes in
            if file.copiesOnWrite, device == .cpu, file.isInPlace(name) {
                let memory = UnsafeMutableRawBufferPointer(mutating: bytes)
                if let tensor = try Tensor.sharing(memory, of: file, entry.shape, type) { return tensor }
            }
            return try Tensor.from(bytes: bytes, entry.shape, type, on: device)
        }
    }
}

extension SettingsTree {
    /// Creates a tree of plain values; what is neither number, text nor container becomes the text of its class.
    public init(_ value: PlainValue) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .string(let text), .other(let text): self = .string(text)
        case .list(let elements): self = .array(elements.map { SettingsTree($0) })
        case .dictionary(let members):
            var object = SettingsObject()
            for member in members { object[member.key] = SettingsTree(member.value) }
            self = .object(object)
        }
    }
}
