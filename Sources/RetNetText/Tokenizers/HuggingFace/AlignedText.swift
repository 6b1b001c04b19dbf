/// A part of a source on its way to tokens: its bytes, and the part of the source that each stands for.
///
/// As long as nothing is changed these are the bytes of the source. The ranges are those of the reference
/// (`NormalizedString` in Hugging Face tokenizers): all bytes of a character stand for the whole of the one that it
/// replaces, and an inserted character for the same as the one before it.
struct AlignedText {
    /// Bytes that differ from the source, with the range of each.
    struct Changed {
        var bytes: [UInt8] = []
        /// Empty where ranges are not asked for.
        var starts: [UInt32] = []
        var ends: [UInt32] = []
    }

    /// The whole source; valid UTF-8 unless `changed` is there.
    let source: UnsafeBufferPointer<UInt8>
    /// The part of the source that this text stands for.
    var range: Range<Int>
    var changed: Changed?
    /// True if each byte is a character of the byte-level alphabet.
    var isBytes = false

    init(source: UnsafeBufferPointer<UInt8>, range: Range<Int>) {
        self.source = source
        self.range = range
    }

    var count: Int { changed?.bytes.count ?? range.count }

    /// Calls `body` with the bytes.
    @inline(__always) func withBytes<R>(_ body: (UnsafeBufferPointer<UInt8>) throws -> R) rethrows -> R {
        if let changed { return try changed.bytes.withUnsafeBufferPointer(body) }
        return try body(UnsafeBufferPointer(rebasing: source[range]))
    }

    /// Returns the range of the source that a byte stands for.
    @inline(__always) func sourceRange(_ index: Int) -> (start: Int, end: Int) {
        if let changed {
            guard index < changed.starts.count else { return (range.upperBound, range.upperBound) }
            return (Int(changed.starts[index]), Int(changed.ends[index]))
        }
        var start = range.lowerBound + index
        while start > range.lowerBound, source[start] & 0xC0 == 0x80 { start -= 1 }
        return (start, min(start + UTF8Character.leadLength(source[start]), range.upperBound))
    }

    /// Returns the place in the source up to which the bytes before an index stand for it.
    ///
    /// Inside of a character that takes as many bytes as in the source, this is a place inside of that.
    func sourceCut(_ index: Int) -> Int {
        guard changed != nil else { return range.lowerBound + index }
        guard index > 0 else { return range.lowerBound }
        let before = sourceRange(index - 1)
        guard index < count else { return before.end }
        return withBytes { bytes in
            guard !isBytes, bytes[index] & 0xC0 != 0x80 || bytes[index] < 0x80 else {
                var start = index
                while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
                let isSame = before.end - before.start == UTF8Character.leadLength(bytes[start])
                return isSame ? min(before.start + index - start, before.end) : before.end
            }
            return before.end
        }
    }

    /// Returns the text with each invalid sequence replaced by U+FFFD; `nil` if all are valid.
    static func repaired(_ source: UnsafeBufferPointer<UInt8>, tracks: Bool) -> AlignedText? {
        guard UTF8Validator.firstInvalidOffset(in: UnsafeRawBufferPointer(source)) != nil else { return nil }
        var changed = Changed()
        changed.bytes.reserveCapacity(source.count)
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = source.makeIterator()
        var start = 0
        func append(_ bytes: some Sequence<UInt8>, _ length: Int) {
            for byte in bytes {
                changed.bytes.append(byte)
                guard tracks else { continue }
                changed.starts.append(UInt32(truncatingIfNeeded: start))
                changed.ends.append(UInt32(truncatingIfNeeded: start + length))
            }
            start += length
        }
        loop: while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid(let character): append(character, character.count)
            case .error(let length): append("\u{FFFD}".utf8, length)
            case .emptyInput: break loop
            }
        }
        var text = AlignedText(source: source, range: 0..<source.count)
        text.changed = changed
        return text
    }
}

/// A change of a text, character by character, that keeps the ranges of the source.
struct TextTransform {
    private let text: AlignedText
    private let old: UnsafeBufferPointer<UInt8>
    private let tracks: Bool
    /// The place in the source for what is inserted at the beginning.
    private var origin: UInt32
    /// The next byte of the old text.
    private(set) var offset: Int
    private(set) var new = AlignedText.Changed()

    /// Begins at a place in the bytes of a text, which are given as a pointer.
    init(_ text: AlignedText, _ old: UnsafeBufferPointer<UInt8>, from offset: Int = 0, tracks: Bool) {
        self.text = text
        self.old = old
        self.tracks = tracks
        self.offset = offset
        origin = UInt32(truncatingIfNeeded: text.range.lowerBound)
        new.bytes.reserveCapacity(old.count - offset + old.count / 8 + 16)
    }

    /// Begins a piece of the text, which is changed on its own.
    mutating func begin(_ offset: Int) {
        self.offset = offset
        if tracks {
            origin = UInt32(
                truncatingIfNeeded: offset < old.count
                    ? text.sourceRange(offset).start : text.range.upperBound)
        }
        pieceStart = offset
    }
    private var pieceStart = 0

    /// Keeps the next bytes.
    mutating func keep(_ byteCount: Int) {
        new.bytes.append(contentsOf: UnsafeBufferPointer(rebasing: old[offset..<offset + byteCount]))
        if tracks {
            for index in offset..<offset + byteCount { append(range: text.sourceRange(index)) }
        }
        offset += byteCount
    }

    /// Leaves out the next characters.
    mutating func remove(_ characterCount: Int = 1) {
        for _ in 0..<characterCount where offset < old.count {
            offset = min(offset + UTF8Character.leadLength(old[offset]), old.count)
        }
    }

    /// Leaves out the next bytes.
    mutating func remove(byteCount: Int) { offset += byteCount }

    /// Puts a character: in the place of the next for 0, of the next and `-change` more below 0, else before the next.
    mutating func put(_ scalar: UInt32, change: Int) {
        let start = new.bytes.count
        UTF8Reader.append(scalar, to: &new.bytes)
        if tracks {
            let range: (Int, Int)
            if change > 0 {
                range = offset > pieceStart ? text.sourceRange(offset - 1) : (Int(origin), Int(origin))
            } else {
                range =
                    offset < old.count
                    ? text.sourceRange(offset) : (text.range.upperBound, text.range.upperBound)
            }
            for _ in start..<new.bytes.count { append(range: range) }
        }
        if change <= 0 { remove(1 - change) }
    }

    /// Puts bytes that stand for the same as a byte of the old text.
    mutating func put(_ bytes: some Sequence<UInt8>, like index: Int) {
        let start = new.bytes.count
        new.bytes.append(contentsOf: bytes)
        guard tracks else { return }
        let range =
            index < old.count ? text.sourceRange(index) : (text.range.upperBound, text.range.upperBound)
        for _ in start..<new.bytes.count { append(range: range) }
    }

    /// Puts bytes that stand for nothing at the beginning of the text.
    mutating func putAtBeginning(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            new.bytes.append(byte)
            if tracks { append(range: (Int(origin), Int(origin))) }
        }
    }

    @inline(__always) private mutating func append(range: (start: Int, end: Int)) {
        new.starts.append(UInt32(truncatingIfNeeded: range.start))
        new.ends.append(UInt32(truncatingIfNeeded: range.end))
    }
}
