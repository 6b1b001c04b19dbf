/// A tokenizer with sentinels, which stand for spans of text that were taken out.
///
/// In text, sentinels are called `<extra_id_0>`, `<extra_id_1>` and so on, as in T5's vocabularies.
public protocol SentinelTokenizer: Tokenizer {
    /// The sentinels in the order of their use; may be empty.
    var sentinels: [Int32] { get }
}

extension SentinelTokenizer {
    /// The name of a sentinel in text, by its place in the order of use.
    public static func sentinelName(_ index: Int) -> String { "<extra_id_\(index)>" }

    /// The tokens of a text whose sentinels are written by name; what lies between them is encoded for itself.
    public func encodeWithSentinels(_ text: String) -> [Int32] {
        let mark = "<extra_id_"
        var tokens: [Int32] = []
        var rest = text[...]
        var start = rest.startIndex
        while let range = rest[start...].firstRange(of: mark) {
            let digits = rest[range.upperBound...].prefix { $0.isASCII && $0.isNumber }
            guard let index = Int(digits), String(index) == digits, sentinels.indices.contains(index),
                rest[digits.endIndex...].first == ">"
            else {
                start = range.upperBound
                continue
            }
            if range.lowerBound > rest.startIndex {
                tokens += encode(String(rest[..<range.lowerBound]))
            }
            tokens.append(sentinels[index])
            rest = rest[rest.index(after: digits.endIndex)...]
            start = rest.startIndex
        }
        return rest.isEmpty ? tokens : tokens + encode(String(rest))
    }

    /// The text of tokens with sentinels written by name; other special tokens vanish.
    public func decodeWithSentinels(_ tokens: [Int32]) -> String {
        let names = Dictionary(
            sentinels.enumerated().map { ($1, Self.sentinelName($0)) },
            uniquingKeysWith: { first, _ in first })
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
