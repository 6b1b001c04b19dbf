/// The directory of a zip archive that lies in memory, with every entry checked against the bytes.
///
/// Archives of one part, with 64-bit sizes, stored and deflated entries. Nothing is unpacked to files. Entries that
/// overlap, reach beyond the archive, are encrypted or bear a name that would leave a folder are refused, so each
/// byte belongs to one entry at most.
struct ZipArchive: Sendable {
    /// One file of the archive.
    struct Entry: Equatable, Sendable {
        /// Path within the archive.
        let name: String
        /// True if the bytes are compressed by deflate, false if they are stored as they are.
        let isDeflated: Bool
        /// CRC-32 of the contents; 0 where the writer did not compute it.
        let crc32: UInt32
        /// Bytes in the archive.
        let range: Range<Int>
        /// Size of the contents.
        let byteCount: Int
    }

    /// A reason to refuse the archive.
    struct Fault: Error, Equatable {
        let reason: String
    }

    private static let endSignature: UInt32 = 0x0605_4B50
    private static let end64Signature: UInt32 = 0x0606_4B50
    private static let locator64Signature: UInt32 = 0x0706_4B50
    private static let directorySignature: UInt32 = 0x0201_4B50
    private static let localSignature: UInt32 = 0x0403_4B50
    private static let maximumEntryCount = 1_000_000

    /// Files in the order of the directory; folders are left out.
    let entries: [Entry]
    private let indices: [ExactString: Int]

