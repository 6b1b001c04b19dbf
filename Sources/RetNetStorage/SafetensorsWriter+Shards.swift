#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension SafetensorsWriter {
    /// Writes the tensors into shards in an existing folder, then the index; returns the files' names.
    ///
    /// Tensors fill the shards in the order given; a shard holds at most `maximumShardByteCount` bytes of
    /// data unless a single tensor is larger. The index comes last, and an earlier one is removed first,
    /// so that an interrupted call never leaves an index that mixes two versions. To keep an earlier
    /// version until the new one is whole, write into an `AtomicFolder`. Throws `StorageError`.
    @discardableResult
    public func writeShards(in folder: String, maximumShardByteCount: Int) throws -> [String] {
        guard maximumShardByteCount > 0 else {
            throw StorageError.invalidArgument(
                name: "maximumShardByteCount", reason: "\(maximumShardByteCount) is not positive")
        }
        guard let kind = try Posix.kind(of: folder) else { throw StorageError.notFound(path: folder) }
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
        try Posix.removeFileIfPresent(indexPath)
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

    /// The shard's name as in published models: `model-00001-of-00003.safetensors`.
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
            // Cannot overflow: it is part of the total. May exceed the maximum for one large tensor.
            groupByteCount += byteCount
        }
        return (groups, totalByteCount)
    }
}
