import Foundation

/// An atomic writer of safetensors files, one tensor at a time.
///
/// The tensors of a file are sorted by decreasing element size, otherwise in the order given, so
/// that each is aligned to its element. The header is padded with spaces to a multiple of eight bytes.
public struct SafetensorsWriter {
    /// A tensor to be written.
    public struct Tensor {
        /// Name, unique within the file.
        public let name: String
        /// Type of the elements.
        public let elementType: StoredElementType
        /// Dimensions, outermost first; empty for a scalar.
        public let shape: [Int]
        let provide: (FileSink) throws -> Void

        /// Describes a tensor whose little-endian bytes `provide` writes to the sink.
        public init(
            name: String, elementType: StoredElementType, shape: [Int],
            provide: @escaping (FileSink) throws -> Void
        ) {
            self.name = name
            self.elementType = elementType
            self.shape = shape
            self.provide = provide
        }

        /// Returns the same tensor under another name.
        public func named(_ name: String) -> Tensor {
            Tensor(name: name, elementType: elementType, shape: shape, provide: provide)
        }

        /// Describes a tensor with its little-endian bytes.
        public init(name: String, elementType: StoredElementType, shape: [Int], data: Data) {
            self.init(name: name, elementType: elementType, shape: shape) { try $0.write(data) }
        }
    }

    /// Tensors to be written.
    public let tensors: [Tensor]
    /// Texts for `__metadata__`, which is omitted if there are none.
    public let metadata: [ExactString: String]

    /// Creates a writer; the tensors are checked by ``write(to:)``.
    public init(_ tensors: [Tensor], metadata: [ExactString: String] = [:]) {
        self.tensors = tensors
        self.metadata = metadata
    }

    /// Writes all tensors to one file at `path`, atomically.
    ///
    /// Throws `StorageError`, for example `invalidSafetensors` if a name occurs twice or is reserved, a
    /// shape is impossible, or the bytes of a tensor do not fit its shape and type; then no temporary
    /// files remain and an earlier file is unchanged.
    public func write(to path: String) throws {
        try write(path: path) { try AtomicFile.write(to: path, $0) }
    }

    /// Returns the bytes of the file; `path` appears in errors.
    public func data(path: String) throws -> Data {
        var result = Data()
        try write(path: path) { result = try FileSink.collect(path: path, $0) }
        return result
    }

    private func write(path: String, _ output: ((FileSink) throws -> Void) throws -> Void) throws {
        do {
            try Self.checkNames(tensors)
            let laidOut = try Self.laidOut(tensors)
            let header = try Self.header(laidOut, metadata: metadata)
            try output { sink in
                try sink.write(header)
                for (tensor, byteCount) in laidOut {
                    let start = sink.byteCount
                    try tensor.provide(sink)
                    let found = sink.byteCount - start
                    guard found == byteCount else {
                        throw SafetensorsFault.byteCountMismatch(
                            name: tensor.name, expected: byteCount, found: found)
                    }
                }
            }
        } catch let fault as SafetensorsFault {
            throw StorageError.invalidSafetensors(path: path, fault: fault)
        }
    }

    /// The byte count of a tensor; throws `SafetensorsFault`.
    static func byteCount(of tensor: Tensor) throws -> Int {
        if tensor.shape.contains(where: { $0 < 0 }) {
            throw SafetensorsFault.negativeDimension(name: tensor.name, byteOffset: 0)
        }
        return try tensor.elementType.wholeByteCount(shape: tensor.shape, name: tensor.name)
    }

    /// Refuses names that occur twice or are reserved; throws `SafetensorsFault`.
    static func checkNames(_ tensors: [Tensor]) throws {
        var names: Set<ExactString> = []
        for tensor in tensors {
            guard tensor.name != "__metadata__" else {
                throw SafetensorsFault.reservedName(name: tensor.name)
            }
            guard names.insert(ExactString(tensor.name)).inserted else {
                throw SafetensorsFault.duplicateName(name: tensor.name)
            }
        }
    }

    private static func laidOut(_ tensors: [Tensor]) throws -> [(tensor: Tensor, byteCount: Int)] {
        let order = tensors.indices.sorted { left, right in
            let (a, b) = (tensors[left].elementType.bitCount, tensors[right].elementType.bitCount)
            return a == b ? left < right : a > b
        }
        return try order.map { (tensors[$0], try byteCount(of: tensors[$0])) }
    }

