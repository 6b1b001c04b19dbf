/// A small SentencePiece model file of a few pieces.
public struct SentencePieceFile {
    /// The purposes of pieces, as numbered in files.
    public enum Kind: UInt8 {
        case normal = 1
        case unknown = 2
        case control = 3
    }

    /// The bytes of the file.
    public private(set) var bytes: [UInt8] = []

    /// Creates a unigram model of special pieces, then words with the space in front (`▁`), then single letters.
    public init(special: [(text: String, kind: Kind)], words: [String], letters: some Sequence<Character>) {
        for (text, kind) in special { append(text, 0, kind) }
        for (index, word) in words.enumerated() { append(word, -3 - Float(index) / 8, .normal) }
        for (index, letter) in letters.enumerated() {
            append(String(letter), -6 - Float(index) / 64, .normal)
        }
    }

    /// Creates a unigram model with `<unk>`, `<s>` and `</s>`, a visible space and the given pieces.
    public init(pieces: [String]) {
        self.init(
            special: [("<unk>", .unknown), ("<s>", .control), ("</s>", .control)], words: ["▁"] + pieces,
            letters: [Character]())
    }

    private mutating func append(_ text: String, _ score: Float, _ kind: Kind) {
        func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
            [UInt8(number << 3 | 2), UInt8(bytes.count)] + bytes
        }
        let bits = (0..<4).map { UInt8(truncatingIfNeeded: score.bitPattern >> (8 * UInt32($0))) }
        bytes += field(1, field(1, Array(text.utf8)) + [0x15] + bits + [0x18, kind.rawValue])
    }
}
