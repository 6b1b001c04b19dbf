/// The tensors of a folder: those of its index's shards, or of its `model.safetensors`.
///
/// If `model.safetensors.index.json` is there, it alone decides which files are read; otherwise
/// `model.safetensors` is read. Other files of the folder are ignored.
public struct SafetensorsFolder: Sendable {
    /// The name of the index file.
    public static let indexFileName = "model.safetensors.index.json"
    /// The name of the file that holds all tensors where there is no index.
    public static let singleFileName = "model.safetensors"

    /// The path as given.
    public let path: String
    /// The open files, in the order of their names.
    public let files: [SafetensorsFile]
    /// All tensors, file by file, in the order of their data; each range counts within its own file.
    public let entries: [SafetensorsEntry]
    /// The texts of the index's metadata and of every file's; for equal keys the first file's stands.
    public let metadata: [String: String]
    private let locations: [String: Location]

    private struct Location {
        let fileIndex: Int
        let entryIndex: Int
    }

    /// Opens the folder at `path`, and checks all headers and the index against each other.
    ///
    /// Throws `StorageError`.
    public init(path: String) throws {
        guard let kind = try Posix.kind(of: path) else { throw StorageError.notFound(path: path) }
        guard kind == .folder else { throw StorageError.notFolder(path: path) }
        let indexPath = Self.join(path, Self.indexFileName)
        let singlePath = Self.join(path, Self.singleFileName)
        if try Posix.kind(of: indexPath) != nil {
            let (files, index) = try Self.openShards(folder: path, indexPath: indexPath)
            self.init(path: path, files: files, indexMetadata: index.metadata)
        } else if try Posix.kind(of: singlePath) != nil {
            self.init(path: path, files: [try SafetensorsFile(path: singlePath)], indexMetadata: [:])
        } else {
            throw StorageError.noSafetensors(folder: path)
        }
    }

    private init(path: String, files: [SafetensorsFile], indexMetadata: [String: String]) {
        var locations: [String: Location] = [:]
        var metadata: [String: String] = [:]
        for (fileIndex, file) in files.enumerated() {
            for (entryIndex, entry) in file.entries.enumerated() {
                locations[entry.name] = Location(fileIndex: fileIndex, entryIndex: entryIndex)
            }
            metadata.merge(file.metadata) { first, _ in first }
        }
        self.path = path
        self.files = files
        self.locations = locations
        self.metadata = metadata.merging(indexMetadata) { first, _ in first }
        entries = files.flatMap(\.entries)
    }

    /// The tensor of this name, or `nil`.
    public func entry(named name: String) -> SafetensorsEntry? {
        locations[name].map { files[$0.fileIndex].entries[$0.entryIndex] }
    }

    /// The file that holds the tensor of this name, or `nil`.
    public func file(holding name: String) -> SafetensorsFile? {
        locations[name].map { files[$0.fileIndex] }
    }

    /// Calls `body` with a tensor's bytes, little-endian, possibly unaligned, valid only during the call.
    ///
    /// Throws `StorageError.unknownTensor` or what `body` throws.
    public func withUnsafeBytes<R>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        guard let file = file(holding: name) else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        return try file.withUnsafeBytes(of: name, body)
    }

    private static func openShards(
        folder: String, indexPath: String
    ) throws -> ([SafetensorsFile], SafetensorsIndex) {
        do {
            let index = try MappedFile(path: indexPath).withUnsafeBytes { try SafetensorsIndex.parse($0) }
            let shards = Set(index.shards.values).sorted()
            let files = try shards.map { shard in
                let path = join(folder, shard)
                guard try Posix.kind(of: path) != nil else {
                    throw SafetensorsIndexFault.missingShard(shard: shard)
                }
                return try SafetensorsFile(path: path)
            }
            try check(index, against: zip(shards, files).map { (shard: $0, file: $1) })
            return (files, index)
        } catch let fault as SafetensorsIndexFault {
            throw StorageError.invalidSafetensorsIndex(path: indexPath, fault: fault)
        }
    }

    private static func check(
        _ index: SafetensorsIndex, against files: [(shard: String, file: SafetensorsFile)]
    ) throws {
        let byShard = Dictionary(files.map { ($0.shard, $0.file) }) { first, _ in first }
        // Sorted, so that of several faults the same one is reported every time.
        for (name, shard) in index.shards.sorted(by: { $0.key < $1.key })
        where byShard[shard]?.entry(named: name) == nil {
            throw SafetensorsIndexFault.missingTensor(name: name, shard: shard)
        }
        for (shard, file) in files {
            for entry in file.entries {
                guard let listed = index.shards[entry.name] else {
                    throw SafetensorsIndexFault.unlistedTensor(name: entry.name, shard: shard)
                }
                guard listed == shard else {
                    throw SafetensorsIndexFault.duplicateTensor(
                        name: entry.name, shard: shard, listedShard: listed)
                }
            }
        }
    }

    static func join(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }
}
