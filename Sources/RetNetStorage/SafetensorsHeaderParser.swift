extension StoredElementType {
    /// Returns the size in bytes of a tensor; throws `SafetensorsFault` if no number of bytes holds it.
    func wholeByteCount(shape: [Int], name: String) throws -> Int {
        guard let bits = bitCount(shape: shape) else { throw SafetensorsFault.shapeOverflow(name: name) }
        guard bits % 8 == 0 else {
            throw SafetensorsFault.partOfByte(name: name, elementType: rawValue, bitCount: bits)
        }
        return bits / 8
    }
}

/// A parser of the header of a safetensors file; throws `SafetensorsFault`.
struct SafetensorsHeaderParser {
    private static let lengthByteCount = 8
    private let bytes: UnsafeRawBufferPointer
    private let fileByteCount: Int

    init(_ bytes: UnsafeRawBufferPointer, fileByteCount: Int) {
        self.bytes = bytes
        self.fileByteCount = fileByteCount
    }

    func parse() throws -> SafetensorsHeader {
        let headerByteCount = try readHeaderByteCount()
        let dataOffset = Self.lengthByteCount + headerByteCount
        let text = UnsafeRawBufferPointer(rebasing: bytes[Self.lengthByteCount..<dataOffset])
        var metadata: [ExactString: String] = [:]
        var entries: [SafetensorsEntry] = []
        do {
            var scanner = try JSONScanner(text)
            guard scanner.peek() == UInt8(ascii: "{") else {
                throw SafetensorsFault.notAnObject(byteOffset: fileOffset(scanner.offset))
            }
            try scanner.readObject { scanner, name in
                if name == "__metadata__" {
                    metadata = try readMetadata(&scanner)
                } else {
                    entries.append(try readEntry(name, &scanner, dataOffset: dataOffset))
                }
            }
            try scanner.finish()
        } catch let fault as JSONFault {
            throw translated(fault)
        }
        let sorted = try checkedTiling(entries, dataOffset: dataOffset)
        return SafetensorsHeader(entries: sorted, metadata: metadata, dataOffset: dataOffset)
    }

    private func readHeaderByteCount() throws -> Int {
        guard fileByteCount >= Self.lengthByteCount, bytes.count >= Self.lengthByteCount else {
            throw SafetensorsFault.tooShort(fileByteCount: min(fileByteCount, bytes.count))
        }
        let claimed = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard claimed <= UInt64(SafetensorsHeader.maximumByteCount) else {
            throw SafetensorsFault.headerTooLong(byteCount: claimed)
        }
        let available = min(fileByteCount, bytes.count)
        guard claimed <= UInt64(available - Self.lengthByteCount) else {
            throw SafetensorsFault.headerBeyondEnd(byteCount: claimed, fileByteCount: available)
        }
        return Int(claimed)
    }

    private func readMetadata(_ scanner: inout JSONScanner) throws -> [ExactString: String] {
        var metadata: [ExactString: String] = [:]
        do {
            try scanner.readObject { scanner, key in metadata[ExactString(key)] = try scanner.readString() }
        } catch JSONFault.wrongKind(let offset, let reason) {
            throw SafetensorsFault.badMetadata(byteOffset: fileOffset(offset), reason: reason)
        } catch JSONFault.duplicateName(let key, let offset) {
            throw SafetensorsFault.badMetadata(
                byteOffset: fileOffset(offset), reason: "the key '\(key)' occurs twice")
        }
        return metadata
    }

    private func readEntry(
        _ name: String, _ scanner: inout JSONScanner, dataOffset: Int
    ) throws -> SafetensorsEntry {
        var elementTypeName: String?
        var shape: [Int]?
        var offsets: [Int]?
        var key = ""
        do {
            try scanner.readObject { scanner, nextKey in
                key = nextKey
                switch nextKey {
                case "dtype": elementTypeName = try scanner.readString()
                case "shape": shape = try readShape(name, &scanner)
                case "data_offsets": offsets = try readOffsets(name, &scanner)
                default: try scanner.skipValue()
                }
                key = ""
            }
        } catch JSONFault.wrongKind(let offset, let reason) {
            throw SafetensorsFault.wrongKind(
                name: name, key: key, byteOffset: fileOffset(offset), reason: reason)
        } catch JSONFault.duplicateName(let key, let offset) {
            throw SafetensorsFault.wrongKind(
                name: name, key: key, byteOffset: fileOffset(offset), reason: "the key occurs twice")
        }
        guard let elementTypeName else { throw SafetensorsFault.missingKey(name: name, key: "dtype") }
        guard let shape else { throw SafetensorsFault.missingKey(name: name, key: "shape") }
        guard let offsets else { throw SafetensorsFault.missingKey(name: name, key: "data_offsets") }
        guard let elementType = StoredElementType(rawValue: elementTypeName) else {
            throw SafetensorsFault.unknownElementType(name: name, elementType: elementTypeName)
        }
        let range = try checkedRange(name, elementType, shape, offsets, dataOffset: dataOffset)
        return SafetensorsEntry(name: name, elementType: elementType, shape: shape, byteRange: range)
    }

