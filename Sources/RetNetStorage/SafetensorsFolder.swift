/// The tensors of a folder, in the shards of an index or in `model.safetensors`.
///
/// If there is a `model.safetensors.index.json`, the files that it lists are read; otherwise
/// `model.safetensors` is read. Other files of the folder are ignored.
public struct SafetensorsFolder: Sendable {
    /// Name of the index file.
    public static let indexFileName = "model.safetensors.index.json"
    /// Name of the file with all tensors if there is no index.
    public static let singleFileName = "model.safetensors"

    /// Path as given.
    public let path: String
    /// Open files in the order of their names.
    public let files: [SafetensorsFile]
    /// Tensors of all files in the order of their data; byte ranges refer to the file of each tensor.
    public let entries: [SafetensorsEntry]
    /// Texts of the metadata of all files and of the index; of equal keys the first file's.
    public let metadata: [ExactString: String]
    private let locations: [ExactString: Location]

    /// The key of the metadata that names the number of bits to which weights are rounded.
    public static let roundingKey: ExactString = "quantization"

    /// Returns what the weights of a folder are rounded to, such as `int8`; nil for others and for what is no such folder.
    public static func rounding(of path: String) -> String? {
        (try? SafetensorsFolder(path: path))?.metadata[roundingKey]
    }

    private struct Location {
        let fileIndex: Int
        let entryIndex: Int
    }

    /// Opens the folder at `path` and checks the headers of all files against the index.
    ///
    /// With `copiesOnWrite`, the bytes of tensors may be written without an effect on the files. Throws `StorageError`.
    public init(path: String, copiesOnWrite: Bool = false) throws {
        guard let kind = try FileAccess.kind(of: path) else { throw StorageError.notFound(path: path) }
        guard kind == .folder else { throw StorageError.notFolder(path: path) }
        let indexPath = Self.join(path, Self.indexFileName)
        let singlePath = Self.join(path, Self.singleFileName)
        if try FileAccess.kind(of: indexPath) != nil {
            let (files, index) = try Self.openShards(
                folder: path, indexPath: indexPath, copiesOnWrite: copiesOnWrite)
            self.init(path: path, files: files, indexMetadata: index.metadata)
        } else if try FileAccess.kind(of: singlePath) != nil {
            let file = try SafetensorsFile(path: singlePath, copiesOnWrite: copiesOnWrite)
            self.init(path: path, files: [file], indexMetadata: [:])
        } else {
            throw StorageError.noSafetensors(folder: path)
        }
    }

    private init(path: String, files: [SafetensorsFile], indexMetadata: [ExactString: String]) {
        var locations: [ExactString: Location] = [:]
        var metadata: [ExactString: String] = [:]
        for (fileIndex, file) in files.enumerated() {
            for (entryIndex, entry) in file.entries.enumerated() {
                locations[ExactString(entry.name)] = Location(fileIndex: fileIndex, entryIndex: entryIndex)
            }
            metadata.merge(file.metadata) { first, _ in first }
        }
        self.path = path
        self.files = files
        self.locations = locations
        self.metadata = metadata.merging(indexMetadata) { first, _ in first }
        entries = files.flatMap(\.entries)
    }

    /// Returns the tensor with a name, or `nil`.
    public func entry(named name: String) -> SafetensorsEntry? {
        locations[ExactString(name)].map { files[$0.fileIndex].entries[$0.entryIndex] }
    }

    /// Returns the file with the tensor of a name, or `nil`.
    public func file(holding name: String) -> SafetensorsFile? {
        locations[ExactString(name)].map { files[$0.fileIndex] }
    }

