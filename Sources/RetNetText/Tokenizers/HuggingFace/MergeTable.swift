/// The pairs that are merged: their rank and the token that they become.
struct MergeTable: Sendable {
    fileprivate struct Entry {
        // The left token in the upper half, plus one, so that 0 is an empty slot.
        var key: UInt64 = 0
        var rank: UInt32 = .max
        var token: Int32 = -1
    }

    private var entries: [Entry]
    private var mask: Int
    private(set) var count = 0

    init(capacity: Int) {
        var size = 1 << 4
        while size < capacity * 2 { size *= 2 }
        entries = [Entry](repeating: Entry(), count: size)
        mask = size - 1
    }

    /// Sets the rank of a pair; of two equal pairs the later counts, as in the reference.
    mutating func insert(_ left: Int32, _ right: Int32, rank: UInt32, token: Int32) {
        if (count + 1) * 2 > entries.count { grow() }
        let key = Self.key(left, right)
        let slot = entries.withUnsafeBufferPointer { Reader(entries: $0, mask: mask).slot(key) }
        if entries[slot].key == 0 { count += 1 }
        entries[slot] = Entry(key: key, rank: rank, token: token)
    }

    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(), count: old.count * 2)
        mask = entries.count - 1
        for entry in old where entry.key != 0 {
            let slot = entries.withUnsafeBufferPointer { Reader(entries: $0, mask: mask).slot(entry.key) }
            entries[slot] = entry
        }
    }

    @inline(__always) private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left &+ 1)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// The table as a pointer, valid only during `withReader`.
    struct Reader {
        fileprivate let entries: UnsafeBufferPointer<Entry>
        fileprivate let mask: Int

        @inline(__always) fileprivate func slot(_ key: UInt64) -> Int {
            var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 20) & mask
            while entries[slot].key != key, entries[slot].key != 0 { slot = (slot &+ 1) & mask }
            return slot
        }

        /// Returns the rank of a pair; the largest number if it is not merged.
        @inline(__always) func rank(_ left: Int32, _ right: Int32) -> UInt32 {
            entries[slot(MergeTable.key(left, right))].rank
        }

        /// Returns the token that a pair becomes, or -1.
        @inline(__always) func token(_ left: Int32, _ right: Int32) -> Int32 {
            entries[slot(MergeTable.key(left, right))].token
        }
    }

    func withReader<R>(_ body: (Reader) throws -> R) rethrows -> R {
        try entries.withUnsafeBufferPointer { try body(Reader(entries: $0, mask: mask)) }
    }
}

// MARK: Reading

extension MergeTable {
    /// Reads the merges of a `tokenizer.json`: texts of two tokens, or pairs.
    init(_ node: JSONNode, _ vocabulary: TokenVocabulary, prefix: [UInt8]) throws {
        guard node.kind == .array else { throw node.fault("is not a list") }
        self.init(capacity: node.count)
        let tape = node.tape
        var joined: [UInt8] = []
        try tape.texts.withUnsafeBufferPointer { texts in
            var next = node.index + 1
            for rank in 0..<node.count {
                let element = JSONNode(tape: tape, index: next, place: node.place)
                var (left, right): (Range<Int>, Range<Int>)
                if let text = element.textRange {
                    // Exactly one space, as in the reference.
                    guard let space = texts[text].firstIndex(of: 0x20),
                        !texts[(space + 1)..<text.upperBound].contains(0x20)
                    else {
                        throw node.fault(
                            "has an element \(rank) that is not two tokens with a space between them")
                    }
                    (left, right) = (text.lowerBound..<space, space + 1..<text.upperBound)
                } else {
                    let first = JSONNode(tape: tape, index: next + 1, place: node.place)
                    guard element.kind == .array, element.count == 2, let start = first.textRange,
                        let end = JSONNode(tape: tape, index: next + 2, place: node.place).textRange
                    else { throw node.fault("has an element \(rank) that is not a pair of tokens") }
                    (left, right) = (start, end)
                }
                try add(
                    UnsafeBufferPointer(rebasing: texts[left]), UnsafeBufferPointer(rebasing: texts[right]),
                    rank: rank, vocabulary, prefix: prefix, place: node.place, &joined)
                next = Int(tape.items[next].end)
            }
        }
    }

    /// Reads GPT-2's merges: two tokens a line, after lines that begin with `#version`.
    init(_ file: [UInt8], _ vocabulary: TokenVocabulary) throws {
        guard file.withUnsafeBytes({ UTF8Validator.firstInvalidOffset(in: $0) }) == nil else {
            throw TokenizerFault(place: "the merges", reason: "are not UTF-8 text")
        }
        self.init(capacity: file.count / 8)
        var (joined, rank, lineNumber): ([UInt8], Int, Int) = ([], 0, 0)
        try file.withUnsafeBufferPointer { file in
            var start = 0
            while start < file.count {
                var end = start
                while end < file.count, file[end] != 0x0A { end += 1 }
                var line = file[start..<end]
                start = end + 1
                lineNumber += 1
                if line.last == 0x0D { line = line.dropLast() }
                if line.isEmpty && start >= file.count || line.starts(with: "#version".utf8) { continue }
                guard let space = line.firstIndex(of: 0x20), !line[(space + 1)...].contains(0x20) else {
                    throw TokenizerFault(
                        place: "the merges", reason: "have a line \(lineNumber) without two tokens")
                }
                try add(
                    UnsafeBufferPointer(rebasing: line[..<space]),
                    UnsafeBufferPointer(rebasing: line[(space + 1)...]), rank: rank, vocabulary, prefix: [],
                    place: "the merges", &joined)
                rank += 1
            }
        }
    }

    private mutating func add(
        _ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>, rank: Int,
        _ vocabulary: TokenVocabulary, prefix: [UInt8], place: String, _ joined: inout [UInt8]
    ) throws {
        func missing(_ token: some Collection<UInt8>) -> TokenizerFault {
            TokenizerFault(
                place: place,
                reason:
                    "has the element \(rank) with the token '\(String(decoding: token, as: UTF8.self))', which is "
                    + "not in the vocabulary")
        }
        let (first, second) = (vocabulary.number(left), vocabulary.number(right))
        guard first >= 0 else { throw missing(left) }
        guard second >= 0 else { throw missing(right) }
        guard right.count >= prefix.count else { throw missing(right) }
        joined.removeAll(keepingCapacity: true)
        joined.append(contentsOf: left)
        joined.append(contentsOf: right.dropFirst(prefix.count))
        let token = joined.withUnsafeBufferPointer { vocabulary.number($0) }
        guard token >= 0 else { throw missing(joined) }
        insert(first, second, rank: UInt32(truncatingIfNeeded: rank), token: token)
    }
}