    private func readShape(_ name: String, _ scanner: inout JSONScanner) throws -> [Int] {
        var shape: [Int] = []
        try scanner.readArray { scanner in
            _ = scanner.peek()
            let offset = scanner.offset
            let dimension = try scanner.readInteger()
            guard dimension >= 0 else {
                throw SafetensorsFault.negativeDimension(name: name, byteOffset: fileOffset(offset))
            }
            shape.append(dimension)
        }
        return shape
    }

    private func readOffsets(_ name: String, _ scanner: inout JSONScanner) throws -> [Int] {
        _ = scanner.peek()
        let offset = scanner.offset
        var offsets: [Int] = []
        try scanner.readArray { offsets.append(try $0.readInteger()) }
        guard offsets.count == 2, offsets.allSatisfy({ $0 >= 0 }) else {
            throw SafetensorsFault.wrongKind(
                name: name, key: "data_offsets", byteOffset: fileOffset(offset),
                reason: "expected two integers that are not negative")
        }
        return offsets
    }

    private func checkedRange(
        _ name: String, _ elementType: StoredElementType, _ shape: [Int], _ offsets: [Int], dataOffset: Int
    ) throws -> Range<Int> {
        let (begin, end) = (offsets[0], offsets[1])
        guard begin <= end else {
            throw SafetensorsFault.offsetsReversed(name: name, begin: begin, end: end)
        }
        let expected = try elementType.wholeByteCount(shape: shape, name: name)
        guard end - begin == expected else {
            throw SafetensorsFault.byteCountMismatch(name: name, expected: expected, found: end - begin)
        }
        let dataByteCount = fileByteCount - dataOffset
        guard end <= dataByteCount else {
            throw SafetensorsFault.dataBeyondEnd(name: name, end: end, dataByteCount: dataByteCount)
        }
        // Cannot overflow: both ends are within the file.
        return (dataOffset + begin)..<(dataOffset + end)
    }

    /// Returns the entries in the order of their data, which they must cover without gaps or overlaps.
    private func checkedTiling(_ entries: [SafetensorsEntry], dataOffset: Int) throws -> [SafetensorsEntry] {
        let sorted = entries.enumerated().sorted { left, right in
            let (a, b) = (left.element.byteRange, right.element.byteRange)
            return (a.lowerBound, a.upperBound, left.offset) < (b.lowerBound, b.upperBound, right.offset)
        }.map(\.element)
        var end = dataOffset
        var previousName = ""
        for entry in sorted {
            let begin = entry.byteRange.lowerBound
            guard begin >= end else {
                throw SafetensorsFault.overlap(name: entry.name, other: previousName)
            }
            guard begin == end else {
                throw SafetensorsFault.hole(name: entry.name, byteOffset: end, byteCount: begin - end)
            }
            end = entry.byteRange.upperBound
            previousName = entry.name
        }
        guard end == fileByteCount else {
            throw SafetensorsFault.trailingBytes(byteOffset: end, byteCount: fileByteCount - end)
        }
        return sorted
    }

    private func translated(_ fault: JSONFault) -> SafetensorsFault {
        switch fault {
        case .syntax(let offset, let reason), .wrongKind(let offset, let reason):
            return .notJSON(byteOffset: fileOffset(offset), reason: reason)
        case .notUTF8(let offset):
            return .notUTF8(byteOffset: fileOffset(offset))
        case .duplicateName(let name, _):
            return .duplicateName(name: name)
        }
    }

    private func fileOffset(_ headerOffset: Int) -> Int {
        Self.lengthByteCount + headerOffset
    }
}