    private static func header(
        _ laidOut: [(tensor: Tensor, byteCount: Int)], metadata: [ExactString: String]
    ) throws -> Data {
        var members: [String] = []
        if !metadata.isEmpty {
            let texts = metadata.sorted { $0.key < $1.key }
                .map { $0.key.text.jsonQuoted + ":" + $0.value.jsonQuoted }
            members.append("\"__metadata__\":{" + texts.joined(separator: ",") + "}")
        }
        var begin = 0
        for (tensor, byteCount) in laidOut {
            let (end, overflows) = begin.addingReportingOverflow(byteCount)
            guard !overflows else { throw SafetensorsFault.shapeOverflow(name: tensor.name) }
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                tensor.name.jsonQuoted
                    + ":{\"dtype\":\"\(tensor.elementType.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(begin),\(end)]}")
            begin = end
        }
        var text = Data(("{" + members.joined(separator: ",") + "}").utf8)
        text.append(Data(repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
        guard text.count <= SafetensorsHeader.maximumByteCount else {
            throw SafetensorsFault.headerTooLong(byteCount: UInt64(text.count))
        }
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        return length + text
    }
}

extension SafetensorsWriter {
    /// Writes the tensors to shards in an existing folder, then the index; returns the names of the files.
    ///
    /// Tensors fill the shards in the order given; a shard holds at most `maximumShardByteCount` bytes of
    /// data unless a single tensor is larger. The index is written last, and an earlier one is removed first,
    /// so that an interrupted call never leaves an index that mixes two versions. To keep an earlier
    /// version until the new one is complete, write to an `AtomicFolder`. Throws `StorageError`.
    @discardableResult
    public func writeShards(in folder: String, maximumShardByteCount: Int) throws -> [String] {
        guard maximumShardByteCount > 0 else {
            throw StorageError.invalidArgument(
                name: "maximumShardByteCount", reason: "\(maximumShardByteCount) is not positive")
        }
        guard let kind = try FileAccess.kind(of: folder) else { throw StorageError.notFound(path: folder) }
        guard kind == .folder else { throw StorageError.notFolder(path: folder) }
        let indexPath = SafetensorsFolder.join(folder, SafetensorsFolder.indexFileName)
        let groups: [[Tensor]]
        let totalByteCount: Int
        do {
            try Self.checkNames(tensors)
            (groups, totalByteCount) = try grouped(maximumShardByteCount: maximumShardByteCount)
        } catch let fault as SafetensorsFault {
            throw StorageError.invalidSafetensors(path: folder, fault: fault)
        }
        try FileAccess.removeFileIfPresent(indexPath)
        var names: [String] = []
        var map: [(name: String, shard: String)] = []
        for (index, group) in groups.enumerated() {
            let shard = Self.shardName(index + 1, of: groups.count)
            try SafetensorsWriter(group, metadata: metadata)
                .write(to: SafetensorsFolder.join(folder, shard))
            names.append(shard)
            map += group.map { ($0.name, shard) }
        }
        try AtomicFile.write(to: indexPath) { sink in
            try sink.write(
                SafetensorsIndex.text(shards: map, totalByteCount: totalByteCount, metadata: metadata))
        }
        return names + [SafetensorsFolder.indexFileName]
    }

    /// Returns the name of a shard as in published models: `model-00001-of-00003.safetensors`.
    static func shardName(_ number: Int, of count: Int) -> String {
        "model-\(padded(number))-of-\(padded(count)).safetensors"
    }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }

    private func grouped(maximumShardByteCount: Int) throws -> ([[Tensor]], Int) {
        var groups: [[Tensor]] = []
        var groupByteCount = 0
        var totalByteCount = 0
        for tensor in tensors {
            let byteCount = try Self.byteCount(of: tensor)
            let (total, overflows) = totalByteCount.addingReportingOverflow(byteCount)
            guard !overflows else { throw SafetensorsFault.shapeOverflow(name: tensor.name) }
            totalByteCount = total
            if groups.isEmpty || byteCount > maximumShardByteCount - groupByteCount {
                groups.append([])
                groupByteCount = 0
            }
            groups[groups.count - 1].append(tensor)
            // Cannot overflow: it is part of the total. It exceeds the maximum only for one large tensor.
            groupByteCount += byteCount
        }
        return (groups, totalByteCount)
    }
}
