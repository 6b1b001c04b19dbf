/// The tensors of a folder in `pytorch_model.bin`, or in the shards of `pytorch_model.bin.index.json`.
public struct PyTorchFolder: Sendable {
    /// Name of the index file.
    public static let indexFileName = "pytorch_model.bin.index.json"
    /// Name of the file with all tensors if there is no index.
    public static let singleFileName = "pytorch_model.bin"

    /// Path as given.
    public let path: String
    /// Open files in the order of their names.
    public let files: [PyTorchFile]
    /// Tensors of all files.
    public let tensors: [PyTorchTensor]
    private let fileIndices: [ExactString: Int]

    /// Returns true if a folder holds weights in files of these names.
    public static func recognizes(_ path: String) -> Bool {
        [indexFileName, singleFileName].contains {
            ((try? FileAccess.kind(of: SafetensorsFolder.join(path, $0))) ?? nil) == .file
        }
    }

    /// Opens the folder at `path` and checks all files against the index; throws `StorageError`.
    ///
    /// With `copiesOnWrite`, the bytes of tensors that are in place may be written without an effect on the files.
    public init(path: String, copiesOnWrite: Bool = false) throws {
        guard let kind = try FileAccess.kind(of: path) else { throw StorageError.notFound(path: path) }
        guard kind == .folder else { throw StorageError.notFolder(path: path) }
        let indexPath = SafetensorsFolder.join(path, Self.indexFileName)
        if try FileAccess.kind(of: indexPath) != nil {
            try self.init(
                path: path, files: Self.openShards(folder: path, indexPath: indexPath, copiesOnWrite))
        } else {
            let singlePath = SafetensorsFolder.join(path, Self.singleFileName)
            try self.init(path: path, files: [PyTorchFile(path: singlePath, copiesOnWrite: copiesOnWrite)])
        }
    }

    private init(path: String, files: [PyTorchFile]) {
        var fileIndices: [ExactString: Int] = [:]
        for (index, file) in files.enumerated() {
            for tensor in file.tensors { fileIndices[ExactString(tensor.name)] = index }
        }
        self.path = path
        self.files = files
        self.fileIndices = fileIndices
        tensors = files.flatMap(\.tensors)
    }

    /// Returns the file with the tensor of a name, or nil.
    public func file(holding name: String) -> PyTorchFile? {
        fileIndices[ExactString(name)].map { files[$0] }
    }

    /// Calls `body` with the elements of a tensor, as `PyTorchFile.withUnsafeBytes(of:_:)` does.
    public func withUnsafeBytes<R>(of name: String, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R
    {
        guard let file = file(holding: name) else { throw StorageError.unknownTensor(name: name, path: path) }
        return try file.withUnsafeBytes(of: name, body)
    }

    private static func openShards(folder: String, indexPath: String, _ copiesOnWrite: Bool) throws
        -> [PyTorchFile]
    {
        do {
            let index = try MappedFile(path: indexPath).withUnsafeBytes { try SafetensorsIndex.parse($0) }
            let shards = Set(index.shards.values.map { ExactString($0) }).sorted().map(\.text)
            var files: [PyTorchFile] = []
            for shard in shards {
                let path = SafetensorsFolder.join(folder, shard)
                guard try FileAccess.kind(of: path) != nil else {
                    throw SafetensorsIndexFault.missingShard(shard: shard)
                }
                let file = try PyTorchFile(path: path, copiesOnWrite: copiesOnWrite)
                for tensor in file.tensors {
                    guard let listed = index.shards[ExactString(tensor.name)] else {
                        throw SafetensorsIndexFault.unlistedTensor(name: tensor.name, shard: shard)
                    }
                    guard listed.isExactly(shard) else {
                        throw SafetensorsIndexFault.duplicateTensor(
                            name: tensor.name, shard: shard, listedShard: listed)
                    }
                }
                files.append(file)
            }
            // Sorted, so that the same one of several faults is reported every time.
            let held = Set(files.flatMap { $0.tensors.map { ExactString($0.name) } })
            for (name, shard) in index.shards.sorted(by: { $0.key < $1.key }) where !held.contains(name) {
                throw SafetensorsIndexFault.missingTensor(name: name.text, shard: shard)
            }
            return files
        } catch let fault as SafetensorsIndexFault {
            throw StorageError.invalidSafetensorsIndex(path: indexPath, fault: fault)
        }
    }
}