    /// Calls `body` with the bytes of a tensor: little-endian, possibly unaligned, valid only during the call.
    ///
    /// Throws `StorageError.unknownTensor` or the error of `body`.
    public func withUnsafeBytes<R>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        guard let file = file(holding: name) else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        return try file.withUnsafeBytes(of: name, body)
    }

    private static func openShards(
        folder: String, indexPath: String, copiesOnWrite: Bool
    ) throws -> ([SafetensorsFile], SafetensorsIndex) {
        do {
            let index = try MappedFile(path: indexPath).withUnsafeBytes { try SafetensorsIndex.parse($0) }
            let shards = Set(index.shards.values.map { ExactString($0) }).sorted().map(\.text)
            let files = try shards.map { shard in
                let path = join(folder, shard)
                guard try FileAccess.kind(of: path) != nil else {
                    throw SafetensorsIndexFault.missingShard(shard: shard)
                }
                return try SafetensorsFile(path: path, copiesOnWrite: copiesOnWrite)
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
        let byShard = Dictionary(files.map { (ExactString($0.shard), $0.file) }) { first, _ in first }
        // Sorted, so that the same one of several faults is reported every time.
        for (name, shard) in index.shards.sorted(by: { $0.key < $1.key })
        where byShard[ExactString(shard)]?.entry(named: name.text) == nil {
            throw SafetensorsIndexFault.missingTensor(name: name.text, shard: shard)
        }
        for (shard, file) in files {
            for entry in file.entries {
                guard let listed = index.shards[ExactString(entry.name)] else {
                    throw SafetensorsIndexFault.unlistedTensor(name: entry.name, shard: shard)
                }
                guard listed.isExactly(shard) else {
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

/// The contents of `model.safetensors.index.json`.
struct SafetensorsIndex: Equatable {
    /// Shard of each tensor.
    let shards: [ExactString: String]
    /// Text values of `metadata`.
    let metadata: [ExactString: String]

    /// Parses an index; throws `SafetensorsIndexFault`.
    static func parse(_ bytes: UnsafeRawBufferPointer) throws -> SafetensorsIndex {
        var shards: [ExactString: String]?
        var metadata: [ExactString: String] = [:]
        do {
            var scanner = try JSONScanner(bytes)
            try scanner.readObject { scanner, key in
                switch key {
                case "weight_map": shards = try readWeightMap(&scanner)
                case "metadata": metadata = try readMetadata(&scanner)
                default: try scanner.skipValue()
                }
            }
            try scanner.finish()
        } catch let fault as JSONFault {
            throw translated(fault)
        }
        guard let shards else { throw SafetensorsIndexFault.noWeightMap }
        return SafetensorsIndex(shards: shards, metadata: metadata)
    }

    /// Returns the text of an index.
    static func text(
        shards: [(name: String, shard: String)], totalByteCount: Int, metadata: [ExactString: String]
    ) -> String {
        // The size is a number in every index in circulation, so a text under that key is dropped.
        let texts = metadata.filter { $0.key != "total_size" }.sorted { $0.key < $1.key }
            .map { ",\n    \($0.key.text.jsonQuoted): \($0.value.jsonQuoted)" }.joined()
        let map = shards.map { "    \($0.name.jsonQuoted): \($0.shard.jsonQuoted)" }
            .joined(separator: ",\n")
        return "{\n  \"metadata\": {\n    \"total_size\": \(totalByteCount)\(texts)\n  },\n"
            + "  \"weight_map\": {\n\(map)\n  }\n}\n"
    }

    private static func readWeightMap(_ scanner: inout JSONScanner) throws -> [ExactString: String] {
        var shards: [ExactString: String] = [:]
        try scanner.readObject { scanner, name in
            let shard = try scanner.readString()
            guard isPlainName(shard) else { throw SafetensorsIndexFault.unsafeShardName(shard: shard) }
            shards[ExactString(name)] = shard
        }
        return shards
    }

    private static func readMetadata(_ scanner: inout JSONScanner) throws -> [ExactString: String] {
        var metadata: [ExactString: String] = [:]
        // Some writers write null for absent metadata.
        guard scanner.peek() == UInt8(ascii: "{") else {
            try scanner.skipValue()
            return metadata
        }
        try scanner.readObject { scanner, key in
            if scanner.peek() == UInt8(ascii: "\"") {
                metadata[ExactString(key)] = try scanner.readString()
            } else {
                try scanner.skipValue()
            }
        }
        return metadata
    }

    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".."
            && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
    }

    private static func translated(_ fault: JSONFault) -> SafetensorsIndexFault {
        switch fault {
        case .syntax(let offset, let reason): return .notJSON(byteOffset: offset, reason: reason)
        case .wrongKind(let offset, let reason): return .wrongForm(byteOffset: offset, reason: reason)
        case .notUTF8(let offset): return .notUTF8(byteOffset: offset)
        case .duplicateName(let name, _): return .duplicateName(name: name)
        }
    }
}
