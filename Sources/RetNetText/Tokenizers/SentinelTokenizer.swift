/// A tokenizer with sentinels, the tokens that replace spans of text in T5's pretraining.
///
/// In text, sentinels are written `<extra_id_0>`, `<extra_id_1>` and so on, as in T5's vocabularies.
public protocol SentinelTokenizer: Tokenizer {
    /// The sentinels in the order of their use, possibly none.
    var sentinels: [Int32] { get }
}

extension SentinelTokenizer {
    /// Returns the name of a sentinel in text, by its index in the order of use.
    public static func sentinelName(_ index: Int) -> String { "<extra_id_\(index)>" }

    /// The names of all sentinels by their tokens; a token that is there twice has its first name.
    fileprivate var sentinelNames: [Int32: String] {
        Dictionary(
            sentinels.enumerated().map { ($1, Self.sentinelName($0)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Returns the tokens of a text with sentinels written by name.
    ///
    /// The parts between sentinels are encoded as parts of one text: no space is put in front of the later ones.
    public func encodeWithSentinels(_ text: String) -> [Int32] {
        var place = TextPlace.beginning
        return tokensWithSentinels(Array(text.utf8), at: &place)
    }

    /// Returns the tokens of a part of a text, and moves the place to its end.
    fileprivate func tokensWithSentinels(_ bytes: [UInt8], at place: inout TextPlace) -> [Int32] {
        var tokens: [Int32] = []
        for (range, sentinel) in Self.sentinels(in: bytes, count: sentinels.count) {
            if !range.isEmpty { tokens += bytes[range].withUnsafeBytes { encode(utf8: $0, at: &place) } }
            guard let sentinel else { continue }
            tokens.append(sentinels[sentinel.index])
            // A space before a sentinel belongs to it, as in T5's vocabularies.
            place = .inside
        }
        return tokens
    }

    /// Returns the tokens of a text with sentinels written by name, and the range of its UTF-8 bytes that each stands for.
    public func encodeWithSentinelOffsets(_ text: String) -> LocatedText {
        let bytes = Array(text.utf8)
        var located = LocatedText()
        var place = TextPlace.beginning
        for (range, sentinel) in Self.sentinels(in: bytes, count: sentinels.count) {
            if !range.isEmpty {
                let part = bytes[range].withUnsafeBytes { encodeWithOffsets(utf8: $0, at: &place) }
                located.tokens += part.tokens
                located.ranges += part.ranges.map {
                    $0.lowerBound + range.lowerBound..<$0.upperBound + range.lowerBound
                }
            }
            guard let sentinel else { continue }
            located.tokens.append(sentinels[sentinel.index])
            located.ranges.append(sentinel.range)
            place = .inside
        }
        return located
    }

    /// Returns the parts of a text that are no sentinels, each with the sentinel behind it; only the last has none.
    fileprivate static func sentinels(in bytes: [UInt8], count: Int)
        -> [(text: Range<Int>, sentinel: (index: Int, range: Range<Int>)?)]
    {
        // By bytes: a sentinel before a combining accent or a joiner is still one.
        let mark = Array("<extra_id_".utf8)
        var parts: [(text: Range<Int>, sentinel: (index: Int, range: Range<Int>)?)] = []
        var (start, index) = (0, 0)
        while let found = bytes[index...].firstRange(of: mark) {
            let digits = bytes[found.upperBound...].prefix { (0x30...0x39).contains($0) }
            let name = String(decoding: digits, as: UTF8.self)
            guard let number = Int(name), String(number) == name, number < count,
                digits.endIndex < bytes.count, bytes[digits.endIndex] == UInt8(ascii: ">")
            else {
                index = found.upperBound
                continue
            }
            index = digits.endIndex + 1
            parts.append((start..<found.lowerBound, (number, found.lowerBound..<index)))
            start = index
        }
        return parts + [(start..<bytes.count, nil)]
    }

    /// Returns the text of tokens with sentinels written by name, without other special tokens.
    public func decodeWithSentinels(_ tokens: [Int32]) -> String {
        let names = sentinelNames
        guard let first = tokens.firstIndex(where: { names[$0] != nil }) else { return decode(tokens) }
        var text = decode(Array(tokens[..<first]))
        var bytes: [UInt8] = []
        for token in tokens[first...] {
            if let name = names[token] {
                bytes.append(contentsOf: name.utf8)
            } else {
                bytes.append(contentsOf: self.bytes(of: token))
            }
        }
        text += String(decoding: bytes, as: UTF8.self)
        return text
    }
}

/// A tokenizer whose sentinels are text: read by name where they are written, and written by name.
///
/// For programs that hand out text as it is generated; all else is the tokenizer's own.
public struct NamedSentinelTokenizer: SentinelTokenizer {
    /// The tokenizer.
    public let base: any SentinelTokenizer
    private let names: [Int32: String]

    /// Names the sentinels of a tokenizer.
    public init(_ base: any SentinelTokenizer) {
        self.base = base
        names = base.sentinelNames
    }

    /// Those of the tokenizer.
    public var sentinels: [Int32] { base.sentinels }
    /// That of the tokenizer.
    public var vocabularySize: Int { base.vocabularySize }
    /// That of the tokenizer.
    public var beginToken: Int32? { base.beginToken }
    /// That of the tokenizer.
    public var endToken: Int32? { base.endToken }
    /// That of the tokenizer.
    public var paddingToken: Int32? { base.paddingToken }
    /// That of the tokenizer.
    public var unknownToken: Int32? { base.unknownToken }
    /// That of the tokenizer: the same numbers stand for the same text.
    public var identity: String { base.identity }
    /// Those of the tokenizer.
    public var tokensAround: (before: [Int32], after: [Int32]) { base.tokensAround }
    /// Those of the tokenizer.
    public var textStart: [Int32] { base.textStart }
    /// That of the tokenizer.
    public var specialTokensInText: SpecialTokensInText { base.specialTokensInText }

    /// Returns the tokens of text with sentinels written by name.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        var place = TextPlace.beginning
        return encode(utf8: bytes, at: &place)
    }

    /// Returns the tokens of a part of a text with sentinels written by name.
    public func encode(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> [Int32] {
        base.tokensWithSentinels(Array(bytes), at: &place)
    }

    /// Returns the same tokens with their numbers of bytes, those of a sentinel's name included.
    public func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> EncodedText
    {
        let bytes = Array(bytes)
        var text = EncodedText()
        for (range, sentinel) in Self.sentinels(in: bytes, count: sentinels.count) {
            if !range.isEmpty {
                let part = bytes[range].withUnsafeBytes { base.encodeCountingBytes(utf8: $0, at: &place) }
                text.tokens += part.tokens
                text.byteCounts += part.byteCounts
            }
            guard let sentinel else { continue }
            text.tokens.append(sentinels[sentinel.index])
            text.byteCounts.append(sentinel.range.count)
            place = .inside
        }
        return text
    }

    /// Returns the name of a sentinel or of another special token.
    public func specialName(of token: Int32) -> String? { names[token] ?? base.specialName(of: token) }

    /// Returns the bytes of a token, of a sentinel those of its name.
    public func bytes(of token: Int32) -> [UInt8] {
        names[token].map { Array($0.utf8) } ?? base.bytes(of: token)
    }

    /// Returns the bytes that a token adds to a text, of a sentinel those of its name.
    public func bytes(of token: Int32, at place: inout TextPlace) -> [UInt8] {
        guard let name = names[token] else { return base.bytes(of: token, at: &place) }
        place = .inside
        return Array(name.utf8)
    }

    /// Returns the text of tokens with sentinels by name, without other special tokens.
    public func decode(_ tokens: [Int32]) -> String { base.decodeWithSentinels(tokens) }

    /// Writes the files of the tokenizer.
    public func save(to folder: String) throws { try base.save(to: folder) }
}
