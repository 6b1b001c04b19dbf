/// The normalization of SentencePiece: mapped characters, collapsed and visible spaces, a dummy space in front.
struct SentencePieceNormalizer: Sendable {
    /// U+2581, which represents a space.
    static let visibleSpace: [UInt8] = [0xE2, 0x96, 0x81]
    private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
    private static let space: UInt8 = 0x20

    private let addsDummyPrefix: Bool
    private let removesExtraSpaces: Bool
    private let putsSpacesLast: Bool
    private let space: [UInt8]
    private let map: CharacterMap?
    private let symbols: PieceTrie?
    /// For each byte, true for ASCII characters other than the space that stay unchanged before another of ASCII.
    private let isPlain: [Bool]

    /// Creates a normalizer that keeps texts of `symbols` unchanged; throws `WireReader.Fault`.
    init(
        _ specification: SentencePieceModel.Normalization, bytes: [UInt8], putsSpacesLast: Bool = false,
        symbols: PieceTrie? = nil
    ) throws {
        addsDummyPrefix = specification.addsDummyPrefix
        removesExtraSpaces = specification.removesExtraSpaces
        self.putsSpacesLast = putsSpacesLast
        space = specification.escapesSpaces ? Self.visibleSpace : [Self.space]
        let map =
            try specification.characterMap.isEmpty
            ? nil : CharacterMap(bytes, in: specification.characterMap)
        self.map = map
        self.symbols = symbols
        isPlain = (0..<256).map { byte in
            guard byte < 0x80, byte != Int(Self.space) else { return false }
            if let symbols, symbols.withWalker({ $0.child(of: 0, UInt8(byte)) != 0 }) { return false }
            return map?.keepsASCII(UInt8(byte)) ?? true
        }
    }

    /// The result of a prefix of the input.
    private enum Prefix {
        case same(Range<Int>)
        case mapped(Range<Int>)
        case replaced
    }

    /// Returns the normalized form of a whole text.
    func normalize(_ input: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var place = TextPlace.beginning
        return normalize(input, at: &place).text
    }

    /// Returns the normalized form of a part of a text with the places of its source, and moves the place to its end.
    func normalize(_ input: UnsafeBufferPointer<UInt8>, at place: inout TextPlace) -> (
        text: [UInt8], alignment: TextAlignment
    ) {
        var alignment = TextAlignment(sourceByteCount: input.count)
        let text =
            symbols.map { $0.withWalker { normalize(input, $0, &place, &alignment) } }
            ?? normalize(input, nil, &place, &alignment)
        return (text, alignment)
    }

    private func normalize(
        _ input: UnsafeBufferPointer<UInt8>, _ symbols: PieceTrie.Walker?, _ place: inout TextPlace,
        _ alignment: inout TextAlignment
    ) -> [UInt8] {
        var index = 0
        var followsSpace = removesExtraSpaces && place != .inside
        // Of spaces that are kept, one is there already where the end of the part before added it.
        var skipCount = followsSpace ? Int.max : place == .afterAddedSpace ? 1 : 0
        while index < input.count, skipCount > 0 {
            let (prefix, byteCount) = self.prefix(input, at: index, symbols)
            guard isSpace(prefix, in: input) else { break }
            index += byteCount
            skipCount -= 1
        }
        guard index < input.count || index > 0 && !removesExtraSpaces else { return [] }
        var output: [UInt8] = []
        output.reserveCapacity((input.count - index) + (input.count - index) / 2 + 8)
        let addsSpace = addsDummyPrefix && !putsSpacesLast && place == .beginning
        if addsSpace || place == .afterOmittedSpace { output.append(contentsOf: space) }
        alignment.mark(normalized: output.count, source: index)
        while index < input.count {
            var end = index
            while end + 1 < input.count, isPlain[Int(input[end])], input[end + 1] < 0x80 { end += 1 }
            if end > index {
                output.append(contentsOf: UnsafeBufferPointer(rebasing: input[index..<end]))
                followsSpace = false
                index = end
            }
            let (prefix, byteCount) = self.prefix(input, at: index, symbols)
            let start = output.count
            index += byteCount
            switch prefix {
            case .same(let range):
                append(UnsafeBufferPointer(rebasing: input[range]), to: &output, &followsSpace)
            case .mapped(let range): append(map?.text(range) ?? [], to: &output, &followsSpace)
            case .replaced: append(Self.replacement, to: &output, &followsSpace)
            }
            if output.count - start != byteCount {
                alignment.mark(normalized: output.count, source: index)
            }
        }
        finish(&output, &place)
        return output
    }

