import Foundation

/// The values of a file of PyTorch and the places of its numbers.
struct PyTorchContainer {
    /// Where the numbers of a storage lie.
    struct Record: Sendable {
        let name: String
        let range: Range<Int>
        let byteCount: Int
        let isDeflated: Bool
        /// CRC-32 of the contents; nil where the file has none.
        let crc32: UInt32?
    }

    let graph: PickleGraph
    /// One for each storage.
    let records: [Record]

    /// Reads the values in the form that the bytes have; throws ``PyTorchFault``.
    init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
        if let found = Self.foreign(bytes) { throw found }
        if ZipArchive.recognizes(bytes) {
            self = try Self.fromArchive(bytes, path: path)
        } else {
            self = try Self.beforeArchives(bytes)
        }
    }

    private init(graph: PickleGraph, records: [Record]) {
        self.graph = graph
        self.records = records
    }

    /// Returns the reason to refuse bytes that are recognized as something else.
    private static func foreign(_ bytes: UnsafeRawBufferPointer) -> PyTorchFault? {
        func begins(_ text: StaticString, at offset: Int = 0) -> Bool {
            bytes.count >= offset + text.utf8CodeUnitCount
                && (0..<text.utf8CodeUnitCount).allSatisfy { bytes[offset + $0] == text.utf8Start[$0] }
        }
        let again = "save it again with torch.save of PyTorch 1.6 or later"
        if bytes.isEmpty { return .notPyTorch(found: "an empty file", remedy: "fetch it again") }
        if begins("version https://git-lfs") {
            return .notPyTorch(
                found: "a pointer of Git LFS, not the file itself",
                remedy: "run `git lfs pull`, or fetch the file itself")
        }
        if begins("<") {
            return .notPyTorch(found: "a web page, not the file itself", remedy: "fetch the file itself")
        }
        if begins("ustar", at: 257) {
            return .notPyTorch(found: "a tar archive, the form of PyTorch before 0.1.10", remedy: again)
        }
        if begins("GGUF") {
            return .notPyTorch(found: "a GGUF file", remedy: "give the file it was made from")
        }
        if begins("\u{1F}") && bytes.count > 1 && bytes[1] == 0x8B {
            return .notPyTorch(found: "compressed by gzip", remedy: "expand it first (gunzip)")
        }
        return nil
    }

    // MARK: The form since 1.6

    private static func fromArchive(_ bytes: UnsafeRawBufferPointer, path: String) throws -> PyTorchContainer
    {
        let archive: ZipArchive
        do {
            archive = try ZipArchive(bytes)
        } catch let fault as ZipArchive.Fault {
            throw PyTorchFault.archive(reason: fault.reason)
        }
        // Everything lies in one folder, named as the file was when it was written.
        let pickles = archive.entries.filter { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }
        guard let pickle = pickles.first, pickles.count == 1 else {
            throw PyTorchFault.notPyTorch(
                found: pickles.isEmpty
                    ? "a zip archive without 'data.pkl', so torch.save did not write it"
                    : "a zip archive with \(pickles.count) files 'data.pkl'",
                remedy: "give a file written by torch.save")
        }
        let folder = String(pickle.name.dropLast("data.pkl".count))
        if archive.entry(named: folder + "constants.pkl") != nil
            || archive.entries.contains(where: { $0.name.hasPrefix(folder + "code/") })
        {
            throw PyTorchFault.notPyTorch(
                found: "a TorchScript program",
                remedy: "save its weights alone: torch.save(module.state_dict(), …)")
        }
        if let order = archive.entry(named: folder + "byteorder") {
            let text = try record(order).withContents(bytes, path: path) {
                String(decoding: $0, as: UTF8.self)
            }
            guard text == "little" else { throw PyTorchFault.bigEndian }
        }
        let graph = try record(pickle).withContents(bytes, path: path) { contents in
            var machine = PickleMachine(contents)
            return try machine.run()
        }
        let records = try graph.storages.map { storage in
            guard let entry = archive.entry(named: folder + "data/" + storage.key) else {
                throw PyTorchFault.archive(reason: "its record 'data/\(storage.key)' is missing")
            }
            return record(entry)
        }
        return PyTorchContainer(graph: graph, records: records)
    }

    private static func record(_ entry: ZipArchive.Entry) -> Record {
        // PyTorch writes 0 where it is told to compute no checksums.
        Record(
            name: entry.name, range: entry.range, byteCount: entry.byteCount, isDeflated: entry.isDeflated,
            crc32: entry.crc32 == 0 ? nil : entry.crc32)
    }

    // MARK: The form before 1.6

    private static let magicNumbers = ["0x1950a86a20f9469cfc6c", "119547037146038801333356"]

    /// Reads five pickles (magic number, version, machine, values, keys of storages) and the numbers after them.
    private static func beforeArchives(_ bytes: UnsafeRawBufferPointer) throws -> PyTorchContainer {
        var offset = 0
        func next() throws -> PickleGraph {
            var machine = PickleMachine(bytes, offset: offset)
            let graph = try machine.run()
            offset = machine.offset
            return graph
        }
        let magic = try? next()
        guard let magic, case .largeInteger(let digits)? = magic.node(magic.root)?.kind,
            magicNumbers.contains(digits)
        else {
            throw PyTorchFault.notPyTorch(
                found:
                    "neither a zip archive nor a pickle with the number at its beginning that torch.save writes",
                remedy: "give a file written by torch.save, or a .safetensors file")
        }
        let version = try next()
        guard version.int(version.root) == 1001 else {
            throw PyTorchFault.notPyTorch(
                found: "a file of an unknown version of torch.save",
                remedy: "save it again with torch.save of PyTorch 1.6 or later")
        }
        let machine = try next()
        let isLittle = machine.members(machine.root)?.last { $0.key == "little_endian" }?.value
        if case .bool(false)? = isLittle { throw PyTorchFault.bigEndian }
        let graph = try next()
        let keys = try next()
        let ranges = try storageRanges(bytes, keys: keys, graph: graph, offset: offset)
        let records = try graph.storages.map { storage in
            guard let range = ranges[ExactString(storage.key)] else {
                throw PyTorchFault.archive(reason: "the numbers of its storage '\(storage.key)' are missing")
            }
            return Record(
                name: storage.key, range: range, byteCount: range.count, isDeflated: false, crc32: nil)
        }
        return PyTorchContainer(graph: graph, records: records)
    }

    /// Finds the numbers of each storage: a count of elements of 8 bytes, then the elements, in the order of the keys.
    private static func storageRanges(
        _ bytes: UnsafeRawBufferPointer, keys: PickleGraph, graph: PickleGraph, offset: Int
    ) throws -> [ExactString: Range<Int>] {
        let storages = Dictionary(graph.storages.map { (ExactString($0.key), $0) }) { first, _ in first }
        var offset = offset
        var ranges: [ExactString: Range<Int>] = [:]
        for value in keys.tuple(keys.root) ?? [] {
            guard let key = keys.string(value) ?? keys.int(value).map(String.init),
                let storage = storages[ExactString(key)]
            else { throw PyTorchFault.archive(reason: "the list of its storages is damaged") }
            guard let count = ByteReader(bytes).uint64(offset), let byteCount = storage.byteCount,
                count == UInt64(storage.count), byteCount <= bytes.count - offset - 8
            else {
                throw PyTorchFault.archive(
                    reason:
                        "the numbers of its storage '\(key)' are cut off or of another size at byte \(offset)"
                )
            }
            guard ranges.updateValue((offset + 8)..<(offset + 8 + byteCount), forKey: ExactString(key)) == nil
            else {
                throw PyTorchFault.archive(reason: "its storage '\(key)' is listed twice")
            }
            offset += 8 + byteCount
        }
        guard offset == bytes.count else {
            throw PyTorchFault.archive(reason: "\(bytes.count - offset) bytes at its end belong to no tensor")
        }
        return ranges
    }
}