    /// Returns true if bytes begin like a zip archive with at least one entry.
    static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 4 && ByteReader(bytes).uint32(0) == localSignature
    }

    /// Reads the directory; throws ``Fault``.
    init(_ bytes: UnsafeRawBufferPointer) throws {
        let reader = ByteReader(bytes)
        let directory = try Self.findDirectory(reader)
        var entries: [Entry] = []
        var extents: [Range<Int>] = []
        var indices: [ExactString: Int] = [:]
        entries.reserveCapacity(directory.count)
        var offset = directory.range.lowerBound
        for _ in 0..<directory.count {
            let record = try Record(reader, at: offset, end: directory.range.upperBound)
            offset = record.end
            let extent = try Self.extent(of: record, reader, directoryOffset: directory.range.lowerBound)
            extents.append(extent.whole)
            if record.name.hasSuffix("/"), record.byteCount == 0 { continue }
            guard indices.updateValue(entries.count, forKey: ExactString(record.name)) == nil else {
                throw Fault(reason: "the entry '\(record.name)' occurs twice")
            }
            entries.append(
                Entry(
                    name: record.name, isDeflated: record.isDeflated, crc32: record.crc32, range: extent.data,
                    byteCount: record.byteCount))
        }
        guard offset == directory.range.upperBound else {
            throw Fault(reason: "its directory is longer than its \(directory.count) entries")
        }
        extents.sort { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
        for (first, second) in zip(extents, extents.dropFirst()) where second.lowerBound < first.upperBound {
            throw Fault(reason: "two of its entries overlap at byte \(second.lowerBound)")
        }
        self.entries = entries
        self.indices = indices
    }

    /// Returns the entry of a path, or nil.
    func entry(named name: String) -> Entry? { indices[ExactString(name)].map { entries[$0] } }

    // MARK: The end of the archive

    /// Finds the directory by the record at the end, or by the one of 64 bits before it.
    private static func findDirectory(_ reader: ByteReader) throws -> (range: Range<Int>, count: Int) {
        let smallest = reader.count - 22
        guard smallest >= 0 else { throw Fault(reason: "it is too short for a zip archive") }
        // A comment of up to 65,535 bytes may follow; its length must lead to the end exactly.
        let end = stride(from: smallest, through: max(0, smallest - 0xFFFF), by: -1).first {
            reader.uint32($0) == endSignature && reader.uint16($0 + 20).map(Int.init) == smallest - $0
        }
        guard let end else {
            throw Fault(reason: "the directory at its end is missing, so it is cut off")
        }
        let disks = (reader.uint16(end + 4) ?? 0, reader.uint16(end + 6) ?? 0)
        var count = UInt64(reader.uint16(end + 10) ?? 0)
        var byteCount = UInt64(reader.uint32(end + 12) ?? 0)
        var offset = UInt64(reader.uint32(end + 16) ?? 0)
        var limit = end
        if count == 0xFFFF || byteCount == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
            guard reader.uint32(end - 20) == locator64Signature, let place = reader.uint64(end - 12),
                let end64 = Int(exactly: place), end64 <= end - 20,
                reader.uint32(end64) == end64Signature, let count64 = reader.uint64(end64 + 32),
                let byteCount64 = reader.uint64(end64 + 40), let offset64 = reader.uint64(end64 + 48)
            else { throw Fault(reason: "its record of 64-bit sizes is damaged") }
            (count, byteCount, offset, limit) = (count64, byteCount64, offset64, end64)
        } else if disks != (0, 0) {
            throw Fault(reason: "it is one part of an archive in several files; join the parts first")
        }
        guard count <= UInt64(maximumEntryCount) else {
            throw Fault(reason: "its directory claims \(count) entries, more than \(maximumEntryCount)")
        }
        guard let start = Int(exactly: offset), let length = Int(exactly: byteCount), start <= limit,
            length <= limit - start, Int(count) * 46 <= length
        else {
            throw Fault(reason: "its directory lies outside of the file, so the file is cut off or damaged")
        }
        return (start..<(start + length), Int(count))
    }

    // MARK: Entries

    /// One record of the directory.
    private struct Record {
        let name: String
        let isDeflated: Bool
        let crc32: UInt32
        let compressedByteCount: Int
        let byteCount: Int
        let localOffset: Int
        let end: Int

        init(_ reader: ByteReader, at offset: Int, end directoryEnd: Int) throws {
            guard directoryEnd - offset >= 46, reader.uint32(offset) == directorySignature,
                let flags = reader.uint16(offset + 8), let method = reader.uint16(offset + 10),
                let crc32 = reader.uint32(offset + 16), let compressed = reader.uint32(offset + 20),
                let uncompressed = reader.uint32(offset + 24), let nameLength = reader.uint16(offset + 28),
                let extraLength = reader.uint16(offset + 30), let commentLength = reader.uint16(offset + 32),
                let disk = reader.uint16(offset + 34), let local = reader.uint32(offset + 42)
            else { throw Fault(reason: "its directory is damaged at byte \(offset)") }
            let extraOffset = offset + 46 + Int(nameLength)
            end = extraOffset + Int(extraLength) + Int(commentLength)
            guard end <= directoryEnd, let name = reader.text(offset + 46, byteCount: Int(nameLength)) else {
                throw Fault(reason: "its directory is damaged at byte \(offset)")
            }
            guard flags & 0x2041 == 0 else { throw Fault(reason: "its entry '\(name)' is encrypted") }
            guard method == 0 || method == 8 else {
                throw Fault(
                    reason: "its entry '\(name)' is compressed by the method \(method), not by deflate")
            }
            var sizes = (UInt64(compressed), UInt64(uncompressed), UInt64(local))
            try Self.read64(reader, extraOffset..<(extraOffset + Int(extraLength)), into: &sizes, name: name)
            guard disk == 0 || disk == 0xFFFF, let compressedByteCount = Int(exactly: sizes.0),
                let byteCount = Int(exactly: sizes.1), let localOffset = Int(exactly: sizes.2)
            else { throw Fault(reason: "the sizes of its entry '\(name)' are impossible") }
            try Self.check(name)
            self.name = name
            isDeflated = method == 8
            self.crc32 = crc32
            self.compressedByteCount = compressedByteCount
            self.byteCount = byteCount
            self.localOffset = localOffset
        }

        /// Replaces the sizes that the record marks as being of 64 bits.
        private static func read64(
            _ reader: ByteReader, _ extra: Range<Int>, into sizes: inout (UInt64, UInt64, UInt64),
            name: String
        ) throws {
            let isLarge = (sizes.0 == 0xFFFF_FFFF, sizes.1 == 0xFFFF_FFFF, sizes.2 == 0xFFFF_FFFF)
            guard isLarge.0 || isLarge.1 || isLarge.2 else { return }
            var offset = extra.lowerBound
            while extra.upperBound - offset >= 4, let tag = reader.uint16(offset),
                let length = reader.uint16(offset + 2), Int(length) <= extra.upperBound - offset - 4
            {
                let fieldEnd = offset + 4 + Int(length)
                var place = offset + 4
                offset = fieldEnd
                guard tag == 1 else { continue }
                func next() throws -> UInt64 {
                    guard fieldEnd - place >= 8, let value = reader.uint64(place) else {
                        throw Fault(reason: "the sizes of its entry '\(name)' are damaged")
                    }
                    place += 8
                    return value
                }
                // In this order, each only where the record itself has no room for it.
                if isLarge.1 { sizes.1 = try next() }
                if isLarge.0 { sizes.0 = try next() }
                if isLarge.2 { sizes.2 = try next() }
                return
            }
            throw Fault(reason: "the sizes of its entry '\(name)' are missing")
        }

        /// Refuses names that would leave a folder if the archive were unpacked.
        private static func check(_ name: String) throws {
            let parts = name.split(separator: "/", omittingEmptySubsequences: false)
            guard !name.isEmpty, !name.hasPrefix("/"), !name.utf8.contains(0), !name.utf8.contains(0x5C),
                !parts.contains(".."), !parts.contains(".")
            else { throw Fault(reason: "its entry '\(name)' has a name that leaves the archive") }
        }
    }

    /// Returns the bytes of an entry with and without its local header.
    private static func extent(of record: Record, _ reader: ByteReader, directoryOffset: Int) throws -> (
        whole: Range<Int>, data: Range<Int>
    ) {
        let offset = record.localOffset
        guard offset <= directoryOffset - 30, reader.uint32(offset) == localSignature,
            let nameLength = reader.uint16(offset + 26), let extraLength = reader.uint16(offset + 28),
            let name = reader.text(offset + 30, byteCount: Int(nameLength)), name.isExactly(record.name)
        else { throw Fault(reason: "its entry '\(record.name)' does not begin where the directory says") }
        let start = offset + 30 + Int(nameLength) + Int(extraLength)
        guard start <= directoryOffset, record.compressedByteCount <= directoryOffset - start else {
            throw Fault(reason: "its entry '\(record.name)' reaches beyond the end of the file")
        }
        guard record.isDeflated || record.compressedByteCount == record.byteCount else {
            throw Fault(reason: "the two sizes of its stored entry '\(record.name)' differ")
        }
        // Deflate expands a byte to 1,032 at most.
        guard !record.isDeflated || record.byteCount / 1032 <= record.compressedByteCount else {
            throw Fault(reason: "its entry '\(record.name)' claims more bytes than it can expand to")
        }
        let data = start..<(start + record.compressedByteCount)
        return (offset..<data.upperBound, data)
    }
}

/// Little-endian numbers at offsets of a buffer, nil outside of it.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var count: Int { bytes.count }

    func uint16(_ offset: Int) -> UInt16? { load(offset) }
    func uint32(_ offset: Int) -> UInt32? { load(offset) }
    func uint64(_ offset: Int) -> UInt64? { load(offset) }

    /// Returns bytes that are UTF-8 as a text.
    func text(_ offset: Int, byteCount: Int) -> String? {
        guard offset >= 0, byteCount >= 0, offset <= bytes.count, byteCount <= bytes.count - offset else {
            return nil
        }
        return String(
            validating: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + byteCount)]), as: UTF8.self)
    }

    private func load<Value: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> Value? {
        guard offset >= 0, offset <= bytes.count - MemoryLayout<Value>.size else { return nil }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}