    /// Removes or adds spaces at the end of a part, and moves the place there.
    private func finish(_ output: inout [UInt8], _ place: inout TextPlace) {
        func endsInSpace() -> Bool {
            output.count >= space.count && output.suffix(space.count).elementsEqual(space)
        }
        let isBeginning = place == .beginning
        let count = output.count
        while removesExtraSpaces, endsInSpace() { output.removeLast(space.count) }
        if !output.isEmpty {
            place = output.count < count ? .afterOmittedSpace : endsInSpace() ? .afterSpace : .inside
        } else if place == .inside, count > 0 {
            place = .afterOmittedSpace
        }
        guard addsDummyPrefix, putsSpacesLast, isBeginning || !output.isEmpty || !removesExtraSpaces else {
            return
        }
        output.append(contentsOf: space)
        place = .afterAddedSpace
    }

    private func append(
        _ text: some RandomAccessCollection<UInt8>, to output: inout [UInt8], _ followsSpace: inout Bool
    ) {
        var text = text[...]
        if followsSpace { text = text.drop { $0 == Self.space } }
        guard let last = text.last else {
            if !removesExtraSpaces { followsSpace = false }
            return
        }
        for byte in text {
            if byte == Self.space { output.append(contentsOf: space) } else { output.append(byte) }
        }
        followsSpace = removesExtraSpaces && last == Self.space
    }

    private func isSpace(_ prefix: Prefix, in input: UnsafeBufferPointer<UInt8>) -> Bool {
        switch prefix {
        case .same(let range): range.count == 1 && input[range.lowerBound] == Self.space
        case .mapped(let range): map?.text(range).elementsEqual([Self.space]) ?? false
        case .replaced: false
        }
    }

    /// Returns the result of the prefix of the input at an index, and its length in the input.
    private func prefix(
        _ input: UnsafeBufferPointer<UInt8>, at index: Int, _ symbols: PieceTrie.Walker?
    ) -> (Prefix, byteCount: Int) {
        if let length = symbols?.longestMatch(input, at: index), length > 0 {
            return (.same(index..<index + length), length)
        }
        if let match = map?.longestMatch(input, at: index) { return (.mapped(match.text), match.byteCount) }
        guard let length = UTF8Character.length(input, at: index) else { return (.replaced, 1) }
        return (.same(index..<index + length), length)
    }
}

/// The places of normalized text in its source.
///
/// Between two marks both advance byte by byte, except that the part before a mark may be longer in one of them.
struct TextAlignment: Sendable {
    private struct Place {
        var normalized = 0
        var source = 0
    }

    private let sourceByteCount: Int
    private var marks: [Place] = []
    /// The end of the parts passed so far, the last mark up to it, and the index of the mark after that.
    private var end = Place()
    private var mark = Place()
    private var next = 0

    init(sourceByteCount: Int) {
        self.sourceByteCount = sourceByteCount
        // About one for every space.
        marks.reserveCapacity(sourceByteCount / 5)
    }

    /// Adds a place that the two have in common, behind those before.
    @inline(__always) mutating func mark(normalized: Int, source: Int) {
        marks.append(Place(normalized: normalized, source: source))
    }

    /// Passes the next bytes of the normalized text; returns the bytes of the source that they stand for.
    ///
    /// Bytes without a trace in the normalized text belong to the part before them or, at the beginning, to the first.
    @inline(__always) mutating func pass(_ byteCount: Int) -> Int {
        end.normalized += byteCount
        while next < marks.count, marks[next].normalized <= end.normalized {
            mark = marks[next]
            next += 1
        }
        let limit = next < marks.count ? marks[next].source : sourceByteCount
        let source = min(mark.source + end.normalized - mark.normalized, limit)
        let count = source - end.source
        end.source = source
        return count
    }

    /// Passes the rest of the source, of which nothing is left in the normalized text; returns its bytes.
    mutating func passRest() -> Int {
        defer { end.source = sourceByteCount }
        return sourceByteCount - end.source
    }
}