extension PyTorchContainer.Record {
    /// Calls `body` with the contents, expanded if they are compressed, after checking their checksum.
    ///
    /// What is stored as it is and was checked before, `isChecked`, is not checked again.
    func withContents<R>(
        _ bytes: UnsafeRawBufferPointer, path: String, isChecked: Bool = false,
        _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws
        -> R
    {
        let stored = UnsafeRawBufferPointer(rebasing: bytes[range])
        guard isDeflated else {
            if !isChecked { try check(stored, path: path) }
            return try body(stored)
        }
        // The archive's directory was checked: a byte of the file cannot expand to more than 1,032.
        var contents = Data(capacity: byteCount)
        do {
            let inflater = try Inflater(format: .raw, maximumByteCount: byteCount, path: path)
            try inflater.feed(stored) { contents.append(contentsOf: $0) }
            try inflater.finish()
        } catch let error as StorageError {
            throw damaged(path, "its record '\(name)' cannot be expanded (\(error))")
        }
        guard contents.count == byteCount else {
            throw damaged(path, "its record '\(name)' has \(contents.count) bytes instead of \(byteCount)")
        }
        return try contents.withUnsafeBytes { expanded in
            try check(expanded, path: path)
            return try body(expanded)
        }
    }

    private func check(_ contents: UnsafeRawBufferPointer, path: String) throws {
        guard let crc32, Checksum.crc32(contents) != crc32 else { return }
        throw damaged(path, "the checksum of its record '\(name)' is wrong")
    }

    private func damaged(_ path: String, _ reason: String) -> StorageError {
        .invalidPyTorch(path: path, fault: .archive(reason: reason))
    }
}