/// The character map of a SentencePiece model: sequences of bytes and their replacements.
///
/// Format: the size of a double-array trie in bytes, the trie (Darts-clone's 32-bit units, little-endian), and texts
/// that end with a zero byte, whose starts are the trie's values.
struct CharacterMap: Sendable {
    // Far more than any rule needs; a damaged map cannot produce unlimited text.
    private static let maximumTextByteCount = 1 << 10

    private let units: [UInt32]
    private let texts: [UInt8]

    /// Reads a map; throws `WireReader.Fault`.
    init(_ bytes: [UInt8], in range: Range<Int>) throws {
        func fault(_ reason: String) -> WireReader.Fault {
            WireReader.Fault(byteOffset: range.lowerBound, reason: "the character map \(reason)")
        }
        func unit(at offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
        }
        guard range.count > 4 else { throw fault("is truncated") }
        let start = range.lowerBound + 4
        let byteCount = Int(unit(at: range.lowerBound))
        guard byteCount > 0, byteCount % 4 == 0, byteCount < range.count - 4 else {
            throw fault("has a trie of \(byteCount) bytes")
        }
        units = (0..<byteCount / 4).map { unit(at: start + 4 * $0) }
        texts = Array(bytes[(start + byteCount)..<range.upperBound])
        guard texts.last == 0,
            texts.split(separator: 0).allSatisfy({ $0.count <= Self.maximumTextByteCount })
        else { throw fault("has a text without end") }
    }

    /// Returns the longest sequence at an index that has a replacement: its length and the replacement.
    func longestMatch(_ input: UnsafeBufferPointer<UInt8>, at start: Int) -> (
        byteCount: Int, text: Range<Int>
    )? {
        let (byteCount, value, _) = walk(input, from: start)
        guard byteCount > 0, value < texts.count else { return nil }
        var end = value
        while texts[end] != 0 { end += 1 }
        return (byteCount, value..<end)
    }

    /// Returns true if an ASCII byte stays unchanged before any other ASCII byte.
    func keepsASCII(_ byte: UInt8) -> Bool {
        guard [byte].withUnsafeBufferPointer({ walk($0, from: 0).depth }) > 0 else { return true }
        return (0..<0x80).allSatisfy { next in
            [byte, UInt8(next)].withUnsafeBufferPointer {
                let (byteCount, _, depth) = walk($0, from: 0)
                return byteCount == 0 && depth < 2
            }
        }
    }

    /// Returns the replacement of the shortest sequence that a whole text begins with, as Hugging Face's map does.
    func shortestMatch(_ text: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        let (byteCount, value, _) = walk(text, from: 0, keyLimit: 1)
        guard byteCount > 0, value < texts.count else { return nil }
        var end = value
        while texts[end] != 0 { end += 1 }
        return value..<end
    }

    /// Returns true if an ASCII byte that stands alone stays unchanged.
    func keepsASCIIAlone(_ byte: UInt8) -> Bool {
        [byte].withUnsafeBufferPointer { walk($0, from: 0).byteCount == 0 }
    }

    /// Walks the trie along a text; returns the longest key with its value, and the number of edges.
    ///
    /// As in the reference, only the 32 shortest keys there count.
    private func walk(
        _ input: UnsafeBufferPointer<UInt8>, from start: Int, keyLimit: Int = 32
    ) -> (byteCount: Int, value: Int, depth: Int) {
        units.withUnsafeBufferPointer { units in
            var (byteCount, value, keyCount) = (0, 0, 0)
            var node = Self.offset(units[0])
            var index = start
            while index < input.count {
                node ^= Int(input[index])
                guard node < units.count else { break }
                let unit = units[node]
                // The highest bit marks values, which are not labels.
                guard unit & 0x8000_00FF == UInt32(input[index]) else { break }
                index += 1
                node ^= Self.offset(unit)
                guard node < units.count else { break }
                if unit >> 8 & 1 == 1, keyCount < keyLimit {
                    keyCount += 1
                    byteCount = index - start
                    value = Int(units[node] & 0x7FFF_FFFF)
                }
            }
            return (byteCount, value, index - start)
        }
    }

    /// Returns the bytes of a replacement.
    func text(_ range: Range<Int>) -> ArraySlice<UInt8> { texts[range] }

    @inline(__always) private static func offset(_ unit: UInt32) -> Int {
        Int((unit >> 10) << ((unit & (1 << 9)) >> 6))
    }
}
